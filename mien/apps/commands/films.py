"""Commands that move: video, animate, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.apps import given, output
from mien.apps.options import films as options
from mien.apps.options import shared
from mien.apps.output import say
from mien.apps.progress import frames_progress

if TYPE_CHECKING:
    from mien.editing.film_faces import FilmFaces


def video(
    film: options.Film,
    out: options.FilmOut = None,
    expression: shared.Expression = None,
    intensity: shared.Intensity = 0.9,
    angle: shared.Angle = None,
    at: options.At = None,
    face: options.FilmFaces = "all",
    by_face: options.FilmByFace = None,
    origin: shared.Origin = "auto",
    profiles: options.FilmProfiles = "skip",
    smallest: options.Smallest = None,
    crf: options.Quality = None,
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    mark: shared.Marked = True,
    list_faces: options.ListFaces = False,
) -> None:
    """Give the faces of a film another expression.

    It is the same all the time, or changes by keyframes (`--at`, or `--for` for each face its own). A first pass follows
    the faces, a second one edits them. Times, sound, shape and colours of the film stay; frames without a face are only
    encoded again. The film is written whole or not at all.

    Example: mien video holiday.mp4 --expression happy --intensity 0.8 -o happy.mp4

    Example: mien video talk.mov --at 0:neutral --at 2.5:surprise@0.9 --at 4:neutral --face largest -o talk.mp4

    Example: mien video duet.mp4 --for 1:happy --for 2@0:neutral --for 2@2.5:sad -o duet-edited.mp4
    """
    from mien.editing.kinds import check_film
    from mien.errors import FilmError

    if list_faces == (out is not None):
        raise FilmError("give either --out or --list", hint="for example `mien video film.mp4 -e happy -o out.mp4`")
    check_film(film)  # the model takes seconds, since torch comes with it: say first what is wrong
    wanted = None if list_faces else _keyframes(expression, angle, intensity, at, face, by_face)

    import mien
    from mien.editing.edits import in_words, parse_start, reads_first
    from mien.editing.film import check_film_out, edit_film
    from mien.editing.film_faces import find_faces
    from mien.editing.film_rendering import check_film_wishes
    from mien.editing.many import parse_profiles

    start, aside = parse_start(origin), parse_profiles(profiles)
    if out is not None:
        check_film_out(film, out)
    editor = mien.load(model, detector=detector, threshold=threshold)
    output.say_start(editor.model, start)
    if wanted is not None:
        check_film_wishes(editor, wanted.values() if by_face else [wanted], start)
    with frames_progress("finding faces") as report:
        read = reads_first(start) and not list_faces
        found = find_faces(editor, film, smallest=smallest, read=read, report=report)
    if out is None or wanted is None:
        _list(found)
        return
    with frames_progress("editing") as report:
        settings: dict[str, Any] = {"faces": face, "start": start, "profiles": aside, "crf": crf, "mark": mark}
        done = edit_film(editor, film, out, wanted, **settings, found=found, report=report)
    summary = f"{done.edited} of {done.frames} frames, {done.faces} of {len(found.faces)} faces -> {in_words(wanted)}"
    say("\n".join([*done.notes, summary]))
    print(out)


def _keyframes(
    expression: str | None, angle: float | None, intensity: float, at: list[str] | None, face: str,
    by_face: list[str] | None,
) -> Any:  # fmt: skip
    """Return the keyframes of the faces that --face chooses, or those of single faces by number."""
    from mien.editing.keyframes import Keyframes
    from mien.errors import ConditionError

    if at and (expression is not None or angle is not None or by_face):
        hint = given.FOR_MOMENTS if by_face else "for example `--at 0:neutral --at 2.5:surprise@0.9`"
        raise ConditionError("--at stands for --expression, --angle and --for", hint=hint)
    if at:
        return Keyframes.parse(at, intensity)
    if by_face:
        given.check_alone(expression, angle, face)
        return given.film_wishes(by_face, intensity)
    return Keyframes.constant(given.condition(expression, angle, intensity))


def _list(found: FilmFaces) -> None:
    """Print the faces of a film as a table, tab-separated: places are those of the middle of its time."""
    print("face\tfrom_seconds\tto_seconds\tx\ty\tside")
    for face in found.faces:
        middle = face.landmarks[len(face.landmarks) // 2]
        x, y = middle.mean(axis=0)
        side = 2 * max(middle.max(axis=0) - middle.min(axis=0))
        begin, end = found.seconds[face.first], found.seconds[face.last]
        print(f"{face.number}\t{begin:.2f}\t{end:.2f}\t{x:.0f}\t{y:.0f}\t{side:.0f}")


def animate(
    photo: shared.Photo,
    out: options.AnimationOut,
    path: options.WalkPath = "disc",
    expression: shared.Expression = None,
    angle: shared.Angle = None,
    intensity: shared.Intensity = 0.9,
    seconds: options.Seconds = 4.0,
    size: options.AnimationSize = 640,
    face: shared.OneFace = "largest",
    origin: shared.Origin = "auto",
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
    mark: shared.Marked = True,
) -> None:
    """Let a photo's face walk through its expressions.

    The animation repeats without a seam.

    Example: mien animate portrait.jpg -o disc.gif

    Example: mien animate portrait.jpg --path sweep --expression surprise --seconds 3 -o surprise.webp
    """
    import mien
    from mien.conditions import Condition
    from mien.editing.edits import check_start, parse_start
    from mien.editing.film import check_film_out
    from mien.editing.photo import choose
    from mien.editing.walks import animate_photo, frames_for, walk
    from mien.errors import ConditionError, FaceError

    check_film_out(photo, out)
    if face == "all":
        raise FaceError("`mien animate` moves one face", hint="give `--face largest` or a number from 1")
    if path == "disc" and (expression is not None or angle is not None):
        raise ConditionError("the whole disc has no --expression", hint="leave it out, or give `--path sweep`")
    if path == "sweep" or expression is not None or angle is not None:
        wanted = given.condition(expression, angle, intensity)
    else:
        wanted = Condition.polar(0.0, intensity)
    start = parse_start(origin)
    picture = mien.read_photo(photo)
    editor = mien.load(model, detector=detector, threshold=threshold)
    output.say_start(editor.model, start)
    check_start(editor.model, start)  # before a folder is made, and faces are looked for
    conditions = walk(path, editor.space, frames_for(seconds, out.suffix), wanted)
    chosen = choose(editor.find(picture), face)[0]
    said = f"{path}: {wanted}" if path == "sweep" else f"{path} @ {intensity:g}"
    written = editor.mark(said) if mark else None
    with frames_progress("frames") as report:
        settings: dict[str, Any] = {"seconds": seconds, "size": size, "start": start, "mark": written}
        animate_photo(editor, picture, chosen, conditions, out, **settings, report=report)
    print(out)


def live(
    camera: options.Camera = "0",
    film: options.CameraFilm = None,
    port: shared.Port = 8000,
    expression: shared.Expression = "happy",
    intensity: shared.Intensity = 0.8,
    face: options.LiveFaces = "all",
    origin: shared.Origin = "auto",
    model: shared.Model = None,
    detector: shared.FaceDetector = "mtcnn",
    threshold: shared.Threshold = 0.7,
) -> None:
    """Show a camera with other expressions, on a local page.

    Only this machine can see the page. It has the disc to point at and a slider for the intensity. Nothing is recorded,
    and nothing leaves the machine. Ctrl-C ends it.

    Example: mien live

    Example: mien live --film holiday.mp4 --port 8080
    """
    import mien
    from mien.apps import live as page
    from mien.conditions import Condition
    from mien.editing.edits import parse_start
    from mien.editing.live import LiveEditor, Wish, camera_source, film_source
    from mien.errors import FaceError

    if face not in ("all", "largest"):
        raise FaceError(f"`{face}` chooses no face of a camera", hint="give `all` or `largest`")
    wish = Wish(Condition.parse(expression or "happy", intensity))
    start = parse_start(origin)
    source = film_source(film) if film is not None else camera_source(camera)
    editor = mien.load(model, detector=detector, threshold=threshold)
    output.say_start(editor.model, start)
    shown = LiveEditor(editor, source, wish, faces=face, start=start)
    server = page.serve(shown, port)
    shown.start()
    say(f"{server.address} shows it; Ctrl-C ends it")
    page.run(server, shown)
