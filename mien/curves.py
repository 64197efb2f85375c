"""How trainings went, as curves: every loss and what judges said of the edits, of one run or of several side by side."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mien.errors import ConfigError, RunError
from mien.plots import EXPRESSION_COLOURS, INK, SERIES, label_grid, legend, new_panels, save_figure, short, styled
from mien.runs import Run, write_text
from mien.settings import require

#: What is along x: critic steps, images of the training set that were learned from, or minutes of training (without pauses
#: and judging).
Progress = Literal["steps", "images", "minutes"]
#: Heads of the table that `curves_table` returns.
COLUMNS = ("run", "step", "images", "minutes", "curve", "value")

#: What stands before the slash in names of what is logged: of what judges say who look on, and of the critic's losses.
_JUDGED, _CRITIC = "judged", "critic"
_SPEED = "images_per_second"
_MACRO = f"{_JUDGED}/f1"
#: A panel whose largest value is so many times its median one is drawn logarithmically.
_WIDE = 50.0
_PICTURES = (".png", ".svg", ".pdf")
_DASHED = (0, (4, 1.5))
_JUDGED_TITLE, _SPEED_TITLE = "F1 of edits, judged", "images/s"


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
        if unit == "images":
            return images
        timed = np.isfinite(images * self.curve(_SPEED))
        minutes = np.diff(images[timed], prepend=0.0) / self.curve(_SPEED)[timed] / 60
        # What judges said stands behind the losses of the same step.
        return np.interp(steps, steps[timed], np.cumsum(minutes)) if timed.any() else np.full(len(steps), math.nan)

    def names(self) -> list[str]:
        """Return what was logged, in the order in which it appears."""
        return list(dict.fromkeys(name for line in self.stats for name in line if name != "step"))

    def curve(self, name: str) -> np.ndarray:
        """Return what was logged under a name at each line (n,); NaN where a line lacks it."""
        return np.array([_number(line.get(name)) for line in self.stats])


def read_courses(runs: Sequence[Path]) -> list[Course]:
    """Read what run folders have logged, of models or of judges, under names that tell them apart."""
    if len(runs) > len(SERIES):
        raise ConfigError(f"{len(runs)} runs are too many for one picture", hint=f"give {len(SERIES)} at most")
    names = _telling([run.resolve() for run in runs])
    return [_read(run, name) for run, name in zip(runs, names, strict=True)]


def _read(path: Path, name: str) -> Course:
    run = Run.read(path)
    stats = run.stats()
    if not stats:
        raise RunError(
            f"{path} has logged nothing yet", hint="wait for its first lines: `--set log_every` says how often"
        )
    loop = run.configuration.get("train_config", run.configuration.get("recipe", {}))
    return Course(name, stats, loop.get("batch_size"))


def _telling(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that differ from each other; of the same path, with numbers."""
    if len(set(paths)) < len(paths):
        raise ConfigError("a run is named twice", hint="name each run once")
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def write_curves(runs: Sequence[Path], out: Path, over: str = "steps") -> Path:
    """Draw the curves of runs into a .png, .svg or .pdf, or write their numbers as .csv: whole, or not at all.

    `curves_figure` says what is drawn, `curves_table` what is written. Raises `ConfigError` for another suffix or unit, and
    `RunError` for what is no run or has nothing to draw yet.
    """
    unit = parse_progress(over)
    if out.suffix.lower() not in (*_PICTURES, ".csv"):
        raise ConfigError(f"cannot write `{out}`: unknown suffix", hint=f"end it in {', '.join(_PICTURES)} or .csv")
    courses = read_courses(runs)
    if out.suffix.lower() == ".csv":
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, curves_table(courses))
        return out
    figure = curves_figure(courses, unit)
    if figure is None:
        raise RunError("there is no curve yet: nothing was logged twice", hint="wait, or write numbers: FILE.csv")
    return save_figure(figure, out)


