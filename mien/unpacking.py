"""Write a prepared set as image files with labels, for programs that do not read prepared sets.

`folders`, which most training code reads, and `mien prepare folder` too:

    train/happy/0000012-NAME.png     split, expression, number in the set, end of the key
    samples.csv                      a line for each: path, key, split, expression, intensity, subject, source, votes

`ganmut`, which GANmut's official code reads (`--dataset_root OUT --imgs_folder images`; of a path it takes what follows
the first slash):

    images/0000012-NAME.png
    training.csv                     subDirectory_filePath,expression,subject; expressions as AffectNet's integers
    validation.csv, test.csv         where the set has such a split

Images are PNG, the pixels of the set; those that a model has edited (`mien augment`) carry the mark that says so. Images
without a label have no place in either form and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.datasets.sample import TRAIN
from mien.errors import ConfigError, DataError
from mien.expressions import AFFECTNET_ORDER, VOCABULARY
from mien.images import encode_photo
from mien.prepared import EDITED, PreparedSet
from mien.prepared.lock import FolderLock
from mien.provenance import EditMark
from mien.shards import SHARE_COLUMNS, read_json, write_csv, write_file, write_json

#: The forms in which a set can be unpacked.
FORMATS = ("folders", "ganmut")

_SCAFFOLD, _LOCK = "unpacking.json", "unpacking.lock"
_BATCH = 256
#: File names may have 255 bytes almost everywhere; what is longer loses its beginning.
_LONGEST_NAME = 80

_LIST_COLUMNS = ("path", "key", "split", "expression", "intensity", "subject", "source", *SHARE_COLUMNS)


def unpack(
    prepared: PreparedSet, out: Path | str, form: str = "folders", *, report: Callable[[int, int], object] | None = None
) -> int:
    """Write a prepared set into an empty folder, in one of `FORMATS`; return how many images were written.

    An interrupted run is continued: files that are there are whole. Raises `DataError` where the folder holds anything
    else, or where no image has a label.
    """
    if form not in FORMATS:
        raise ConfigError(f"unknown format `{form}`", hint=f"known: {', '.join(FORMATS)}")
    out = Path(out)
    chosen = prepared.select(expressions=VOCABULARY)
    if not len(chosen):
        raise DataError(f"no image of `{prepared.path}` has a label", hint="only images with a label can be unpacked")
    _begin(prepared, out, form)
    with FolderLock(out / _LOCK):
        _write_all(prepared, out, form, chosen, report)
    return len(chosen)


def _write_all(
    prepared: PreparedSet, out: Path, form: str, chosen: np.ndarray, report: Callable[[int, int], object] | None
) -> None:
    """Write the images that are missing, then the lists; what marks the folder as unfinished goes last."""
    for leftover in out.rglob("*.partial"):  # of a run that was killed while it wrote
        leftover.unlink()
    paths, marks = [_path(prepared, index, form) for index in chosen.tolist()], _marks(prepared)
    for folder in sorted({(out / path).parent for path in paths}):
        folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(chosen), _BATCH):
        # Decided before anything is read, so that a run that is resumed comes quickly to where it was.
        missing = [
            place for place in range(start, min(start + _BATCH, len(chosen))) if not (out / paths[place]).exists()
        ]
        for place, pixels in zip(missing, prepared.images(chosen[missing]), strict=True):
            write_file(out / paths[place], [_png(pixels, marks.get(int(chosen[place])))])
        if report:
            report(min(start + _BATCH, len(chosen)), len(chosen))
    if form == "folders":
        lines = [[path, *_known(prepared, index)] for path, index in zip(paths, chosen.tolist(), strict=True)]
        write_csv(out / "samples.csv", _LIST_COLUMNS, lines)
    else:
        _write_lists(prepared, out, chosen, paths)
    (out / _LOCK).unlink(missing_ok=True)
    (out / _SCAFFOLD).unlink(missing_ok=True)


def _begin(prepared: PreparedSet, out: Path, form: str) -> None:
    """Make the folder, or check that the same was begun in it."""
    task = {"hash": prepared.hash, "format": form}
    if out.exists() and not out.is_dir():
        raise DataError(f"`{out}` is a file", hint="give a folder for the images")
    if out.resolve() == prepared.path.resolve() or prepared.path.resolve() in out.resolve().parents:
        raise DataError(f"`{out}` lies in the prepared set", hint="give another folder for the images")
    if out.is_dir() and any(out.iterdir()) and read_json(out / _SCAFFOLD) != task:
        raise DataError(
            f"`{out}` is not empty, and it is not this set, half unpacked", hint="give a new or an empty folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / _SCAFFOLD, task)


def _path(prepared: PreparedSet, index: int, form: str) -> str:
    """Return where an image goes, with slashes; the number keeps names apart and in the set's order."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(prepared.keys[index].rsplit("/", 1)[-1]).stem)
    name = name[-_LONGEST_NAME:]
    edited = f"{EDITED}-" if EDITED in prepared.keys[index] and EDITED not in name else ""
    name = f"{index:07d}-{edited}{name}.png"
    if form == "ganmut":
        return f"images/{name}"
    return f"{prepared.splits[index]}/{VOCABULARY[prepared.labels[index]]}/{name}"


def _known(prepared: PreparedSet, index: int) -> list[str]:
    """Return the cells of `samples.csv` after the path."""
    intensity = float(prepared.intensity[index])
    return [
        prepared.keys[index],
        str(prepared.splits[index]),
        VOCABULARY[prepared.labels[index]],
        "" if np.isnan(intensity) else repr(intensity),
        prepared.subjects[index] or "",
        prepared.sources[index],
        *(repr(float(share)) for share in prepared.shares[index]),
    ]


def _write_lists(prepared: PreparedSet, out: Path, chosen: np.ndarray, paths: list[str]) -> None:
    """Write GANmut's lists; its loader takes columns by name, so that a third one does no harm."""
    for split in dict.fromkeys((TRAIN, *prepared.splits[chosen].tolist())):
        lines = [
            [path, str(AFFECTNET_ORDER.index(VOCABULARY[prepared.labels[index]])), prepared.subjects[index] or ""]
            for path, index in zip(paths, chosen.tolist(), strict=True)
            if prepared.splits[index] == split
        ]
        if lines:
            name = "training" if split == TRAIN else split
            write_csv(out / f"{name}.csv", ("subDirectory_filePath", "expression", "subject"), lines)


def _marks(prepared: PreparedSet) -> dict[int, EditMark]:
    """Return what those images have to say of themselves that a model has edited."""
    recipe, marks = prepared.manifest["recipe"], {}
    augmented = recipe["options"] if recipe["dataset"] == "augmentation" else {}
    own = augmented["parent"]["count"] if augmented else len(prepared)  # the set's model edited what comes after those
    for index in np.flatnonzero(prepared.edited).tolist():
        intensity = float(prepared.intensity[index])
        strength = "" if np.isnan(intensity) else f" @ {intensity:g}"
        painter = augmented.get("model_sha256", "not known") if index >= own else "not known"
        marks[index] = EditMark(f"{VOCABULARY[prepared.labels[index]]}{strength}", painter)
    return marks


def _png(pixels: np.ndarray, mark: EditMark | None) -> bytes:
    """Encode uint8 (size, size, channels); one channel stays one."""
    return encode_photo("face.png", pixels[..., 0] if pixels.shape[2] == 1 else pixels, mark=mark)
