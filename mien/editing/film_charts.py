"""What was read from a film, drawn over time: for each face, the probability of every expression, and the intensity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.editing.film_reading import FrameReading
from mien.plots import EXPRESSION_COLOURS, new_figure, styled

#: Standard deviation in seconds of the mean over time that is drawn over the single frames.
_MEAN_SECONDS = 0.1
#: Faces that are drawn: those that fill most of the film.
_MOST_FACES = 8
_OTHER = "#303038"


@styled
def film_figure(readings: Sequence[FrameReading]) -> Any:
    """Draw readings over time as a matplotlib figure, a row for each face; faint lines are the single frames."""
    numbers = sorted({each.number for each in readings})[:_MOST_FACES]
    figure, rows = new_figure(9, 0.8 + 2.1 * len(numbers), len(numbers), squeeze=False, sharex=True)
    for row, number in zip(rows[:, 0], numbers, strict=True):
        of_face = [each for each in readings if each.number == number]
        seconds = np.array([each.seconds for each in of_face])
        lines = {name: [each.reading.expressions[name] for each in of_face] for name in of_face[0].reading.expressions}
        for name, values in lines.items():
            colour = EXPRESSION_COLOURS.get(name, _OTHER)
            row.plot(seconds, values, color=colour, alpha=0.25, linewidth=0.8)
            row.plot(seconds, _mean(seconds, np.array(values)), color=colour, linewidth=1.8, label=name)
        intensity = np.array([each.reading.intensity for each in of_face])
        row.plot(seconds, _mean(seconds, intensity), color="#000000", linewidth=1, linestyle=":", label="intensity")
        row.set(ylim=(-0.02, 1.02), ylabel="probability", title=f"face {number}")
    rows[0, 0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    rows[-1, 0].set_xlabel(f"seconds (thick: mean over time, sigma {_MEAN_SECONDS:g} s)")
    return figure


def _mean(seconds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values (n,) averaged over time by Gaussian weights; only frames within four deviations count."""
    smoothed = np.empty(len(values))
    for index, moment in enumerate(seconds):
        first, last = np.searchsorted(seconds, [moment - 4 * _MEAN_SECONDS, moment + 4 * _MEAN_SECONDS])
        weights = np.exp(-0.5 * ((seconds[first:last] - moment) / _MEAN_SECONDS) ** 2)
        smoothed[index] = weights @ values[first:last] / weights.sum()
    return smoothed
