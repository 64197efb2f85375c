"""How all plots of measurements look; matplotlib draws them, without a window.

Colours tell expressions and models apart also for people who do not see red and green (Okabe & Ito 2008).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

#: For models, judges and sources, in this order.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#606068", "#b0a000")
#: For expressions.
EXPRESSION_COLOURS = {
    "neutral": "#808088", "happy": "#e69f00", "sad": "#0072b2", "surprise": "#56b4e9", "fear": "#785ea0",
    "disgust": "#009e73", "anger": "#d55e00", "contempt": "#787878",
}  # fmt: skip

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


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure as its suffix says (.png, .svg, .pdf), whole or not at all."""
    from mien.runs import write_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, figure_bytes(figure, path.suffix.removeprefix(".")))
    return path


def figure_bytes(figure: Any, kind: str = "svg") -> bytes:
    """Return a figure as the bytes of a file, the same for the same figure."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
