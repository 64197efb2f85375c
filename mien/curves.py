"""How trainings went, as curves: every loss and what judges said of the edits, of one run or of several side by side."""

from __future__ import annotations

import csv
import functools
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mien.errors import ConfigError, RunError
from mien.files import write_text
from mien.plots import EXPRESSION_COLOURS, INK, SERIES, label_grid, legend, new_panels, save_figure, short, styled
from mien.runs import Run
from mien.settings import require

#: What is along x: critic steps, images of the training set that were learned from, or minutes of training (without pauses
#: and judging).
Progress = Literal["steps", "images", "minutes"]
#: Heads of the table that `curves_table` returns.
COLUMNS = ("run", "step", "images", "minutes", "curve", "value")

#: What stands before the slash in names of what is logged: of what judges say who look on, and of the critic's losses.
_JUDGED, _CRITIC = "judged", "critic"
_SPEED, _MACRO = "images_per_second", f"{_JUDGED}/f1"
_JUDGED_TITLE, _SPEED_TITLE = "F1 of edits, judged", "images/s"
#: The least height of the judges' panel: their interval is some 0.05 to either side, and less should not look like much.
_LEAST_F1 = 0.1
#: A panel whose largest value is so many times its median one is drawn logarithmically.
_WIDE = 50.0
#: No loss is larger: networks compute in float32.
_LARGEST = 3.5e38
#: Of lines that were logged so many are drawn pale at most.
_MOST_POINTS = 2000
_PICTURES = (".png", ".svg", ".pdf")
_DASHED = (0, (4, 1.5))
#: Colours of a single run's players, which no expression has.
_PLAYERS = {"generator": "#b0a000", _CRITIC: "#cc79a7"}


def parse_progress(word: str) -> Progress:
    """Return what is to be along x; `ConfigError` for another word."""
    require(word in get_args(Progress), "over", word, "steps, images or minutes")
    return word  # type: ignore[return-value]


@dataclass(frozen=True)
class Course:
    """What a run has logged."""

    name: str
    """Of the run, in legends."""
    stats: Sequence[Mapping[str, float]]
    """Lines of its stats.jsonl."""
    batch_size: int | None = None
    """Images in a batch; without it there is progress in steps alone."""

    def progress(self, unit: Progress) -> np.ndarray:
        """Return how far the run was at each line (n,), in that unit; NaN where it is not known."""
        steps = self.curve("step")
        if unit == "steps":
            return steps
        images = steps * (math.nan if self.batch_size is None else self.batch_size)
        return images if unit == "images" else self._minutes(images)

    def _minutes(self, images: np.ndarray) -> np.ndarray:
        speed = self.curve(_SPEED)
        timed = np.isfinite(images) & (speed > 0)
        if not timed.any():
            return np.full(len(images), math.nan)
        minutes = np.cumsum(np.diff(images[timed], prepend=0.0) / speed[timed] / 60)
        return np.interp(images, images[timed], minutes)  # what judges said stands behind the losses of the same step

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """What was logged, in the order in which it appears."""
        return tuple(dict.fromkeys(name for line in self.stats for name in line if name != "step"))

    @functools.cached_property
    def _curves(self) -> dict[str, np.ndarray]:
        return {name: np.array([_number(line.get(name)) for line in self.stats]) for name in ("step", *self.names)}

    def curve(self, name: str) -> np.ndarray:
        """Return what was logged under a name at each line (n,); NaN where a line lacks it."""
        return self._curves[name] if name in self._curves else np.full(len(self.stats), math.nan)

    def points(self, name: str, over: Progress) -> tuple[np.ndarray, np.ndarray]:
        """Return a curve's points, x and y, where both are known."""
        x, y = self.progress(over), self.curve(name)
        known = np.isfinite(x) & np.isfinite(y)
        return x[known], y[known]


def _number(value: Any) -> float:
    """Return a finite number as it is, NaN for anything else."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST
    return float(value) if known else math.nan


# ------------------------------------------------------------------------------------------------------------- reading


def read_courses(runs: Sequence[Path]) -> list[Course]:
    """Read what run folders have logged, of models or of judges, under names that tell them apart."""
    names = _telling([run.resolve() for run in runs])
    return [_read(run, name) for run, name in zip(runs, names, strict=True)]


def _read(path: Path, name: str) -> Course:
    run = Run.read(path)
    stats = run.stats()
    if not stats:
        raise RunError(
            f"{path} has logged nothing yet", hint="wait for its first lines: `--set log_every` says how often"
        )
    loop = run.configuration.get("train_config", run.configuration.get("recipe"))
    size = loop.get("batch_size") if isinstance(loop, dict) else None
    return Course(name, stats, size if type(size) is int and size > 0 else None)


def _telling(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that differ from each other."""
    if len(set(paths)) < len(paths):
        raise ConfigError("a run is named twice", hint="name each run once")
    names: list[str] = []
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


