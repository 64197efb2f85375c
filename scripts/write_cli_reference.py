"""Write docs/cli.md from the commands themselves: `python scripts/write_cli_reference.py`, or `make docs`.

What the page says stands in mien/apps/cli.py (docstrings) and mien/apps/options/ (help); typer's printed help is not
used, since its layout changes with typer's version and the width of the terminal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer.main

from mien.apps.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

_OPENING = """\
# Commands

`mien COMMAND --help` says the same in the terminal; `mien --version` prints the version. Results go to stdout, talk to
stderr. Bad input gets one line that says what is wrong, a `hint:` line, and exit code 2; files are written whole or not
at all.

This page is written by `scripts/write_cli_reference.py`: change the commands, not the page.
"""


def reference() -> str:
    """Return the page."""
    commands: Any = typer.main.get_command(app)
    return "\n".join([_OPENING, *(_section(command) for command in commands.commands.values())])


def _section(command: Any) -> str:
    """Return what a command is for, how it is called, and a table of its arguments and options."""
    paragraphs = [" ".join(part.split()) for part in command.help.split("\n\n")]
    about = [part for part in paragraphs if not part.startswith("Example: ")]
    examples = [part.removeprefix("Example: ") for part in paragraphs if part not in about]
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    lines = [f"## mien {command.name}", "", *(line for part in about for line in (part, ""))]
    lines += ["```", _usage(command.name, parameters), "```", ""]
    lines += [line for example in examples for line in (f"For example `{example}`", "")]
    if parameters:
        lines += ["| | | default |", "|---|---|---|", *map(_row, parameters), ""]
    return "\n".join(lines)


def _usage(name: str, parameters: list[Any]) -> str:
    """Return the shortest call, with what may be left out in brackets."""
    words = ["mien", name]
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            words.append(parameter.metavar if parameter.required else f"[{parameter.metavar}]")
        elif parameter.required:
            words.append(f"{parameter.opts[0]} {parameter.metavar}")
    if any(parameter.param_type_name == "option" and not parameter.required for parameter in parameters):
        words.append("[OPTIONS]")
    return " ".join(words)


def _row(parameter: Any) -> str:
    """Return an argument's or an option's line of the table: how it is written, what it does, its default and bounds."""
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.metavar] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    if parameter.metavar and not is_argument:
        names[0] += f" {parameter.metavar}"
    if parameter.required:
        default = "required"
    elif isinstance(parameter.show_default, str):
        default = parameter.show_default
    elif parameter.default is None or parameter.default is False:
        default = ""
    else:
        default = f"`{names[0] if parameter.default is True else parameter.default}`"
    if parameter.min is not None:
        default += f" ({parameter.min} or more)" if parameter.max is None else f" ({parameter.min} to {parameter.max})"
    return f"| {', '.join(f'`{name}`' for name in names)} | {parameter.help} | {default} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(PAGE)
