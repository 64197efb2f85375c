"""Commands that turn datasets into prepared sets: prepare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.apps import given
from mien.apps.options import data as options
from mien.apps.options import shared
from mien.apps.output import say


def prepare(
    dataset: options.Dataset,
    source: options.Source = None,
    # In a signature what is required cannot follow what is not; to typer, `...` says required.
    out: shared.PreparedOut = ...,  # type: ignore[assignment]
    size: options.Size = 48,
    detector: options.Detector = "none",
    threshold: options.FaceThreshold = None,
    device: shared.DetectorDevice = "cpu",
    option: options.ReaderOptions = None,
    share: options.Share = 1.0,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
) -> None:
    """Turn a dataset into a prepared set, which training reads.

    The same command resumes what was interrupted, by whatever: at most some hundred images for each process are made
    again, and the result is the same to the byte. What could not be used is listed in DIR/rejected.csv.

    Example: mien prepare fer2013 fer2013.csv --out data/fer2013 --detector mtcnn --size 64
    """
    from mien.apps.progress import ProgressBar, Rate
    from mien.datasets import READERS, thinned
    from mien.errors import ConfigError
    from mien.prepared import prepare as write_prepared

    if dataset not in READERS:
        raise ConfigError(f"unknown dataset `{dataset}`", hint=f"known: {', '.join(READERS)}")
    if source is None and dataset != "drawn":
        hint = f"for example `mien prepare {dataset} SOURCE --out {out}`"
        raise ConfigError(f"`{dataset}` needs the folder or file it lies in", hint=hint)
    if ray_address and engine != "ray":
        raise ConfigError("`--ray-address` is for `--engine ray`", hint="give both, or neither")
    reader_options = given.reader_options(dataset, given.settings(option or [], "--option"))
    if dataset == "drawn":
        reader_options.setdefault("size", size)
    rows, noted = READERS[dataset](source, **reader_options), reader_options
    if share < 1:  # the recipe of a whole set stays as it always was
        rows, noted = thinned(rows, share), reader_options | {"share": share}
    crop = _aligner(detector, size, device, threshold)
    rate = Rate("images")
    with ProgressBar("preparing") as bar:
        prepared = write_prepared(
            rows,
            out,
            dataset=dataset,
            size=size,
            options=noted,
            source=str(source or ""),
            detector=crop.settings if crop else None,
            crop=crop,
            workers=_cores(device) if workers is None else workers,
            engine=engine,
            ray_address=ray_address,
            report=lambda done, total: bar.advance(done, total, rate.tell(done, total)),
        )
    told = prepared.manifest["counts"]
    for split, counts in told.items():
        if sum(counts.values()):
            say(f"{split}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if lost := _without_training(told):
        say(
            f"note: no training face shows {', '.join(lost)}"
            + ("; a larger --share may hold some" if share < 1 else "")
        )
    if rejected := prepared.manifest["rejected"]:
        say(f"rejected: {rejected}, see {out / 'rejected.csv'}")
    print(out)


def _aligner(detector: str, size: int, device: str, threshold: float | None) -> Any:
    """Return what finds and aligns faces, or None where images are taken as they are."""
    from mien.errors import ConfigError
    from mien.faces import DETECTORS, FaceAligner

    if detector == "none":
        if threshold is not None:
            raise ConfigError(
                "`--threshold` needs a detector", hint=f"for example `--detector {next(iter(DETECTORS))}`"
            )
        return None
    if detector not in DETECTORS:
        raise ConfigError(f"unknown detector `{detector}`", hint=f"known: none, {', '.join(DETECTORS)}")
    return FaceAligner(detector, size, device, threshold)


def _without_training(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the expressions that some part of a set shows and its training part does not; none where there is none."""
    train = counts.get("train", {})
    shown = dict.fromkeys(name for part in counts.values() for name, count in part.items() if count)
    return [name for name in shown if not train.get(name)] if any(train.values()) else []


def _cores(device: str) -> int:
    """Return how many processes suit this machine: one for each core that this one may use."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # On a GPU every process needs memory for the driver and the detector; four keep one busy with decoded images.
    return cores if device == "cpu" else min(cores, 4)
