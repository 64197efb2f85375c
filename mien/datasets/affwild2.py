"""Aff-Wild2 (Kollias & Zafeiriou 2019, arXiv:1910.04855), the films whose every frame the ABAW challenges label.

What lies below one folder, wherever and in whatever year's names:

- `EXPR_*/Train_Set/<video>.txt`, `EXPR_*/Validation_Set/<video>.txt`: the first line names the expressions, then there
  is one integer for each frame, -1 where it has none
- the films, `<video>.mp4` or `<video>.avi`, or what the publisher cut out of them: `cropped/<video>/00001.jpg` (larger)
  and `cropped_aligned/<video>/00001.jpg` (112 pixels), also as `cropped_aligned_new_50_vids`

Line i below the first belongs to frame i, counted from 1, which is also the image's number. In sixteen films two people
are labelled, each in a file of their own: `<video>_left` and `<video>_right`; in three of them one of the two has no
side in its name and is the other one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mien.datasets.folder import IMAGE_SUFFIXES, contents, list_folders, read_file
from mien.datasets.sample import Rejected, Row, Sample, split_of
from mien.errors import ConditionError, ConfigError, DataError, FilmError, ImageError
from mien.expressions import parse_expression
from mien.films import FILM_SUFFIXES, count_frames, read_frame

_NAME = "affwild2"
#: What the frames can be taken from; of two that serve as many videos, the earlier is taken.
_KINDS = ("videos", "cropped", "cropped_aligned")
_SIDES = ("left", "right")
#: The three whose names say no side, though their films show two people; known, in case the other one's file is missing.
_BARE_SIDES = {"10-60-1280x720": "left", "video59": "left", "video2": "right"}
_NO_LABEL = "-1"
_EXAMPLE_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"


def read(
    source: Path | str, images: str = "auto", every: int = 1, rule: str = "sides", annotations: Path | str | None = None
) -> Iterator[Row]:
    """Yield the labelled frames of all annotated videos, video by video, training before validation.

    `images` is `videos`, `cropped`, `cropped_aligned` or `auto`: whichever serves most of the annotated videos. `every`
    takes frames 1, 1 + every, 1 + 2 every, ... . In films, `rule` says which face is meant: `sides` takes the left or
    right one where two people are labelled, and otherwise the largest; `seed` takes the one that the detector is surest
    of, always. `annotations` names the folder that holds `Train_Set` where it is not, or not alone, below `source`.

    Frames without a label and frames of another expression (`Other`) are no rows: each video counts them in one
    `Rejected` of its own. Raises `DataError` where annotations or images are missing, or where one of them is there
    twice.
    """
    source = Path(source)
    if images not in ("auto", *_KINDS):
        raise ConfigError(f"images `{images}` are unknown", hint=f"give `auto`, `{'`, `'.join(_KINDS)}`")
    if every < 1:
        raise ConfigError(f"every {every}: frames cannot be taken like that", hint="1 takes all, 5 each fifth")
    if rule not in ("sides", "seed"):
        raise ConfigError(f"rule `{rule}` is unknown", hint="give `sides` or `seed`")
    found = _search(source)
    folders = found.annotations if annotations is None else _search(Path(annotations)).annotations
    videos = _annotation_files(_only(folders, source if annotations is None else Path(annotations)))
    pictures = _choose_pictures(found, [video.name for video in videos], images, source)
    return _read_videos(videos, pictures, every, rule)


# ------------------------------------------------------------------------------------------- what lies on the disk


@dataclass(frozen=True)
class _Found:
    """Everything of interest below a folder."""

    annotations: list[Path] = field(default_factory=list)
    """Folders that hold `Train_Set/*.txt` or `Validation_Set/*.txt`."""
    videos: dict[str, list[Path]] = field(default_factory=dict)
    """Films by their names without suffix."""
    cropped: dict[str, list[Path]] = field(default_factory=dict)
    """Folders of images by the video's name."""
    cropped_aligned: dict[str, list[Path]] = field(default_factory=dict)
    """The same, of the aligned images."""


@dataclass(frozen=True)
class _Video:
    """One annotation file: a video, or one person of a video."""

    name: str
    """Its name, with the side."""
    split: str
    """What the folder says."""
    path: Path
    """The annotation file."""