# ------------------------------------------------------------------------------------------------------------- writing


def write_curves(runs: Sequence[Path], out: Path, over: str = "steps") -> Path:
    """Draw the curves of runs into a .png, .svg or .pdf, or write their numbers as .csv: whole, or not at all.

    `curves_figure` says what is drawn, `curves_table` what is written. Raises `ConfigError` for another suffix or unit, and
    for more runs than there are colours; `RunError` for what is no run or has nothing to draw yet.
    """
    unit = parse_progress(over)
    if out.suffix.lower() not in (*_PICTURES, ".csv"):
        raise ConfigError(f"cannot write `{out}`: unknown suffix", hint=f"end it in {', '.join(_PICTURES)} or .csv")
    if out.suffix.lower() == ".csv":
        table = curves_table(read_courses(runs))
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, table)
        return out
    if len(runs) > len(SERIES):
        raise ConfigError(
            f"{len(runs)} runs are too many for one picture", hint=f"give {len(SERIES)}, or write FILE.csv"
        )
    courses = read_courses(runs)
    for path, course in zip(runs, courses, strict=True):
        if not np.isfinite(course.progress(unit)).any():
            missing = "steps" if unit == "steps" else "batch size or speed"
            raise RunError(
                f"{path} does not say its {missing}", hint="draw it over steps, or write its numbers: FILE.csv"
            )
    figure = curves_figure(courses, unit)
    if figure is None:
        raise RunError(
            "there is no curve: nothing was logged twice",
            hint="wait while it trains; of one that is done write numbers, FILE.csv, or train with a smaller log_every",
        )
    return save_figure(figure, out)


def curves_table(courses: Sequence[Course]) -> str:
    """Return all that the runs have logged as CSV, a line for each number (`COLUMNS`); what is not known is empty."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for course in courses:
        steps, images, minutes = course.progress("steps"), course.progress("images"), course.progress("minutes")
        for row, line in enumerate(course.stats):
            place = (_written(steps[row], ".0f"), _written(images[row], ".0f"), _written(minutes[row], ".3f"))
            for name in line:
                if name != "step":
                    table.writerow((course.name, *place, name, _written(course.curve(name)[row], "")))
    return file.getvalue()


def _written(value: np.floating[Any], form: str) -> str:
    return format(float(value), form) if math.isfinite(value) else ""


# ------------------------------------------------------------------------------------------------------------- drawing


@styled
def curves_figure(courses: Sequence[Course], over: Progress = "steps") -> Any | None:
    """Draw a panel for what judges say of edits, for each loss and for the speed; None where nothing was logged twice.

    Thick lines are means over a twentieth of what was logged (`smoothed`), pale ones what was logged. A line is a run's; of
    a single run, what judges say of each expression is drawn, too. The critic's losses are dashed. Losses have their
    weights in them; those that are zero throughout are left out.
    """
    panels = _panels_of(courses, over)
    if not panels:
        return None
    figure, places, spare = new_panels(list(panels), sharex=True)
    drawn: dict[str, Any] = {}
    for axes, (title, names) in zip(places, panels.items(), strict=True):
        for place, course in enumerate(courses):
            for name in names:
                x, y = course.points(name, over)
                if len(y):
                    label, look = _look(name, None if len(courses) == 1 else place)
                    line = _draw(axes, x, y, look, smooth=not name.startswith(_JUDGED))
                    drawn |= {label: line} if label else {}
        axes.set_title(_titled(title, courses), fontsize=10)
        _scale(axes, [course.points(name, over)[1] for course in courses for name in names], title)
    if len(courses) > 1:
        some_critic = any(name.startswith(f"{_CRITIC}/") for names in panels.values() for name in names)
        drawn = _runs_in_legend(places[0], courses, some_critic)
    label_grid(figure, over, "")
    legend(figure, drawn, spare)
    return figure


def _panels_of(courses: Sequence[Course], over: Progress) -> dict[str, list[str]]:
    """Return the names of the curves of each panel by its title: judges first, losses of one term together, speed last."""
    panels: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for course in courses for name in course.names):
        curves = [course.points(name, over)[1] for course in courses]
        if max(len(curve) for curve in curves) < 2:
            continue
        player, _, term = name.rpartition("/")
        if player == _JUDGED:
            if name == _MACRO or len(courses) == 1:
                panels.setdefault(_JUDGED_TITLE, []).append(name)
        elif name == _SPEED:
            panels[_SPEED_TITLE] = [name]
        elif any(curve.any() for curve in curves):
            panels.setdefault(term, []).append(name)
    order = {_JUDGED_TITLE: 0, _SPEED_TITLE: 2}
    return dict(sorted(panels.items(), key=lambda item: order.get(item[0], 1)))


def _titled(title: str, courses: Sequence[Course]) -> str:
    """Return a panel's title; where F1 is the mean over more expressions in one run than in another, with that."""
    counts = {sum(name.startswith(f"{_JUDGED}/") for name in course.names) - 1 for course in courses} - {-1}
    if title == _JUDGED_TITLE and len(counts) > 1:
        return f"F1 of edits (of {min(counts)} to {max(counts)} expressions)"
    return short(title)


