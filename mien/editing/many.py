"""Edit many photos alike: what to edit, what came of each, and nothing lost on the way.

A photo that cannot be edited costs only itself. Detection runs over several photos at once.
"""

from __future__ import annotations

import glob
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mien.conditions import Condition
from mien.editing.edits import Start, in_words
from mien.editing.kinds import check_photo
from mien.editing.photo import PROFILE, Editor, Face, choose_wishes
from mien.errors import ConfigError, FaceError, ImageError, MienError
from mien.images import PHOTO_SUFFIXES, QUALITY, Photo, read_photo, write_photo, written_as

#: What becomes of faces in profile, where edits smear.
Profiles = Literal["skip", "edit"]

_ASIDE = "turned too far aside"
#: Pixels of photos that are in memory at once, but for a single larger one.
_PIXELS_AT_ONCE = 48_000_000
_PHOTOS_AT_ONCE = 8


def parse_profiles(word: str) -> Profiles:
    """Return what becomes of profiles; `ConfigError` for another word."""
    if word not in ("skip", "edit"):
        raise ConfigError(f"profiles cannot be treated as `{word}`", hint="give `skip` or `edit`")
    return word  # type: ignore[return-value]


@dataclass(frozen=True)
class EditedFace:
    """What became of one face."""

    number: int
    """From 1, the largest first."""
    face: Face
    """The face."""
    condition: Condition
    """What it shall express."""
    skipped: str = ""
    """Why it was left as it is; empty where it was edited."""

    def to_json(self) -> dict[str, Any]:
        """Describe the face for programs."""
        return {
            "face": self.number,
            **self.face.to_json(),
            "condition": str(self.condition),
            "edited": not self.skipped,
            **({"reason": self.skipped} if self.skipped else {}),
        }


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    photo: Path
    """The file that was read."""
    out: Path
    """The file that was written, if `error` is None."""
    seconds: float
    """Time it took; photos that are searched together share that time."""
    faces: tuple[EditedFace, ...] = ()
    """The faces that were chosen."""
    found: int = 0
    """How many faces there are."""
    frames: int = 1
    """How many frames the picture has, of which only the first was edited."""
    error: MienError | None = field(default=None, compare=False)
    """Why there is no picture."""

    def to_json(self) -> dict[str, Any]:
        """Describe the outcome for programs."""
        return {
            "photo": str(self.photo),
            "out": None if self.error else str(self.out),
            "found": self.found,
            **({"frames": self.frames} if self.frames > 1 else {}),
            "faces": [face.to_json() for face in self.faces],
            "seconds": round(self.seconds, 3),
            **({"error": str(self.error), "hint": self.error.hint} if self.error else {}),
        }


def list_photos(sources: Sequence[str | Path]) -> list[tuple[Path, Path]]:
    """Return the photos that files, folders and patterns (`*.jpg`) stand for, each once.

    Of a folder, everything below it counts but what is hidden. Beside each stands its name below the folder it was found
    in, which a folder of results can take over. Raises `ImageError` where a source stands for nothing.
    """
    found: dict[Path, Path] = {}
    for source in map(Path, sources):
        if source.is_dir():
            paths = [p for p in sorted(source.rglob("*")) if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file()]
            named = [(path, path.relative_to(source)) for path in paths]
            named = [(path, name) for path, name in named if not any(part.startswith(".") for part in name.parts)]
        elif source.exists() or not glob.has_magic(str(source)):
            named = [(source, Path(source.name))]  # what is missing is told when it is its turn
        else:
            named = [(path, Path(path.name)) for path in map(Path, sorted(glob.glob(str(source), recursive=True)))]
        if not named:
            raise ImageError(f"no photos at `{source}`", hint=f"looked for {', '.join(PHOTO_SUFFIXES)}")
        for path, name in named:
            found.setdefault(path, name)
    return list(found.items())


def plan_outputs(photos: Sequence[tuple[Path, Path]], folder: Path) -> list[tuple[Path, Path]]:
    """Return each photo with the file that its result goes to, below `folder`.

    Formats that are not written become another (`mien.images.written_as`): `old.tif` becomes `old.tif.png`. Raises
    `ImageError` where two photos would go to one file, or a result would replace any of the photos.
    """
    plan, taken = [], dict[Path, Path]()
    originals = {_file_id(photo): photo for photo, _ in photos if photo.exists()}
    for photo, name in photos:
        out = folder / name
        if (suffix := written_as(photo)) != out.suffix.lower():
            out = out.with_name(out.name + suffix)
        if out in taken:
            raise ImageError(f"`{taken[out]}` and `{photo}` would both become `{out}`", hint="edit them apart")
        original = originals.get(_file_id(out)) if out.exists() else None
        if original is not None:
            which = "the photo itself" if original == photo else "itself one of the photos"
            raise ImageError(f"`{out}` is {which}", hint="give another folder, so that the originals stay")
        taken[out] = photo
        plan.append((photo, out))
    return plan


