"""The command that reads: photos, folders of them, films."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mien.apps import output
from mien.apps.options import reading as options
from mien.apps.options import shared
from mien.apps.output import say
from mien.apps.progress import frames_progress

if TYPE_CHECKING:
    from mien.editing import Editor
    from mien.editing.film_reading import FrameReading
    from mien.editing.photo import Face
    from mien.editing.reading import FaceReading
    from mien.images import Photo

#: What readings are written as: a table, or, of a film, a chart over time.
_TABLES, _CHARTS = (".csv",), (".png", ".svg", ".pdf")


def read(
    files: options.PhotosOrFilm,
    out: options.ReadingOut = None,
    face: shared.Faces = "all",
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    as_json: shared.Json = False,
) -> None:
    """Say which expression the faces of photos or of a film show.

    For each face: the share of each expression, how strong it is, and where on the disc that is. Of a film it is the mean
    over time; each frame has a line of its own with --json, or in a table (`--out talk.csv`). Of several photos, one that
    cannot be read costs only itself; the exit code is then 1. What is read is what the model's critic sees in a face,
    trained on labels by crowds; it is not what anybody feels.

    Example: mien read portrait.jpg --json

    Example: mien read holidays/ -o holidays.csv

    Example: mien read talk.mp4 -o talk.csv
    """
    from mien.editing.kinds import check_film
    from mien.editing.many import list_photos
    from mien.errors import FilmError
    from mien.films import is_film

    settings = {"detector": detector, "threshold": threshold}
    films = [file for file in files if is_film(Path(file))]
    if films and len(files) > 1:
        raise FilmError(f"`{films[0]}` is a film", hint="read a film by itself, and photos together")
    if films:
        _check_out(out, (*_TABLES, *_CHARTS))
        check_film(films[0])  # the model takes seconds, since torch comes with it: say first what is wrong
        _read_film(Path(films[0]), out, face, as_json, _load(model, settings))
        return
    found = [photo for photo, _ in list_photos(files)]
    if len(found) == 1 and found[0] == Path(files[0]):
        _check_out(out, (*_TABLES, *output.PICTURES))
        if out is not None and out.suffix.lower() not in _TABLES:
            output.check_picture(out, found[0])
        _read_photo(found[0], out, face, as_json, model, settings)
    else:
        _check_out(out, _TABLES)
        _read_photos(found, out, face, as_json, _load(model, settings))


def _load(model: str | None, settings: dict[str, Any]) -> Editor:
    import mien

    return mien.load(model, **settings)


def _check_out(out: Path | None, suffixes: tuple[str, ...]) -> None:
    from mien.errors import ConfigError, ImageError
    from mien.packages import installed

    if out is not None and out.suffix.lower() not in suffixes:
        raise ImageError(f"cannot write `{out}`: unknown suffix", hint=f"end --out in {', '.join(suffixes)}")
    if out is not None and out.is_dir():
        raise ImageError(f"`{out}` is a folder", hint="give the name of a file")
    if out is not None and _CHARTS[-1] in suffixes and out.suffix.lower() in _CHARTS and not installed("matplotlib"):
        raise ConfigError("charts are drawn by matplotlib, which is not installed", hint="`pip install matplotlib`")


def _read_photo(
    photo: Path, out: Path | None, face: str, as_json: bool, model: str | None, settings: dict[str, Any]
) -> None:
    """Read one photo: print each face, and draw it or write a table."""
    import mien
    from mien.editing.figures import reading_figure

    picture = mien.read_photo(photo)
    editor = _load(model, settings)
    together = _faces_of(picture, face, editor)
    if as_json:
        print(
            json.dumps([{"face": n, **each.to_json(), **reading.to_json()} for n, each, reading in together], indent=1)
        )
    else:
        for each in together:
            print(_told(each, len(together)))
    if picture.frames > 1:
        say(f"only the first of {picture.frames} frames; `mien read` reads films (.mp4, .webm) whole")
    if out is None:
        return
    if out.suffix.lower() in _TABLES:
        _write_table(out, [_row(photo, *each) for each in together])
        return
    faces, readings = [each for _, each, _ in together], [reading for *_, reading in together]
    figure = reading_figure(picture, faces, readings, editor.space)
    output.write_picture(out, figure, None, None)
    say(f"drawn: {out}")


def _told(read: tuple[int, Face, FaceReading], faces: int) -> str:
    """Say what a face shows and, where there are several, where in the photo it is."""
    number, face, reading = read
    x0, y0, x1, y1 = face.detection.box
    place = f" (about x {(x0 + x1) / 2:.0f}, y {(y0 + y1) / 2:.0f})" if faces > 1 else ""
    return f"face {number}{place}: {reading.describe()}"


def _read_photos(photos: list[Path], out: Path | None, face: str, as_json: bool, editor: Editor) -> None:
    """Read many photos: print each face as a line, or write them as a table."""
    import mien
    from mien.errors import MienError

    rows, unread = [], 0
    for photo in photos:
        try:
            of_photo = _faces_of(mien.read_photo(photo), face, editor)
        except MienError as error:
            unread += 1
            say(f"{photo}: not read: {error}")
            continue
        for each in of_photo:
            rows.append(_row(photo, *each))
            if as_json:
                print(json.dumps(rows[-1]), flush=True)
            elif out is None:
                print(f"{photo}: {_told(each, len(of_photo))}", flush=True)
    say(f"{len(photos) - unread} of {len(photos)} photos read, {len(rows)} faces")
    if out is not None and rows:
        _write_table(out, rows)
    if unread:
        raise typer.Exit(1)


def _faces_of(photo: Photo, face: str, editor: Editor) -> list[tuple[int, Face, FaceReading]]:
    """Return the chosen faces of a photo with their numbers and what is read from them."""
    from mien.editing.photo import choose

    found = editor.find(photo)
    return [(found.index(each) + 1, each, editor.read(each)) for each in choose(found, face)]


def _row(photo: Path, number: int, face: Face, reading: FaceReading) -> dict[str, Any]:
    """Return a face as a row of a table."""
    from mien.editing.reading_tables import table_row

    return {"photo": str(photo), "face": number, **table_row(face, reading)}


def _read_film(film: Path, out: Path | None, face: str, as_json: bool, editor: Editor) -> None:
    """Read a film: print each frame as a line of JSON, or means over time; write a table or a chart."""
    from mien.editing.film_faces import find_faces
    from mien.editing.film_reading import read_film, summarise

    with frames_progress("finding faces") as report:
        found = find_faces(editor, film, read=False, report=report)
    readings: list[FrameReading] = []
    with frames_progress("reading") as report:
        for each in read_film(editor, film, faces=face, found=found, report=report):
            readings.append(each)
            if as_json:
                print(json.dumps(each.to_json()), flush=True)
    if not as_json:
        print("\n".join(str(summary) for summary in summarise(readings)))
    if out is not None and out.suffix.lower() in _TABLES:
        _write_table(out, [each.to_json() for each in readings])
    elif out is not None:
        from mien.editing.film_charts import film_figure
        from mien.plots import save_figure

        save_figure(film_figure(readings), out)
        say(f"drawn: {out}")


def _write_table(out: Path, rows: list[dict[str, Any]]) -> None:
    from mien.editing.reading_tables import write_table

    out.parent.mkdir(parents=True, exist_ok=True)
    write_table(out, rows)
    say(f"written: {out}")
