"""The command line `mien`: thin commands over the package.

Data goes to stdout, talk to stderr. What a user can cause ends as one line, a `hint:` line and exit code 2. Everything
heavy is imported inside the commands, so that `mien --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mien.errors import MienError
from mien.version import VERSION

app = typer.Typer(
    name="mien",
    help="Edit, learn and measure facial expressions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A shipped model's name, a run folder or a .safetensors file.",
        show_default="the shipped one",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        help="Confidence from which the detector calls something a face; lower finds more.", min=0.05, max=0.99
    ),
]
Faces = Annotated[
    str,
    typer.Option(
        "--face", "-f", help="`all`, `largest`, or a number from 1, counted from the largest.", metavar="WHICH"
    ),
]
Marked = Annotated[
    bool,
    typer.Option("--mark/--no-mark", help="Write into the picture's metadata that it was edited by AI (XMP, IPTC)."),
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mien {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# --- editing -----------------------------------------------------------------------------------------------------


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(help="The photo to edit.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it: .png, .jpg or .webp.")],
    expression: Annotated[
        str | None,
        typer.Option(
            "--expression", "-e", help="A name (`happy`) or a blend (`happy:0.6,surprise:0.4`).", metavar="NAMES"
        ),
    ] = None,
    intensity: Annotated[float, typer.Option("--intensity", "-i", help="0 (neutral) to 1 (strongest).")] = 0.9,
    angle: Annotated[float | None, typer.Option(help="Instead of names: a direction on the disc, in degrees.")] = None,
    face: Faces = "all",
    model: Model = None,
    threshold: Threshold = 0.7,
    mark: Marked = True,
) -> None:
    """Give the faces of a photo another expression, at the photo's own resolution."""
    import mien
    from mien.editing.photo import choose
    from mien.provenance import EditMark

    condition = _condition(expression, angle, intensity)
    picture = mien.read_photo(photo)
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
    photo: Annotated[Path, typer.Argument(help="The photo whose face is drawn.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the picture: .png, .jpg or .webp.")],
    face: Faces = "largest",
    tile: Annotated[int, typer.Option(help="Side of one face in pixels.", min=32, max=512)] = 144,
    rings: Annotated[int, typer.Option(help="Rings of faces round the centre.", min=1, max=6)] = 3,
    model: Model = None,
    threshold: Threshold = 0.7,
    mark: Marked = True,
) -> None:
    """Draw the whole disc as one picture: directions round, intensity outwards, names at their learned angles."""
    from mien.editing.figures import gamut_figure

    _figure(
        photo, out, face, model, threshold, mark, "gamut", lambda *given: gamut_figure(*given, tile=tile, rings=rings)
    )


@app.command()
def sweep(
    photo: Annotated[Path, typer.Argument(help="The photo whose face is drawn.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the picture: .png, .jpg or .webp.")],
    expressions: Annotated[
        str | None, typer.Option(help="Comma-separated names.", show_default="all of the model's", metavar="NAMES")
    ] = None,
    intensities: Annotated[str, typer.Option(help="Comma-separated numbers from 0 to 1.")] = "0,0.25,0.5,0.75,1",
    face: Faces = "largest",
    tile: Annotated[int, typer.Option(help="Side of one face in pixels.", min=32, max=512)] = 160,
    model: Model = None,
    threshold: Threshold = 0.7,
    mark: Marked = True,
) -> None:
    """Draw rows of expressions with rising intensity, as papers show it."""
    from mien.editing.figures import sweep_figure
    from mien.errors import ConditionError
    from mien.expressions import parse_expression

    try:
        steps = [float(part) for part in intensities.split(",")]
    except ValueError:
        raise ConditionError(f"`{intensities}` is no list of numbers", hint="for example `0,0.5,1`") from None
    names = [parse_expression(name) for name in expressions.split(",")] if expressions else None

    def draw(*given: Any) -> Any:
        return sweep_figure(*given, intensities=steps, expressions=names, tile=tile)

    _figure(photo, out, face, model, threshold, mark, "sweep", draw)


