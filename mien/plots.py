"""How all plots of measurements look; matplotlib draws them, without a window.

Colours tell expressions and models apart also for people who do not see red and green (Okabe & Ito 2008).
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from mien.files import write_bytes

#: For models, judges and sources, in this order.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#606068", "#b0a000")
#: For expressions.
EXPRESSION_COLOURS = {
    "neutral": "#808088", "happy": "#e69f00", "sad": "#0072b2", "surprise": "#56b4e9", "fear": "#785ea0",
    "disgust": "#009e73", "anger": "#d55e00", "contempt": "#787878",
}  # fmt: skip

#: For references and for what is written.
QUIET, INK = "#8a8a94", "#28282e"
#: Of a panel among several, in inches.
_PANEL_WIDTH, _PANEL_HEIGHT = 2.9, 2.3

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#ececf0",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.hashsalt": "mien",  # the same plot is the same file
}


P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in this style: titles and legends take theirs when they are made, not when they are saved."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, `width` x `height` in inches; nothing of pyplot's global state is used.

    Functions that draw with it are `styled`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


def new_panels(
    names: Sequence[str], *, width: float = _PANEL_WIDTH, height: float = _PANEL_HEIGHT, **options: Any
) -> tuple[Any, list[Any], list[Any]]:
    """Return a figure, as many axes as names, and those left over; three stand side by side, which a phone still shows."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(width * columns + 0.4, height * rows + 0.5, rows, columns, squeeze=False, **options)
    flat = list(axes.flat)
    return figure, flat[: len(names)], flat[len(names) :]


def legend(figure: Any, drawn: Mapping[str, Any], spare: Sequence[Any]) -> None:
    """Name the lines, in a panel that is left over or below all panels."""
    for axes in spare:
        axes.set_axis_off()
    if not drawn:
        return
    handles, labels = list(drawn.values()), [short(name) for name in drawn]
    if len(set(labels)) < len(labels):
        labels = [written(name) for name in drawn]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that begin with an underscore
        if spare:
            spare[0].legend(handles, labels, loc="center left", fontsize=9)
        else:
            columns = min(3, max(1, len(labels)))
            figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=9)


def label_grid(figure: Any, x: str, y: str) -> None:
    """Say what all panels of a figure have along x and y."""
    figure.supxlabel(x, fontsize=9, color=INK)
    figure.supylabel(y, fontsize=9, color=INK)


def written(name: str) -> str:
    """Return a name as matplotlib shall write it: on one line, a dollar no start of a formula."""
    return " ".join(name.split()).replace("$", r"\$")


def short(name: str, longest: int = 26) -> str:
    """Return a name short enough for a legend: its beginning and its end."""
    plain = " ".join(name.split())
    return written(plain if len(plain) <= longest else f"{plain[: longest // 2]}…{plain[-(longest // 2 - 1) :]}")


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure as its suffix says (.png, .svg, .pdf), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, figure_bytes(figure, path.suffix.removeprefix(".").lower()))
    return path


def figure_bytes(figure: Any, kind: str = "svg") -> bytes:
    """Return a figure as the bytes of a file, the same for the same figure."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
