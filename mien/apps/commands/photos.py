"""Commands that edit photos: edit, gamut, sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.apps import given, options, output
from mien.apps.output import say


def edit(
    photo: options.Photo,
    out: options.PictureOut,
    expression: options.Expression = None,
    intensity: options.Intensity = 0.9,
    angle: options.Angle = None,
    face: options.Faces = "all",
    model: options.Model = None,
    threshold: options.Threshold = 0.7,
    mark: options.Marked = True,
) -> None:
    """Give the faces of a photo another expression.

    The photo keeps its resolution, its colours, its transparency, and every pixel outside the faces.

    Example: mien edit portrait.jpg --expression happy --intensity 0.8 -o smile.jpg
    """
    import mien
    from mien.provenance import EditMark

    condition = given.condition(expression, angle, intensity)
    output.check_picture(out, photo)
    picture = mien.read_photo(photo)
    from mien.editing.photo import choose  # seconds: torch comes with it, and a wrong path should not wait for that

    editor = mien.load(model, thresholds=given.thresholds(threshold))
    editor.space.code(condition)  # refuse what the model cannot express before the slow part
    faces = editor.find(picture)
    chosen = choose(faces, face)
    pixels = editor.paste(picture, [editor.render(found, [condition])[0] for found in chosen])
    written = EditMark(condition=str(condition), model=f"{editor.model.name} {editor.model.sha256}") if mark else None
    output.write_picture(out, pixels, picture, written)
    say(f"{len(chosen)} of {len(faces)} face{'s' if len(faces) > 1 else ''} -> {condition}")
    print(out)


def gamut(
    photo: options.Photo,
    out: options.PictureOut,
    face: options.OneFace = "largest",
    tile: options.Tile = 144,
    rings: options.Rings = 3,
    model: options.Model = None,
    threshold: options.Threshold = 0.7,
    mark: options.Marked = True,
) -> None:
    """Draw the whole disc of one face's expressions as a picture.

    Directions run round, intensity outwards, neutral is the centre; the names stand at the angles that the model learned.

    Example: mien gamut portrait.jpg -o gamut.png
    """
    from mien.editing.figures import gamut_figure

    def draw(*given: Any) -> Any:
        return gamut_figure(*given, tile=tile, rings=rings)

    _figure(photo, out, face, model, threshold, mark, "gamut", draw)


def sweep(
    photo: options.Photo,
    out: options.PictureOut,
    expressions: options.Rows = None,
    intensities: options.Columns = "0,0.25,0.5,0.75,1",
    face: options.OneFace = "largest",
    tile: options.Tile = 160,
    model: options.Model = None,
    threshold: options.Threshold = 0.7,
    mark: options.Marked = True,
) -> None:
    """Draw one face in rows of expressions with rising intensity.

    Example: mien sweep portrait.jpg --expressions happy,fear -o sweep.png
    """
    from mien.editing.figures import sweep_figure
    from mien.errors import ConditionError
    from mien.expressions import parse_expression

    try:
        steps = [float(part) for part in intensities.split(",")]
    except ValueError:
        raise ConditionError(f"`{intensities}` is no list of numbers", hint="for example `0,0.5,1`") from None
    names = [parse_expression(name) for name in expressions.split(",")] if expressions is not None else None

    def draw(*given: Any) -> Any:
        return sweep_figure(*given, intensities=steps, expressions=names, tile=tile)

    _figure(photo, out, face, model, threshold, mark, "sweep", draw)


def _figure(
    photo: Path, out: Path, which: str, model: str | None, threshold: float, mark: bool, kind: str, draw: Any
) -> None:
    import mien
    from mien.editing.photo import choose
    from mien.errors import FaceError
    from mien.provenance import EditMark

    output.check_picture(out, photo)
    if which == "all":
        raise FaceError(f"`mien {kind}` draws one face", hint="give `--face largest` or a number from 1")
    picture = mien.read_photo(photo)
    editor = mien.load(model, thresholds=given.thresholds(threshold))
    face = choose(editor.find(picture), which)[0]
    pixels = draw(editor, picture, face)
    written = EditMark(condition=kind, model=f"{editor.model.name} {editor.model.sha256}") if mark else None
    output.write_picture(out, pixels, None, written)
    print(out)