def _search(source: Path) -> _Found:
    """Look through a folder and all below, but not into the millions of cropped images."""
    found = _Found()
    seen: set[str] = set()  # links are followed, but not in circles
    for place, folders, files in os.walk(source, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        here = Path(place)
        folders.sort()
        if (here == source or here.name.lower().startswith("expr")) and _annotation_files(here):
            found.annotations.append(here)
        for name in folders:
            if name.lower().startswith("cropped"):
                kind = found.cropped_aligned if "aligned" in name.lower() else found.cropped
                _add_video_folders(here / name, kind)
        folders[:] = [name for name in folders if not name.lower().startswith("cropped") and name[0] not in "._"]
        for file in map(Path, sorted(files)):
            if file.suffix.lower() in FILM_SUFFIXES and not file.name.startswith("."):
                found.videos.setdefault(file.stem, []).append(here / file)
    return found


def _add_video_folders(root: Path, videos: dict[str, list[Path]]) -> None:
    """Add a folder for each video; an archive may have unpacked into a folder of its own name."""
    for folder in list_folders(root):
        if folder.name.lower().startswith("cropped"):
            _add_video_folders(folder, videos)
        else:
            videos.setdefault(folder.name, []).append(folder)


def _only(folders: list[Path], place: Path) -> Path:
    """Return the one folder of annotations; `DataError` where there is none or a choice."""
    if len(folders) == 1:
        return folders[0]
    if folders:
        raise DataError(
            f"`{place}` holds expression annotations {len(folders)} times: {', '.join(f'`{f}`' for f in folders[:4])}",
            hint="name one with the option `annotations`",
        )
    raise DataError(
        f"no expression annotations of Aff-Wild2 below `{place}`: {contents(place)}",
        hint="looked for a folder `EXPR_...` with `Train_Set/*.txt` or `Validation_Set/*.txt` in it;"
        " name it with the option `annotations` where it lies elsewhere",
    )


def _annotation_files(folder: Path) -> list[_Video]:
    return [
        _Video(path.stem, split, path)
        for part in list_folders(folder)
        if (split := split_of(part.name))
        for path in sorted(part.glob("*.txt"))
        if not path.name.startswith(".")
    ]


@dataclass(frozen=True)
class _Pictures:
    """Where the frames of each annotated video come from."""

    kind: str
    """One of `_KINDS`."""
    places: dict[str, Path]
    """Film or folder of images by the annotated name."""
    shared: frozenset[str]
    """Annotated names of which the film shows two labelled people."""


def _choose_pictures(found: _Found, names: list[str], images: str, source: Path) -> _Pictures:
    """Take the kind of pictures that was asked for or that serves most videos; `DataError` where none serves any."""
    kinds = _KINDS if images == "auto" else (images,)
    served = {kind: {name: places for name in names if (places := _places(found, kind, name))} for kind in kinds}
    kind = max(kinds, key=lambda kind: len(served[kind]))  # of equals the first
    if not served[kind]:
        looked_for = {"videos": "`<video>.mp4` or `.avi`", "cropped": "`cropped/<video>/00001.jpg`",
                      "cropped_aligned": "`cropped_aligned/<video>/00001.jpg`"}  # fmt: skip
        raise DataError(
            f"`{source}` has annotations of {len(names)} videos and pictures of none: {contents(source)}",
            hint=f"looked for {', '.join(looked_for[kind] for kind in kinds)}, for example of `{names[0]}`",
        )
    for name, places in served[kind].items():
        # The same frames cut out twice are the same frames; two films of one name may be cut or converted differently.
        if len(places) > 1 and kind == "videos":
            raise DataError(
                f"two films are called `{name}`: `{places[0]}` and `{places[1]}`", hint="move one of them away"
            )
    shared = frozenset(name for name in names if kind == "videos" and name not in found.videos) | {
        name for name in names if name in _BARE_SIDES or any(f"{name}_{side}" in names for side in _SIDES)
    }
    return _Pictures(kind, {name: places[0] for name, places in served[kind].items()}, shared)


def _places(found: _Found, kind: str, name: str) -> list[Path] | None:
    if kind != "videos":
        return (found.cropped if kind == "cropped" else found.cropped_aligned).get(name)
    video, _, side = name.rpartition("_")
    return found.videos.get(name) or (found.videos.get(video) if side in _SIDES else None)


# ------------------------------------------------------------------------------------------------------- the rows


def _read_videos(videos: list[_Video], pictures: _Pictures, every: int, rule: str) -> Iterator[Row]:
    names = {video.name for video in videos}
    splits: dict[str, str] = {}
    for video in videos:
        key = f"{video.split}/{video.name}"
        if splits.setdefault(video.name, video.split) != video.split:
            yield Rejected(key, f"the video is annotated in the {splits[video.name]} part too")
        elif video.name not in pictures.places:
            yield Rejected(key, "no film of this name" if pictures.kind == "videos" else "no folder of this name")
        else:
            place = pictures.places[video.name]
            try:
                lines, words = _read_annotation(video.path)
                shots = _film_shots(place, lines) if pictures.kind == "videos" else _image_shots(place)
            except (DataError, FilmError, OSError) as error:  # costs this video, no more
                # Without the way to the file: the same dataset at another place gives the same rows.
                yield Rejected(key, str(error).replace(str(place), place.name))
                continue
            face = "cut"
            if pictures.kind == "videos":
                face = "confident" if rule == "seed" else _side(video.name, names, video.name in pictures.shared)
            yield from _read_frames(video, lines, words, shots, face, every)


def _side(name: str, names: Container[str], shared: bool) -> str:
    """Return which face of a film a name means: a side where two people are labelled, otherwise `largest`."""
    if not shared:
        return "largest"
    if (side := name.rpartition("_")[2]) in _SIDES:
        return side
    if name in _BARE_SIDES:
        return _BARE_SIDES[name]
    return "left" if f"{name}_right" in names else "right"


def _read_annotation(path: Path) -> tuple[list[str], list[str | None]]:
    """Return the lines of an annotation below its first, and the expression that each integer stands for."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"the annotation cannot be read: {error}") from None
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        raise DataError("the annotation has no labels")
    try:
        words = [None if word.strip().lower() == "other" else parse_expression(word) for word in lines[0].split(",")]
    except ConditionError:
        raise DataError(f"the annotation begins with `{lines[0][:80]}`, not as `{_EXAMPLE_HEADER}`") from None
    return lines[1:], words


@dataclass(frozen=True)
class _Shots:
    """The frames of one video that exist."""

    numbers: Container[int]
    """Their numbers, from 1."""
    reader: Callable[[int], Callable[[], np.ndarray]]
    """Makes what decodes a frame, by its number."""
    missing: str
    """Why another frame cannot be had."""


def _film_shots(path: Path, lines: list[str]) -> _Shots:
    count = count_frames(path)
    if not count:
        raise FilmError(f"`{path}` has no frames")
    if len(lines) == count + 1:
        lines.pop()  # the publisher's count is one more than what many films hold
    return _Shots(range(1, count + 1), partial(_film_reader, path), f"the film has only {count} frames")


def _film_reader(path: Path, number: int) -> Callable[[], np.ndarray]:
    return partial(_read_film_frame, path, number - 1)


def _read_film_frame(path: Path, index: int) -> np.ndarray:
    try:
        return read_frame(path, index)
    except FilmError as error:
        raise ImageError(str(error), error.hint) from None


def _image_shots(folder: Path) -> _Shots:
    paths: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.stem.isdecimal() and path.suffix.lower() in IMAGE_SUFFIXES:
            paths.setdefault(int(path.stem), path)
    if not paths:
        raise DataError(f"`{folder}` holds no images `00001.jpg`, ...")
    return _Shots(paths, lambda number: partial(read_file, paths[number]), "no such image")


def _read_frames(
    video: _Video, lines: list[str], words: list[str | None], shots: _Shots, face: str, every: int
) -> Iterator[Row]:
    """Yield the labelled frames of one video, and at last how many carry no expression."""
    unlabelled = others = 0
    for number in range(1, len(lines) + 1, every):
        key, text = f"{video.split}/{video.name}/{number:05d}", lines[number - 1]
        if text == _NO_LABEL:
            unlabelled += 1
        elif not (text.isascii() and text.isdecimal() and float(text) < len(words)):
            yield Rejected(key, f"label `{text[:20]}` is not one of -1 to {len(words) - 1}")
        elif (expression := words[int(text)]) is None:
            others += 1
        elif number not in shots.numbers:
            yield Rejected(key, shots.missing)
        else:
            read = shots.reader(number)
            yield Sample(key, read, expression, video.split, _NAME, subject=video.name, face=face)
    if unlabelled or others:
        reason = f"{unlabelled} frames without a label, {others} of another expression; this row stands for them all"
        yield Rejected(f"{video.split}/{video.name}", reason)
