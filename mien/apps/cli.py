"""The command line `mien`: thin commands over the package.

Data goes to stdout, talk to stderr. What a user can cause ends as one line, a `hint:` line and exit code 2. Everything
heavy is imported inside the commands, so that `mien --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mien.apps import options
from mien.errors import MienError
from mien.version import VERSION

app = typer.Typer(
    name="mien",
    help="Edit, learn and measure facial expressions. `mien COMMAND --help` tells more about each command.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

#: Kinds of pictures that can be written, by suffix.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


# --- editing -----------------------------------------------------------------------------------------------------


@app.command()
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

    condition = _condition(expression, angle, intensity)
    _check_picture(out, photo)
    picture = mien.read_photo(photo)
    from mien.editing.photo import choose  # seconds: torch comes with it, and a wrong path should not wait for that

    editor = mien.load(model, thresholds=_thresholds(threshold))
    editor.space.code(condition)  # refuse what the model cannot express before the slow part
    faces = editor.find(picture)
    chosen = choose(faces, face)
    pixels = editor.paste(picture, [editor.render(found, [condition])[0] for found in chosen])
    written = EditMark(condition=str(condition), model=f"{editor.model.name} {editor.model.sha256}") if mark else None
    _write(out, pixels, picture, written)
    _say(f"{len(chosen)} of {len(faces)} face{'s' if len(faces) > 1 else ''} -> {condition}")
    print(out)


@app.command()
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


@app.command()
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


# --- data and training -------------------------------------------------------------------------------------------


@app.command()
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
    from mien.faces import DETECTORS, align_batch
    from mien.prepared import prepare as write_prepared

    if dataset not in READERS:
        raise ConfigError(f"unknown dataset `{dataset}`", hint=f"known: {', '.join(READERS)}")
    if detector != "none" and detector not in DETECTORS:
        raise ConfigError(f"unknown detector `{detector}`", hint=f"known: none, {', '.join(DETECTORS)}")
    if source is None and dataset != "drawn":
        hint = f"for example `mien prepare {dataset} SOURCE --out {out}`"
        raise ConfigError(f"`{dataset}` needs the folder or file it lies in", hint=hint)
    reader_options = _reader_options(dataset, _settings(option or [], "--option"))
    if dataset == "drawn":
        reader_options.setdefault("size", size)
    finder = DETECTORS[detector]() if detector != "none" else None
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
            _say(f"{split}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if rejected := prepared.manifest["rejected"]:
        _say(f"rejected: {rejected}, see {out / 'rejected.csv'}")
    print(out)


@app.command()
def train(
    preset: options.Preset,
    data: options.Data,
    out: options.RunOut,
    setting: options.Settings = None,
    init: options.Init = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train a preset on a prepared set.

    The run folder fills with losses, sample pictures and checkpoints. The same command resumes what was interrupted.

    Example: mien train smoke --data data/drawn --out runs/smoke --set steps=1000
    """
    import dataclasses

    from mien.presets import configure, find_preset

    found = find_preset(preset)
    method_config, train_config = configure(found, _settings(setting or [], "--set"))
    if dry_run:
        whole = {"method": dataclasses.asdict(method_config), "train": dataclasses.asdict(train_config)}
        print(json.dumps(whole, indent=2))
        return
    from mien.apps.progress import ProgressBar
    from mien.training import Progress
    from mien.training import train as run_training

    with ProgressBar("training", train_config.steps) as bar:

        def report(progress: Progress) -> None:
            losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            bar.advance(progress.step, progress.steps, f"{progress.images_per_second:.0f} images/s  {losses}")

        run_training(preset, found.method, method_config, train_config, data, out, report, init)
    print(out)


@app.command()
def presets() -> None:
    """List what can be trained, and the number that each promises."""
    from mien.presets import PRESETS

    for name, preset in PRESETS.items():
        print(f"{name}\n    {preset.summary}\n    promise: {preset.promise}")


@app.command()
def export(run: options.RunFolder, out: options.WeightsOut) -> None:
    """Write a run's model as one file, for others to use.

    The averaged weights go, in half precision, into a .safetensors file; a JSON beside it tells where they come from.

    Example: mien export runs/smoke -o smoke.safetensors
    """
    from mien.pretrained import export as write_weights
    from mien.runs import Run

    print(write_weights(Run.read(run), out))


