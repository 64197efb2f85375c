"""The plots of a report: curves over intensity and sample size, and the main measures side by side.

Each returns a matplotlib figure, or None where the benchmark has nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.benchmark.measures import MEASURES, measure_of, show
from mien.benchmark.outcome import ContestantFacts, Outcome
from mien.benchmark.tables import BASELINES, MAIN, REAL, Numbers
from mien.expressions import NEUTRAL
from mien.plots import EXPRESSION_COLOURS, INK, QUIET, SERIES, label_grid, legend, new_panels, short, styled, written

#: Lines of references differ by their dashes, since all are grey.
_DASHES = ((0, (1, 1.5)), (0, (4, 2)), (0, (5, 1.5, 1, 1.5)))


@styled
def sweep_figure(outcome: Outcome, judge: str) -> Any | None:
    """Draw the judge's probability of what was asked for over intensity: a panel for each expression (Surani's figure 9).

    Lines are means over faces, bands hold the middle 80 % of the faces' own curves.
    """
    chosen = [facts for facts in outcome.contestants if _has_curve(outcome, facts.name, judge)]
    names = [name for name in outcome.expressions if name != NEUTRAL]
    if not chosen or not names:
        return None
    figure, panels, spare = new_panels(names, sharex=True, sharey=True)
    looks = _looks(outcome.contestants)
    drawn = {}
    for index, (axes, name) in enumerate(zip(panels, names, strict=False)):
        for facts in chosen:
            curves = np.asarray(outcome.curves[facts.name, judge], np.float64)[:, index]
            curves = curves[np.isfinite(curves).all(axis=1)]
            if not len(curves):
                continue
            rho = np.arange(1, curves.shape[1] + 1) / curves.shape[1]
            look = looks[facts.name]
            if facts.kind not in BASELINES:
                low, high = np.percentile(curves, [10, 90], axis=0)
                axes.fill_between(rho, low, high, color=look["color"], alpha=0.13, linewidth=0)
            drawn[facts.name] = axes.plot(rho, curves.mean(axis=0), **look)[0]
        axes.set_title(name, color=_expression_ink(name), fontweight="bold", fontsize=10)
        axes.set_ylim(0, 1)
        axes.set_xlim(0, 1)
    label_grid(figure, "intensity asked for", f"probability of the asked expression, judged by {written(judge)}")
    legend(figure, drawn, spare)
    return figure


@styled
def fed_figure(outcome: Outcome) -> Any | None:
    """Draw FED over sample size, a panel for each judge: how much of a distance is the size of the sample."""
    judges = [
        judge.name for judge in outcome.judges
        if any(outcome.fed_curves.get((facts.name, judge.name)) for facts in outcome.contestants)
    ]  # fmt: skip
    if not judges:
        return None
    figure, panels, spare = new_panels(judges, width=3.6, height=2.8)
    looks, drawn = _looks(outcome.contestants), {}
    for axes, judge in zip(panels, judges, strict=False):
        for facts in outcome.contestants:
            points = [p for p in outcome.fed_curves.get((facts.name, judge), ()) if _finite(p.get("value"))]
            if points:
                n, value = ([float(point[key]) for point in points] for key in ("n", "value"))
                drawn[facts.name] = axes.plot(n, value, marker="o", markersize=3.5, **looks[facts.name])[0]
        axes.set_title(written(judge), fontsize=10)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    label_grid(figure, "images of each kind", "FED (lower is better)")
    legend(figure, drawn, spare)
    return figure


@styled
def overview_figure(outcome: Outcome) -> Any | None:
    """Draw the main measures as bars with their intervals, a panel for each measure, a bar for each judge."""
    numbers = Numbers(outcome)
    keys = [key for key in MAIN if any(_has_value(numbers, f.name, key, judge) for f in outcome.contestants
                                       for judge in numbers.judges(key))]  # fmt: skip
    if not keys:
        return None
    rows = len(outcome.contestants)
    judges = [judge.name for judge in outcome.judges]
    height = 0.62 + 0.2 * rows * max(1, min(len(judges), 3))
    figure, panels, spare = new_panels(keys, height=max(1.5, height), sharey=True)
    looks = _looks(outcome.contestants)
    for axes, key in zip(panels, keys, strict=False):
        own = numbers.judges(key)
        thickness = 0.8 / len(own)
        for place, judge in enumerate(own):
            for row, facts in enumerate(outcome.contestants):
                y = row - 0.4 + (place + 0.5) * thickness
                shade = 1.0 - 0.45 * place / max(1, len(own) - 1) if len(own) > 1 else 1.0
                _draw_bar(axes, numbers.get(facts.name, key, judge), y, thickness, looks[facts.name]["color"], shade)
        if key == "f1":
            _mark_photos(axes, numbers, own)
        found = [numbers.get(f.name, key, j) for f in outcome.contestants for j in own]
        better = next((m.better for m in found if m is not None), "higher")
        axes.set_title(f"{MEASURES[key].heading} {'↑' if better == 'higher' else '↓'}", fontsize=10)
        axes.set_yticks(range(rows), [short(facts.name) for facts in outcome.contestants])
        axes.set_ylim(rows - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(False, axis="y")
        axes.margins(x=0.22)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]) if _below_zero(found) else 0.0)
    for axes in spare:
        axes.set_axis_off()
    order = ", ".join(written(name) for name in judges)
    words = f"dark to light: {order}; black lines: 95 % intervals; dashed: photos" if len(judges) > 1 else (
        "black lines: 95 % intervals; dashed: photos")  # fmt: skip
    figure.supxlabel(words, fontsize=8.5, color=QUIET)
    return figure


# -------------------------------------------------------------------------------------------------------------- pieces


def _looks(contestants: Sequence[ContestantFacts]) -> dict[str, dict[str, Any]]:
    """Return colour, dashes and width of each contestant: models in colours, references grey."""
    looks, models, references = {}, 0, 0
    for facts in contestants:
        if facts.kind in BASELINES:
            style = _DASHES[references % len(_DASHES)]
            looks[facts.name] = {"color": QUIET, "linestyle": style, "linewidth": 1.3}
            references += 1
        else:
            dashes = "-" if models < len(SERIES) else "--"
            looks[facts.name] = {"color": SERIES[models % len(SERIES)], "linestyle": dashes, "linewidth": 1.8}
            models += 1
    return looks


def _draw_bar(axes: Any, found: Any, y: float, thickness: float, colour: str, shade: float) -> None:
    """Draw a bar with its interval; a dash where there is no number."""
    if found is None or found.value is None:
        axes.text(0.02, y, "—", va="center", fontsize=8, color=QUIET, transform=axes.get_yaxis_transform())
        return
    axes.barh(y, found.value, height=thickness * 0.86, color=colour, alpha=shade)
    if found.low is not None:
        axes.plot([found.low, found.high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
    end = max(found.value, found.high if found.high is not None else found.value)
    words = show(found.value, measure_of(found.measure).scale)
    axes.annotate(words, (end, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip


def _mark_photos(axes: Any, numbers: Numbers, judges: Sequence[str | None]) -> None:
    """Draw where photos lie: how well the judge agrees with people."""
    for judge in judges:
        found = numbers.get(REAL, "f1", judge)
        if found is not None and found.value is not None:
            axes.axvline(found.value, color=QUIET, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0.5)


def _has_value(numbers: Numbers, contestant: str, key: str, judge: str | None) -> bool:
    found = numbers.get(contestant, key, judge)
    return found is not None and found.value is not None


def _has_curve(outcome: Outcome, contestant: str, judge: str) -> bool:
    curves = outcome.curves.get((contestant, judge))
    return curves is not None and bool(np.isfinite(curves).any())


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def _below_zero(found: Sequence[Any]) -> bool:
    return any(m is not None and m.value is not None and min(m.value, m.low or 0.0) < 0 for m in found)


def _expression_ink(name: str) -> str:
    return EXPRESSION_COLOURS.get(name, INK)
