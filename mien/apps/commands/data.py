"""Commands that turn datasets into prepared sets: prepare."""

from __future__ import annotations

from mien.apps import given, options
from mien.apps.output import say


def prepare(
    dataset: options.Dataset,
    source: options.Source = None,
    # In a signature what is required cannot follow what is not; to typer, `...` says required.
    out: options.PreparedOut = ...,  # type: ignore[assignment]
    size: options.Size = 48,
    detector: options.Detector = "none",
    option: options.ReaderOptions = None,
) -> None:
    """Turn a dataset into a prepared set, which training reads.

    The same command resumes what was interrupted. What could not be used is listed in DIR/rejected.csv.

    Example: mien prepare fer2013 fer2013.csv --out data/fer2013 --detector mtcnn --size 64
    """
    import functools

    from mien.apps.progress import ProgressBar
    from mien.datasets import READERS
    from mien.errors import ConfigError
    from mien.faces import DETECTORS, align_batch, load_detector
    from mien.prepared import prepare as write_prepared

    if dataset not in READERS:
        raise ConfigError(f"unknown dataset `{dataset}`", hint=f"known: {', '.join(READERS)}")
    if detector != "none" and detector not in DETECTORS:
        raise ConfigError(f"unknown detector `{detector}`", hint=f"known: none, {', '.join(DETECTORS)}")
    if source is None and dataset != "drawn":
        hint = f"for example `mien prepare {dataset} SOURCE --out {out}`"
        raise ConfigError(f"`{dataset}` needs the folder or file it lies in", hint=hint)
    reader_options = given.reader_options(dataset, given.settings(option or [], "--option"))
    if dataset == "drawn":
        reader_options.setdefault("size", size)
    finder = load_detector(detector) if detector != "none" else None
    crop = functools.partial(align_batch, finder, size=size) if finder else None
    with ProgressBar("preparing") as bar:
        prepared = write_prepared(
            READERS[dataset](source, **reader_options),
            out,
            dataset=dataset,
            size=size,
            options=reader_options,
            source=str(source or ""),
            detector={"name": detector, **finder.settings} if finder else None,
            crop=crop,
            report=bar.advance,
        )
    for split, counts in prepared.manifest["counts"].items():
        if sum(counts.values()):
            say(f"{split}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if rejected := prepared.manifest["rejected"]:
        say(f"rejected: {rejected}, see {out / 'rejected.csv'}")
    print(out)