# --- helpers of the commands -------------------------------------------------------------------------------------


def _condition(expression: str | None, angle: float | None, intensity: float) -> Any:
    import math

    from mien.errors import ConditionError
    from mien.spaces import Condition

    if (expression is None) == (angle is None):
        raise ConditionError("give either --expression or --angle", hint="for example `--expression happy`")
    if angle is not None:
        return Condition.polar(math.radians(angle), intensity)
    return Condition.parse(expression or "", intensity)


def _thresholds(threshold: float) -> tuple[float, float, float]:
    # MTCNN's first two stages only propose; they must let through what the last one is to judge.
    return (min(0.6, threshold), min(0.7, threshold), threshold)


def _figure(
    photo: Path, out: Path, which: str, model: str | None, threshold: float, mark: bool, kind: str, draw: Any
) -> None:
    import mien
    from mien.editing.photo import choose
    from mien.errors import FaceError
    from mien.provenance import EditMark

    _check_picture(out, photo)
    if which == "all":
        raise FaceError(f"`mien {kind}` draws one face", hint="give `--face largest` or a number from 1")
    picture = mien.read_photo(photo)
    editor = mien.load(model, thresholds=_thresholds(threshold))
    face = choose(editor.find(picture), which)[0]
    pixels = draw(editor, picture, face)
    written = EditMark(condition=kind, model=f"{editor.model.name} {editor.model.sha256}") if mark else None
    _write(out, pixels, None, written)
    print(out)


def _check_picture(out: Path, photo: Path) -> None:
    """Refuse a file name that could not be written, before the work and not after it."""
    from mien.errors import ImageError

    if out.suffix.lower() not in PICTURES:
        raise ImageError(f"cannot write `{out}`: unknown suffix", hint=f"end --out in {', '.join(PICTURES)}")
    if out.exists() and photo.exists() and out.samefile(photo):
        raise ImageError(f"{out} is the photo itself", hint="give another --out, so that the original stays")


def _write(out: Path, pixels: Any, like: Any, mark: Any) -> None:
    from mien.images import write_photo

    out.parent.mkdir(parents=True, exist_ok=True)
    write_photo(out, pixels, like=like, mark=mark)


def _settings(pairs: list[str], option: str) -> dict[str, str]:
    from mien.errors import ConfigError

    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"`{option} {pair}` is not key=value", hint=f"for example `{option} KEY=VALUE`")
        settings[key.strip()] = value.strip()
    return settings


def _reader_options(dataset: str, settings: dict[str, str]) -> dict[str, Any]:
    """Turn `--option`s into arguments of the dataset's reader, of the type that its defaults have."""
    import inspect

    from mien.datasets import READERS
    from mien.errors import ConfigError

    known = {name: p.default for name, p in inspect.signature(READERS[dataset]).parameters.items() if name != "source"}
    chosen: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"`{dataset}` has no option `{name}`", hint=f"known: {', '.join(known)}")
        try:
            chosen[name] = int(value) if isinstance(known[name], int) else value
        except ValueError:
            raise ConfigError(f"{name}={value} is no whole number", hint=f"for example {name}={known[name]}") from None
    return chosen


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(message: str, hint: str) -> NoReturn:
    _say(f"error: {' '.join(message.split())}")
    if hint:
        _say(f"hint: {hint}")
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; whatever a user can cause becomes two lines on stderr and exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    usage_error = typer.BadParameter.__mro__[1]  # typer shows no name for what all errors in options have in common
    code = None
    try:
        code = app(arguments or ["--help"], prog_name="mien", standalone_mode=False)
    except MienError as error:
        _fail(str(error), error.hint)
    except usage_error as error:  # type: ignore[misc]
        context = getattr(error, "ctx", None)
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        _fail(message[:1].lower() + message[1:], f"`{context.command_path if context else 'mien'} --help` tells more")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("mien"):
            raise
        _fail(f"`{error.name}` is not installed", "`pip install 'mien[train]'` brings what training and Parquet need")
    except OSError as error:
        where = f" `{error.filename}`" if error.filename else ""
        _fail(f"cannot read or write{where}: {error.strerror or error}", "check path, permissions and free space")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        _say("stopped")
    raise SystemExit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