def _file_id(path: Path) -> tuple[int, int]:
    """Return what is the same for all names of one file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def edit_photos(
    editor: Editor,
    plan: Iterable[tuple[Path, Path]],
    wanted: Condition | Mapping[int, Condition],
    *,
    faces: str | int = "all",
    start: Start | float = "auto",
    profiles: Profiles = "skip",
    mark: bool = True,
    quality: int = QUALITY,
) -> Iterator[Outcome]:
    """Edit photos to files, and yield what became of each, in order.

    Arguments are those of `Editor.edit`; faces in profile are left as they are unless `profiles` is `edit`. `mark` says
    whether the pictures carry the mark of an AI edit, `quality` (1 to 100) how closely JPEG and WebP keep the pixels.
    """

    def finish(photo: Photo, found: list[Face], out: Path) -> tuple[tuple[EditedFace, ...], MienError | None]:
        try:
            if not found:
                raise editor.no_face(photo)
            wishes = choose_wishes(found, wanted, faces)
            chosen = [_judged(found.index(face) + 1, face, wish, profiles) for face, wish in wishes]
            if all(face.skipped for face in chosen):
                raise FaceError(
                    f"{_ASIDE}: {'the face' if len(chosen) == 1 else 'every face'} of `{photo.path}`",
                    hint="`--profiles edit` edits such faces all the same; they often smear",
                )
            edited = [face for face in chosen if not face.skipped]
            renderings = [editor.render(each.face, each.condition, start)[0] for each in edited]
            asked = {each.number: each.condition for each in edited} if isinstance(wanted, Mapping) else wanted
            out.parent.mkdir(parents=True, exist_ok=True)
            written = editor.mark(in_words(asked)) if mark else None
            write_photo(out, editor.paste(photo, renderings), like=photo, mark=written, quality=quality)
            return tuple(chosen), None
        except MienError as error:
            return (), error
        except OSError as error:  # a file stands where a folder should be, a name is too long, ...
            reason, place = error.strerror or str(error), error.filename or out
            return (), ImageError(f"cannot write `{place}`: {reason}", hint="check path, permissions and free space")

    for group in _groups(plan):
        begun = time.perf_counter()
        photos = [photo for _, _, photo in group if isinstance(photo, Photo)]
        everyone = iter(editor.find_many(photos))
        searching = (time.perf_counter() - begun) / max(1, len(photos))
        for path, out, photo in group:
            begun = time.perf_counter()
            if isinstance(photo, MienError):
                yield Outcome(path, out, 0.0, error=photo)
                continue
            found = next(everyone)
            edited, error = finish(photo, found, out)
            seconds = searching + time.perf_counter() - begun
            yield Outcome(path, out, seconds, edited, len(found), photo.frames, error)


def _judged(number: int, face: Face, wish: Condition, profiles: Profiles) -> EditedFace:
    return EditedFace(number, face, wish, _ASIDE if profiles == "skip" and face.frontality < PROFILE else "")


def _groups(plan: Iterable[tuple[Path, Path]]) -> Iterator[list[tuple[Path, Path, Photo | MienError]]]:
    """Read photos in groups that are searched together: a few, and no more pixels than fit."""
    waiting = iter(plan)
    group: list[tuple[Path, Path, Photo | MienError]] = []
    pixels = 0
    for path, out in waiting:
        photo: Photo | MienError = _read(path)
        size = photo.pixels.size // 3 if isinstance(photo, Photo) else 0
        if group and (pixels + size > _PIXELS_AT_ONCE or len(group) == _PHOTOS_AT_ONCE):
            yield group
            group, pixels = [], 0
        group.append((path, out, photo))
        pixels += size
    if group:
        yield group


def _read(path: Path) -> Photo | MienError:
    try:
        check_photo(path)
        return read_photo(path)
    except MienError as error:
        return error


def summary(outcomes: Sequence[Outcome]) -> str:
    """Say in a line what became of all photos."""
    failed = sum(outcome.error is not None for outcome in outcomes)
    faces = sum(not face.skipped for face in itertools.chain.from_iterable(o.faces for o in outcomes))
    seconds = sum(outcome.seconds for outcome in outcomes)
    parts = [f"{len(outcomes) - failed} of {len(outcomes)} photos edited", f"{faces} faces", f"{seconds:.1f} s"]
    return ", ".join(parts)