def curves_table(courses: Sequence[Course]) -> str:
    """Return all that the runs have logged as CSV, a line for each number (`COLUMNS`); what is not known is empty."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for course in courses:
        steps, images, minutes = course.progress("steps"), course.progress("images"), course.progress("minutes")
        for row, line in enumerate(course.stats):
            place = (_written(steps[row]), _written(images[row]), _written(minutes[row], 3))
            for name, value in line.items():
                if name != "step":
                    table.writerow((course.name, *place, name, repr(value)))
    return file.getvalue()


def _written(value: float, digits: int = 0) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


@styled
def curves_figure(courses: Sequence[Course], over: Progress = "steps") -> Any | None:
    """Draw a panel for what judges say of edits, for each loss and for the speed; None where nothing was logged twice.

    Thick lines are means over a twentieth of a run, pale ones what was logged. A line is a run's; of a single run, what
    judges say of each expression is drawn, too. The critic's losses are dashed. Losses have their weights in them; those
    that are zero throughout are left out.
    """
    panels = _panels_of(courses)
    if not panels:
        return None
    figure, places, spare = new_panels(list(panels))
    drawn: dict[str, Any] = {}
    for axes, (title, names) in zip(places, panels.items(), strict=True):
        for place, course in enumerate(courses):
            for name in names:
                label, look = _look(course.name, name, place, len(courses) == 1)
                line = _draw(axes, course.progress(over), course.curve(name), look, smooth=not name.startswith(_JUDGED))
                if line is not None and label:
                    drawn.setdefault(label, line)
        axes.set_title(short(title), fontsize=10)
        _scale(axes, [course.curve(name) for course in courses for name in names])
    if len(courses) > 1 and any(name.startswith(f"{_CRITIC}/") for names in panels.values() for name in names):
        drawn["dashed: the critic's"] = places[0].plot([], [], color=INK, linestyle=_DASHED, linewidth=1.5)[0]
    label_grid(figure, over, "")
    legend(figure, drawn, spare)
    return figure


def _panels_of(courses: Sequence[Course]) -> dict[str, list[str]]:
    """Return the names of the curves of each panel by its title: judges first, losses of one term together, speed last."""
    names = dict.fromkeys(name for course in courses for name in course.names() if _has_points(course, name))
    panels: dict[str, list[str]] = {}
    for name in names:
        player, _, term = name.rpartition("/")
        if player == _JUDGED:
            if name == _MACRO or len(courses) == 1:
                panels.setdefault(_JUDGED_TITLE, []).append(name)
        elif name == _SPEED:
            panels[_SPEED_TITLE] = [name]
        elif any(course.curve(name)[np.isfinite(course.curve(name))].any() for course in courses):
            panels.setdefault(term, []).append(name)
    order = {_JUDGED_TITLE: 0, _SPEED_TITLE: 2}
    return dict(sorted(panels.items(), key=lambda item: order.get(item[0], 1)))


def _has_points(course: Course, name: str) -> bool:
    return int(np.isfinite(course.curve(name)).sum()) > 1


def _look(run: str, name: str, place: int, alone: bool) -> tuple[str, dict[str, Any]]:
    """Return what a curve is called in the legend, nothing where its panel says it, and how it looks."""
    player, _, term = name.rpartition("/")
    style: dict[str, Any] = {"linestyle": _DASHED if player == _CRITIC else "-"}
    if not alone:
        return run, style | {"color": SERIES[place]}
    if player == _JUDGED:
        macro = name == _MACRO
        label = "F1, mean over expressions" if macro else term
        return label, style | {"color": INK if macro else EXPRESSION_COLOURS.get(term, INK)}
    return player, style | {"color": SERIES[player == _CRITIC]}


def _draw(axes: Any, x: np.ndarray, y: np.ndarray, look: Mapping[str, Any], smooth: bool) -> Any | None:
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return None
    x, y = x[known], y[known]
    if not smooth:
        return axes.plot(x, y, linewidth=1.6, marker="o", markersize=2.5, **look)[0]
    axes.plot(x, y, color=look["color"], alpha=0.25, linewidth=0.7)
    return axes.plot(x, smoothed(y), linewidth=1.6, **look)[0]


def _scale(axes: Any, curves: Sequence[np.ndarray]) -> None:
    values = np.abs(np.concatenate([curve[np.isfinite(curve)] for curve in curves]))
    if (values > 0).any() and values.max() > _WIDE * (middle := float(np.median(values[values > 0]))):
        axes.set_yscale("symlog", linthresh=middle)
    axes.tick_params(labelsize=8)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return the centred moving mean over a twentieth of the curve, over what there is of it at the ends."""
    values = np.asarray(values, np.float64)
    half, place = max(1, len(values) // 40), np.arange(len(values))
    first, last = np.maximum(place - half, 0), np.minimum(place + half, len(values) - 1)
    heaped = np.concatenate([[0.0], np.cumsum(values)])
    return (heaped[last + 1] - heaped[first]) / (last + 1 - first)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else math.nan
