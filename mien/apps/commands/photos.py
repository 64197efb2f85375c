"""Commands about photos: edit, gamut, sweep, studio."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mien.apps import given, output
from mien.apps.options import photos as options
from mien.apps.options import shared
from mien.apps.output import say
from mien.errors import ImageError

if TYPE_CHECKING:
    from mien.editing.edits import Start
    from mien.editing.many import Outcome
    from mien.editing.photo import Editor


def edit(
    photos: options.Photos,
    output_name: options.EditOut,
    expression: shared.Expression = None,
    intensity: shared.Intensity = 0.9,
    angle: shared.Angle = None,
    face: shared.Faces = "all",
    by_face: shared.ByFace = None,
    origin: shared.Origin = "auto",
    profiles: options.Profiles = "skip",
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    quality: options.PictureQuality = 95,
    mark: shared.Marked = True,
    as_json: shared.Json = False,
) -> None:
    """Give the faces of photos another expression.

    A photo keeps its resolution, its colours, its transparency (in JPEG, which has none, that becomes white), and every
    pixel outside the faces. Of several photos, one that cannot be edited costs only itself; the exit code is then 1.

    Example: mien edit portrait.jpg --expression happy --intensity 0.8 -o smile.jpg

    Example: mien edit holidays/ 'party/*.jpg' --expression surprise -o surprised/ --json

    Example: mien edit wedding.jpg --for 1:happy --for 3:surprise@0.6 -o laughing.jpg
    """
    import mien
    from mien.editing.edits import check_wish, in_words, parse_start
    from mien.editing.kinds import check_photo
    from mien.editing.many import edit_photos, list_photos, parse_profiles, plan_outputs, summary

    wanted = given.wish_of(expression, angle, intensity, face, by_face)
    start, aside = parse_start(origin), parse_profiles(profiles)
    found, out, folder = list_photos(photos), Path(output_name), output_name.endswith(("/", os.sep))
    if one := len(found) == 1 and found[0][0] == Path(photos[0]) and not (folder or out.is_dir()):
        check_photo(found[0][0])
        output.check_picture(out, found[0][0])
        plan = [(found[0][0], out)]
    else:
        if out.suffix.lower() in output.PICTURES or out.is_file():
            raise ImageError(f"`{out}` is one picture for {len(found)} photos", hint="give a folder as --out")
        plan = plan_outputs(found, out)
    if one and not as_json:
        mien.read_photo(plan[0][0])  # the model takes seconds, since torch comes with it: say first what is wrong
    editor = mien.load(model, detector=detector, threshold=threshold)
    output.say_start(editor.model, start)
    for condition in wanted.values() if by_face else [wanted]:
        check_wish(editor.model, condition, start)  # refuse what the model cannot express before the slow part
    outcomes, said = [], in_words(wanted)
    how = {"faces": face, "start": start, "profiles": aside, "mark": mark, "quality": quality}
    for outcome in edit_photos(editor, plan, wanted, **how):
        outcomes.append(outcome)
        if as_json:
            print(json.dumps({**outcome.to_json(), "condition": said, "from": start}), flush=True)
        if one and outcome.error is not None:
            raise outcome.error
        if outcome.error is None and not as_json:
            print(outcome.out, flush=True)
        say(_told(outcome, said, one))
    if not one:
        say(summary(outcomes))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _told(outcome: Outcome, asked: str, one: bool) -> str:
    """Say in a line what became of a photo."""
    name = "" if one else f"{outcome.photo}: "
    if outcome.error is not None:
        return f"{name}not edited: {outcome.error}"
    edited = sum(not face.skipped for face in outcome.faces)
    skipped = [f"face {face.number} {face.skipped}" for face in outcome.faces if face.skipped]
    faces = f"{edited} of {outcome.found} face{'s' if outcome.found > 1 else ''} -> {asked}"
    left = f" (left as they are: {', '.join(skipped)})" if skipped else ""
    rest = ""
    if outcome.frames > 1:
        rest = f"; only the first of {outcome.frames} frames"
        rest += ", `mien video` edits all" if outcome.photo.suffix.lower() == ".gif" else ""
    return f"{name}{faces}{left}{rest}"


def gamut(
    photo: shared.Photo,
    out: options.PictureOut,
    face: shared.OneFace = "largest",
    origin: options.FigureOrigin = "auto",
    tile: options.Tile = 144,
    rings: options.Rings = 3,
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    mark: shared.Marked = True,
) -> None:
    """Draw the whole disc of one face's expressions as a picture.

    Directions run round, intensity outwards, neutral is the centre; the names stand at the angles that the model learned.

    Example: mien gamut portrait.jpg -o gamut.png
    """
    from mien.editing.edits import FIGURE_STARTS, parse_start
    from mien.editing.figures import gamut_figure
    from mien.loading import load

    start = parse_start(origin, FIGURE_STARTS)

    def draw(*given: Any) -> Any:
        return gamut_figure(*given, tile=tile, rings=rings, start=start)

    opened = partial(load, model, detector=detector, threshold=threshold)
    _figure(photo, out, face, opened, mark, "gamut", start, draw)


def sweep(
    photo: shared.Photo,
    out: options.PictureOut,
    expressions: options.Rows = None,
    intensities: options.Columns = "0,0.25,0.5,0.75,1",
    face: shared.OneFace = "largest",
    origin: options.FigureOrigin = "auto",
    tile: options.Tile = 160,
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    mark: shared.Marked = True,
) -> None:
    """Draw one face in rows of expressions with rising intensity.

    Example: mien sweep portrait.jpg --expressions happy,fear -o sweep.png
    """
    from mien.editing.edits import FIGURE_STARTS, parse_start
    from mien.editing.figures import sweep_figure
    from mien.errors import ConditionError
    from mien.expressions import parse_expression
    from mien.loading import load

    try:
        steps = [float(part) for part in intensities.split(",")]
    except ValueError:
        raise ConditionError(f"`{intensities}` is no list of numbers", hint="for example `0,0.5,1`") from None
    names = [parse_expression(name) for name in expressions.split(",")] if expressions is not None else None
    start = parse_start(origin, FIGURE_STARTS)

    def draw(*given: Any) -> Any:
        return sweep_figure(*given, intensities=steps, expressions=names, tile=tile, start=start)

    opened = partial(load, model, detector=detector, threshold=threshold)
    _figure(photo, out, face, opened, mark, "sweep", start, draw)


def studio(
    files: options.StudioFiles = None,
    port: shared.Port = 8001,
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    mark: shared.Marked = True,
) -> None:
    """Edit photos and films on a local page.

    Point at the disc, see the face at once. Nothing leaves the machine, and the page opens only with the whole address
    that is printed. Photos and films are opened there (or given here), and saved at their own resolution as downloads of
    the browser; a file that was opened is never written to. Ctrl-C ends it.

    Example: mien studio portrait.jpg talk.mp4

    Example: mien studio --model runs/mine --port 8080
    """
    import mien
    from mien.apps import studio as page
    from mien.apps.pages import ended_by_signals
    from mien.editing.studio import Studio
    from mien.errors import MienError
    from mien.films import is_film

    opened = Studio(mien.load(model, detector=detector, threshold=threshold), mark=mark)
    chosen = {"--model": (model, None), "--detector": (detector, "mtcnn"), "--threshold": (threshold, 0.7)}
    same = [part for name, (value, usual) in chosen.items() if value != usual for part in (name, str(value))]
    options_of_edit = same if mark else [*same, "--no-mark"]
    with ended_by_signals(), page.serve(opened, port, options_of_edit) as server, contextlib.closing(opened):
        failed: MienError | None = None
        for file in files or []:
            try:
                opened.open_film(file, file.name) if is_film(file) else opened.open(file, file.name)
            except MienError as error:
                failed = error
                if len(files or []) > 1:
                    say(f"{file}: not opened: {error}" + f" ({error.hint})" * bool(error.hint))
        if failed is not None and not opened.describe()["open"]:
            raise failed
        say(f"{server.address} is the studio; Ctrl-C ends it")
        server.serve_forever()


def _figure(
    photo: Path, out: Path, which: str, load: Callable[[], Editor], mark: bool, kind: str, start: Start, draw: Any
) -> None:
    import mien
    from mien.editing.edits import check_start
    from mien.editing.kinds import check_photo
    from mien.editing.photo import choose
    from mien.errors import FaceError

    check_photo(photo)
    output.check_picture(out, photo)
    if which == "all":
        raise FaceError(f"`mien {kind}` draws one face", hint="give `--face largest` or a number from 1")
    picture = mien.read_photo(photo)
    editor = load()
    output.say_start(editor.model, start)
    check_start(editor.model, start)
    face = choose(editor.find(picture), which)[0]
    pixels = draw(editor, picture.opaque(), face)
    written = editor.mark(kind) if mark else None
    output.write_picture(out, pixels, replace(picture.opaque(), pixels=pixels), written)
    print(out)
