"""The command line `mien`: thin commands over the package.

Data goes to stdout, talk to stderr. What a user can cause ends as one line, a `hint:` line and exit code 2. Everything
heavy is imported inside the commands, so that `mien --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from mien.apps.commands import COMMANDS
from mien.apps.output import say
from mien.errors import MienError
from mien.version import VERSION

app = typer.Typer(
    name="mien",
    help="Edit, learn and measure facial expressions. `mien COMMAND --help` tells more about each command.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


#: The extra of the package that brings what a command may miss; `train` brings what is not listed.
_EXTRAS = {
    "av": "video",
    "jinja2": "bench",
    "matplotlib": "bench",
    "huggingface_hub": "hub",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "export",
    "ray": "ray",
    "torch": "torch",
    "jaxtyping": "torch",
}
#: The extra that brings all that a command needs, where that is more than torch; named whichever of it is missing.
_EXTRAS_OF_COMMANDS = {
    **dict.fromkeys(("bench", "curves", "experiment", "train-judge"), "bench"),
    "export": "export",
    "train": "train",
}
_IN_ALL_OF_THEM = ("torch", "jaxtyping", "lightning")
#: Commands that go on where Ctrl-C stopped them; `train` says by itself after which step.
_RESUMED = ("augment", "bench", "combine", "prepare", "train-judge", "unpack")

for _command in COMMANDS:
    app.command()(_command)


def _fail(message: str, hint: str) -> NoReturn:
    say(f"error: {' '.join(message.split())}")
    if hint:
        say(f"hint: {hint}")
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
        package = error.name.split(".")[0]
        extra = _EXTRAS.get(package, "train")
        if package in _IN_ALL_OF_THEM:
            extra = next((_EXTRAS_OF_COMMANDS[word] for word in arguments[:1] if word in _EXTRAS_OF_COMMANDS), extra)
        what = {"lightning": "lightning-fabric"}.get(package, package)
        _fail(f"`{what}` is not installed", f"`pip install 'mien[{extra}]'` brings it")
    except OSError as error:
        where = f" `{error.filename}`" if error.filename else ""
        _fail(f"cannot read or write{where}: {error.strerror or error}", "check path, permissions and free space")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        resumed = bool(arguments) and arguments[0] in _RESUMED
        say("stopped; the same command goes on from there" if resumed else "stopped")
    raise SystemExit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
