"""Models of other programs: a folder of pictures with a table of what was asked for.

`mien bench --write-requests DIR` writes the faces as `faces/NAME.png` and `requests.csv`:

    face,expression,intensity,image
    faces/0001.png,happy,0.9,edited/0001-happy-0.9.png

The other program reads each face and writes each picture where `image` says; then `folder:DIR` is a contestant like any
other. What it left out counts as not answered. Pictures may have any size; they are brought to the faces' own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.benchmark.contestants import Faces
from mien.benchmark.outcome import ContestantFacts
from mien.benchmark.protocol import Protocol
from mien.conditions import Condition
from mien.errors import DataError, MienError
from mien.expressions import NEUTRAL, VOCABULARY, parse_expression
from mien.files import write_bytes, write_text
from mien.images import fit_images, read_image, to_uint8
from mien.shards import read_json

TABLE, ASKED = "requests.csv", "requests.json"
_COLUMNS = ("face", "expression", "intensity", "image")

_Request = tuple[str, str, float]


class Folder:
    """Answers with the pictures of a folder."""

    space = None

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._images = _read_table(path)
        answered = {request: image for request, image in self._images.items() if (path / image).is_file()}
        if not answered:
            raise DataError(
                f"{path} holds none of the pictures that its {TABLE} names",
                hint=f"write them first, for example {path / next(iter(self._images.values()))}",
            )
        self._images = answered
        digest = hashlib.sha256()
        for request, image in sorted(answered.items()):
            digest.update(f"{request}".encode())
            digest.update((path / image).read_bytes())
        names = {expression for _, expression, _ in answered}
        self.facts = ContestantFacts(name, "folder", digest.hexdigest(), tuple(n for n in VOCABULARY if n in names))

    def require(self, data_hash: str, protocol: Protocol) -> None:
        """Raise `DataError` where the pictures answer another benchmark: other data, or another protocol."""
        file = self._path / ASKED
        if not file.is_file():
            return  # a table that somebody wrote by hand
        asked = _read_asked(file)
        wanted = {"data_hash": data_hash, "protocol": json.loads(json.dumps(protocol.to_json()))}
        if asked != wanted:
            changed = [key for key, value in wanted["protocol"].items() if asked["protocol"].get(key) != value]
            raise DataError(
                f"{self._path} answers another benchmark: other {', '.join(changed) or 'data'}",
                hint="repeat the `--data` and `--set` of its `--write-requests`, or ask again in a new folder",
            )

    def edit(self, faces: Faces, conditions: Sequence[Condition], start: str) -> np.ndarray:
        """Read what the other program made; NaN where it made nothing."""
        result = np.full((len(faces), len(conditions), *faces.images.shape[1:]), np.nan, np.float32)
        channels, size = faces.images.shape[1], faces.images.shape[-1]
        for row, key in enumerate(faces.keys):
            for column, condition in enumerate(conditions):
                request = _request(key, condition)
                image = self._images.get(request) if request else None
                if image is not None and (found := _read(self._path / image)) is not None:
                    pixels = found.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
                    result[row, column] = fit_images(torch.from_numpy(pixels[None]), size, channels)[0].numpy()
        return result

    def realness(self, images: np.ndarray) -> np.ndarray | None:
        """Give no score."""
        return None


def _read_asked(file: Path) -> dict[str, Any]:
    """Return which benchmark pictures were asked for: data and protocol, as requests.json says."""
    try:
        asked = read_json(file)
    except DataError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("protocol"), dict):
        raise DataError(
            f"{file} does not say for which benchmark the pictures are",
            hint=f"restore it from a copy, or delete it where {TABLE} was written by hand",
        )
    return asked


def _read(path: Path) -> np.ndarray | None:
    """Return a picture; None where it cannot be read, which counts as missing."""
    try:
        return read_image(path)
    except MienError:
        return None


def write_requests(
    folder: Path, parts: Sequence[tuple[Faces, Sequence[Condition]]], data_hash: str, protocol: Protocol
) -> int:
    """Write the faces, the table of what is asked and for which benchmark; return how many pictures are asked for.

    `parts` are faces with the conditions under which each of them is wanted; what is asked twice is written once.
    """
    if (folder / TABLE).exists():
        raise DataError(f"{folder} already holds a {TABLE}", hint="give a new folder, so that no request is lost")
    rows = _rows(parts)
    for faces, _ in parts:
        _write_faces(folder / "faces", faces)
    (folder / "edited").mkdir(exist_ok=True)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows.values())
    asked = {"data_hash": data_hash, "protocol": protocol.to_json()}
    write_text(folder / ASKED, json.dumps(asked, indent=2) + "\n")
    write_text(folder / TABLE, stream.getvalue())
    return len(rows)


def _rows(parts: Sequence[tuple[Faces, Sequence[Condition]]]) -> dict[_Request, tuple[str, ...]]:
    """Return the rows of the table, each request with a picture of its own."""
    rows: dict[_Request, tuple[str, ...]] = {}
    named: dict[str, str] = {}
    for faces, conditions in parts:
        for key in faces.keys:
            name = _face_name(key)
            if (other := named.setdefault(name, key)) != key:
                raise DataError(
                    f"the faces `{other}` and `{key}` would both be called {name}",
                    hint="choose other faces, for example with `--set seed=1`",
                )
            for request in filter(None, (_request(key, condition) for condition in conditions)):
                _, expression, intensity = request
                image = f"edited/{name}-{expression}-{intensity:g}.png"
                rows[request] = (f"faces/{name}.png", expression, f"{intensity:g}", image)
    assert len({image for *_, image in rows.values()}) == len(rows), "a picture answers one request"
    return rows


def _write_faces(folder: Path, faces: Faces) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for key, pixels in zip(faces.keys, to_uint8(torch.from_numpy(faces.images)), strict=True):
        path = folder / f"{_face_name(key)}.png"
        if not path.exists():
            buffer = io.BytesIO()
            Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
            write_bytes(path, buffer.getvalue())


def _request(key: str, condition: Condition) -> _Request | None:
    """Return how a table names a request; None for mixtures and angles, which it cannot name."""
    if condition.angle_radians is not None or len(condition.shares) != 1:
        return None
    name = condition.shares[0][0]
    return _face_name(key), name, round(0.0 if name == NEUTRAL else condition.intensity, 4)


def _face_name(key: str) -> str:
    """Return a file name for a key, which may be a path or hold any letter; equal keys have equal names."""
    safe = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in key)[-40:]
    return f"{safe}-{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _read_table(path: Path) -> dict[_Request, str]:
    file = path / TABLE
    if not file.is_file():
        raise DataError(
            f"no {TABLE} in `{path}`", hint=f"`mien bench --write-requests {path}` writes it, with the faces"
        )
    found: dict[_Request, str] = {}
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is no table: {error}", hint="write it as UTF-8, with commas") from None
    for number, row in enumerate(rows, start=2):
        try:
            cells = [row[column] for column in _COLUMNS]
            if None in cells:  # the row is short
                raise ValueError
            face, image, name = Path(cells[0]).stem, Path(cells[3]), parse_expression(cells[1])
            intensity = round(0.0 if name == NEUTRAL else float(cells[2]), 4)
        except (KeyError, ValueError, MienError):
            raise DataError(
                f"line {number} of {file} is not face, expression, intensity, image", hint=f"see {TABLE} as written"
            ) from None
        if image.is_absolute() or ".." in image.parts:
            raise DataError(f"line {number} of {file} names a picture outside the folder", hint="give a path within it")
        found[(face, name, intensity)] = str(image)
    if not found:
        raise DataError(f"{file} asks for nothing", hint="`mien bench --write-requests` writes a table")
    return found