# --- data and training -------------------------------------------------------------------------------------------


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="fer2013, folder or drawn.")],
    source: Annotated[
        Path | None, typer.Argument(help="Where the dataset lies; `drawn` needs none.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the prepared set.")] = ...,  # type: ignore[assignment]
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=16, max=1024)] = 48,
    detector: Annotated[
        str, typer.Option(help="`mtcnn` finds and aligns each face; `none` takes images that are cut out already.")
    ] = "none",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            help="Reader's option as key=value, e.g. labels=ferplus or count=5000; repeatable.",
            metavar="KEY=VALUE",
        ),
    ] = None,
) -> None:
    """Read a dataset as it lies on disk and write it in the one format that training reads.

    The same command resumes what was interrupted. What could not be used is listed in OUT/rejected.csv.
    """
    import functools

    from mien.datasets import READERS
    from mien.errors import ConfigError
    from mien.faces import DETECTORS, align_batch
    from mien.prepared import prepare as write_prepared

    if dataset not in READERS:
        raise ConfigError(f"unknown dataset `{dataset}`", hint=f"known: {', '.join(READERS)}")
    if detector != "none" and detector not in DETECTORS:
        raise ConfigError(f"unknown detector `{detector}`", hint=f"known: none, {', '.join(DETECTORS)}")
    options = {key: _number(value) for key, value in _settings(option or []).items()}
    if dataset == "drawn":
        options.setdefault("size", size)
    elif source is None:
        raise ConfigError(
            f"`{dataset}` needs the folder or file it lies in", hint=f"mien prepare {dataset} SOURCE --out DIR"
        )
    try:
        samples = READERS[dataset](source, **options)
    except TypeError as error:
        raise ConfigError(f"{dataset}: {error}", hint="`docs/datasets.md` lists each reader's options") from None
    crop = functools.partial(align_batch, DETECTORS[detector](), size=size) if detector != "none" else None
    with _bar("preparing") as advance:
        prepared = write_prepared(
            samples,
            out,
            dataset=dataset,
            size=size,
            options=options,
            source=str(source or ""),
            detector={"name": detector} if crop else None,
            crop=crop,
            report=advance,
        )
    for split, counts in prepared.manifest["counts"].items():
        if sum(counts.values()):
            _say(f"{split}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if rejected := prepared.manifest["rejected"]:
        _say(f"rejected: {rejected}, see {out / 'rejected.csv'}")
    print(out)


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="`mien presets` lists them.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="A prepared set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder; the same command resumes it.")],
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting; repeatable.", metavar="KEY=VALUE")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the whole configuration and stop.")] = False,
) -> None:
    """Train a preset on a prepared set."""
    import dataclasses

    from mien.presets import configure, find_preset

    found = find_preset(preset)
    method_config, train_config = configure(found, _settings(setting or []))
    if dry_run:
        whole = {"method": dataclasses.asdict(method_config), "train": dataclasses.asdict(train_config)}
        print(json.dumps(whole, indent=2))
        return
    from mien.training import Progress
    from mien.training import train as run_training

    with _bar("training", train_config.steps) as advance:

        def report(progress: Progress) -> None:
            losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            advance(progress.step, progress.steps, f"{progress.images_per_second:.0f} images/s  {losses}")

        run_training(preset, found.method, method_config, train_config, data, out, report)
    print(out)


@app.command()
def presets() -> None:
    """List what can be trained, with the number that each preset promises."""
    from mien.presets import PRESETS

    for name, preset in PRESETS.items():
        print(f"{name}\n    {preset.summary}\n    promise: {preset.promise}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file; its JSON is written beside it.")],
) -> None:
    """Write a run's averaged model as safetensors (half precision) with its JSON."""
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

    picture = mien.read_photo(photo)
    editor = mien.load(model, thresholds=_thresholds(threshold))
    if which == "all":
        raise FaceError(f"`mien {kind}` draws one face", hint="give `--face largest` or a number from 1")
    face = choose(editor.find(picture), which)[0]
    pixels = draw(editor, picture, face)
    written = EditMark(condition=kind, model=f"{editor.model.name} {editor.model.sha256}") if mark else None
    _write(out, pixels, None, written)
    print(out)


def _write(out: Path, pixels: Any, like: Any, mark: Any) -> None:
    from mien.errors import ImageError
    from mien.images import write_photo

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"cannot write to {out.parent}: {error.strerror}", hint="choose another --out") from None
    write_photo(out, pixels, like=like, mark=mark)


def _settings(pairs: list[str]) -> dict[str, str]:
    from mien.errors import ConfigError

    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"`{pair}` is not key=value", hint="for example `--set batch_size=32`")
        settings[key.strip()] = value.strip()
    return settings


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class _bar:
    """A progress bar on stderr: rich's where rich is installed and stderr is a terminal, else a line now and then."""

    def __init__(self, title: str, total: int | None = None) -> None:
        self.title, self.total = title, total
        self.progress: Any = None
        self.told = -1.0

    def __enter__(self) -> Any:
        if sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            except ImportError:
                return self._line
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=Console(stderr=True),
            )
            self.progress.start()
            self.task = self.progress.add_task(self.title, total=self.total, detail="")
            return self._move
        return self._line

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    def _move(self, done: int, total: int | None, detail: str = "") -> None:
        self.progress.update(self.task, completed=done, total=total, detail=detail)

    def _line(self, done: int, total: int | None, detail: str = "") -> None:
        import time

        now = time.monotonic()
        if now - self.told > 5 or done == total:
            self.told = now
            _say(f"{self.title} {done}{f'/{total}' if total else ''} {detail}".rstrip())


def main() -> None:
    """Run the command line; a `MienError` becomes two lines on stderr and exit code 2."""
    try:
        app()
    except MienError as error:
        _say(f"error: {error}")
        if error.hint:
            _say(f"hint: {error.hint}")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _say("stopped")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