def _look(name: str, place: int | None) -> tuple[str, dict[str, Any]]:
    """Return what a curve of a single run is called in the legend, nothing where its panel says it, and how it looks.

    `place` is the run's among several.
    """
    player, _, term = name.rpartition("/")
    style: dict[str, Any] = {"linestyle": _DASHED if player == _CRITIC else "-"}
    if place is not None:
        return "", style | {"color": SERIES[place]}
    if player == _JUDGED:
        macro = name == _MACRO
        label = "F1, mean over expressions" if macro else term
        return label, style | {"color": INK if macro else EXPRESSION_COLOURS.get(term, INK)}
    return player, style | {"color": _PLAYERS.get(player, SERIES[0])}


def _draw(axes: Any, x: np.ndarray, y: np.ndarray, look: Mapping[str, Any], smooth: bool) -> Any:
    if not smooth or len(y) == 1:
        return axes.plot(x, y, linewidth=1.6, marker="o", markersize=2.5, **look)[0]
    some = slice(None, None, -(-len(y) // _MOST_POINTS))
    axes.plot(x[some], y[some], color=look["color"], alpha=0.25, linewidth=0.7, zorder=1.5)  # below all means
    return axes.plot(x, smoothed(y), linewidth=1.6, zorder=3, **look)[0]


def _scale(axes: Any, curves: Sequence[np.ndarray], title: str) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    values = np.concatenate([curve for curve in curves if len(curve)])
    sizes = np.abs(values[values != 0])
    if title == _JUDGED_TITLE:
        low, high = axes.get_ylim()
        middle, half = (low + high) / 2, max(high - low, _LEAST_F1) / 2
        axes.set_ylim(middle - half, middle + half)
    elif len(sizes) and sizes.max() > _WIDE * float(np.median(sizes)):
        if (values > 0).all():
            axes.set_yscale("log")
        else:  # linear next to zero, which a logarithm has not
            axes.set_yscale("symlog", linthresh=float(np.percentile(sizes, 5)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(labelsize=8, labelbottom=True)
    axes.yaxis.get_offset_text().set_fontsize(8)


def _runs_in_legend(axes: Any, courses: Sequence[Course], some_critic: bool) -> dict[str, Any]:
    """Return a line for each run in their order, and one that says what dashes mean; nothing of them is seen."""
    drawn = {
        course.name: axes.plot([], [], color=SERIES[place], linewidth=1.8)[0] for place, course in enumerate(courses)
    }
    if some_critic:
        drawn["dashed: the critic's"] = axes.plot([], [], color=INK, linestyle=_DASHED, linewidth=1.5)[0]
    return drawn


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return the centred moving mean over a twentieth of the curve, three values at least, and fewer at its ends."""
    values = np.asarray(values, np.float64)
    half, place = max(1, len(values) // 40), np.arange(len(values))
    first, last = np.maximum(place - half, 0), np.minimum(place + half, len(values) - 1)
    heaped = np.concatenate([[0.0], np.cumsum(values)])
    return (heaped[last + 1] - heaped[first]) / (last + 1 - first)
