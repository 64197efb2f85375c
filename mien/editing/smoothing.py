"""Smooth landmarks in time: nothing shakes that stands still, and nothing lags that moves.

A film that lies on disk is smoothed without delay, since the future is known: `smooth` fits a line in time round every
frame, with Gaussian weights, wide where the face stands still and narrow where it moves. A line through points that move
evenly is exact at any width, at the ends of a track too. A camera's future is not known: `OneEuroFilter` follows fast
motion quickly and smooths slow motion strongly.
"""

from __future__ import annotations

import math

import numpy as np

#: From the calmest fit to the closest: standard deviation of the window in seconds, whether the fit is a line (or a mean,
#: for a face that is still), and how far in shares of the face it may differ from the calmer one for nothing. Besides its
#: noise a detector has more than one answer to the same face and stays with one for some frames; MTCNN's lie up to 1.5 %
#: apart, also where compression holds the picture still and there is no noise at all.
_FITS = ((3.0, False, 0.0), (0.6, True, 0.009), (0.2, True, 0.009), (0.035, True, 0.008))
#: Two fits differ by this many times the noise: from here on the narrower one counts, from there on it alone.
_MOVES_FROM, _MOVES_SURELY = 2.0, 4.0
#: What a frame counts whose landmarks are interpolated.
_GUESSED = 0.1
#: The same before the first sighting and after the last, where there is nothing to interpolate: lines are continued.
_OUTSIDE = 1e-6
#: A sighting this many times the noise, and this share of the face, away from its neighbours is a slip of the detector.
_SLIP_NOISE, _SLIP_SHARE = 6.0, 0.06


def smooth(seconds: np.ndarray, landmarks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return landmarks (frames, 5, 2) smoothed over time, with zero phase; frames that were not seen are filled in.

    `seconds` (frames,) rises; `seen` (frames,) says which rows of `landmarks` were measured, at least one.
    """
    count = len(landmarks)
    points = landmarks.reshape(count, -1)
    rows = np.flatnonzero(seen)
    if len(rows) >= 5:
        size = float(np.ptp(landmarks[rows], axis=1).max(axis=1).mean())
        noise = _noise(seconds[rows], points[rows])
        rows = rows[~_slips(points[rows], noise, size)]
    points = np.stack([np.interp(seconds, seconds[rows], column[rows]) for column in points.T], axis=1)
    if len(rows) < 5:
        return points.reshape(landmarks.shape)
    trust = np.full(count, _GUESSED)
    trust[: rows[0]] = trust[rows[-1] + 1 :] = _OUTSIDE
    trust[rows] = 1.0
    (before, line, _), *closer_ones = _FITS
    smoothed = _fit(seconds, points, trust, before, line)
    for width, line, for_nothing in closer_ones:
        closer = _fit(seconds, points, trust, width, line)
        moved = _rigid_part((closer - smoothed).reshape(landmarks.shape), smoothed.reshape(landmarks.shape))
        share = moved / max(noise, for_nothing * size)
        share = ((share - _MOVES_FROM) / (_MOVES_SURELY - _MOVES_FROM)).clip(0, 1)
        # A nod passes through the mean, where the fits agree: what moves keeps moving for a while.
        reach = min(before, 0.6)
        share = _highest_near(seconds, share, reach / 2)
        share = _fit(seconds, share[:, None], np.ones(count), reach / 4, False)
        smoothed += share * (closer - smoothed)
        before = width
    return smoothed.reshape(landmarks.shape)


def _fit(seconds: np.ndarray, points: np.ndarray, trust: np.ndarray, width: float, line: bool) -> np.ndarray:
    """Return, at every time, the line or else the mean of `points` (frames, k) with Gaussian weights round it.

    Each frame counts as much as `trust` (frames,) says.
    """
    count = len(seconds)
    step = float(np.median(np.diff(seconds)))
    # Three deviations to either side; where a film has few frames in a second, the neighbours at least.
    reach = min(count - 1, max(1, math.ceil(3 * width / max(step, 1e-3))))
    sums = [np.zeros(count) for _ in range(3)]
    products = [np.zeros(points.shape) for _ in range(2)]
    for offset in range(-reach, reach + 1):
        to = slice(max(0, -offset), min(count, count - offset))
        at = slice(max(0, offset), min(count, count + offset))
        distance = seconds[at] - seconds[to]
        weight = np.exp(-0.5 * (distance / width) ** 2) * trust[at]
        for power, total in enumerate(sums):
            total[to] += weight * distance**power
        for power, product in enumerate(products):
            product[to] += (weight * distance**power)[:, None] * points[at]
    weights, first, second = (total[:, None] for total in sums)
    if not line:
        return products[0] / weights
    determinant = weights * second - first**2
    steady = determinant > 1e-9 * (weights * width) ** 2  # else there are no neighbours to fit a line to
    fitted = (second * products[0] - first * products[1]) / np.where(steady, determinant, 1.0)
    return np.where(steady, fitted, products[0] / weights)


def _noise(seconds: np.ndarray, points: np.ndarray) -> float:
    """Return the standard deviation of a coordinate about its motion: by how far a point misses its neighbours' line."""
    share = ((seconds[1:-1] - seconds[:-2]) / (seconds[2:] - seconds[:-2]))[:, None]
    miss = points[1:-1] - ((1 - share) * points[:-2] + share * points[2:])
    miss /= np.sqrt(1 + (1 - share) ** 2 + share**2)
    return 1.4826 * float(np.median(np.abs(miss)))


def _slips(points: np.ndarray, noise: float, size: float) -> np.ndarray:
    """Return which rows of points (n, k) stand apart from the median of themselves and two neighbours on either side."""
    padded = np.concatenate([points[:1], points[:1], points, points[-1:], points[-1:]])
    middle = np.median(np.stack([padded[i : i + len(points)] for i in range(5)]), axis=0)
    apart = np.sqrt(((points - middle) ** 2).mean(axis=1))
    slips = apart > max(_SLIP_NOISE * noise, _SLIP_SHARE * size)
    return slips if slips.mean() < 0.2 else np.zeros(len(points), bool)


def _rigid_part(change: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the RMS length, per coordinate, of that part of `change` (n, 5, 2) that shifts, turns or scales the face.

    What is left, such as a mouth that speaks, is no reason to follow the landmarks more closely.
    """
    centred = points - points.mean(axis=1, keepdims=True)
    spread = (centred**2).sum(axis=(1, 2))
    shift = change.mean(axis=1)
    turned = np.stack([-centred[..., 1], centred[..., 0]], axis=-1)
    scale, turn = (change * centred).sum(axis=(1, 2)), (change * turned).sum(axis=(1, 2))
    squares = points.shape[1] * (shift**2).sum(axis=1) + (scale**2 + turn**2) / np.maximum(spread, 1e-9)
    return np.sqrt(squares / 4)  # four ways to move rigidly, each with the noise of one coordinate


def _highest_near(seconds: np.ndarray, values: np.ndarray, reach: float) -> np.ndarray:
    """Return the highest of the values (n,) within `reach` seconds of each."""
    first, last = np.searchsorted(seconds, [seconds - reach, seconds + reach])
    return np.array([values[a : max(a + 1, b)].max() for a, b in zip(first, last, strict=True)])


class OneEuroFilter:
    """Smooth points that arrive one by one: the 1-euro filter (Casiez, Roussel & Vogel, CHI 2012), eq. 1-6."""

    def __init__(self, cutoff: float = 0.8, slope: float = 8.0, speed_cutoff: float = 1.0) -> None:
        """Set the least cutoff in hertz, by how much it rises for a speed of one face per second, and that of the speed."""
        self._cutoff, self._slope, self._speed_cutoff = cutoff, slope, speed_cutoff
        self._seconds = -math.inf
        self._points: np.ndarray | None = None
        self._speed: np.ndarray | None = None

    def __call__(self, seconds: float, points: np.ndarray) -> np.ndarray:
        """Take the points (5, 2) of a new moment and return them smoothed."""
        step = seconds - self._seconds
        if self._points is None or self._speed is None or not 0 < step < 1:
            self._seconds, self._points, self._speed = seconds, points.copy(), np.zeros_like(points)
            return points
        share = _share(self._speed_cutoff, step)
        self._speed = share * (points - self._points) / step + (1 - share) * self._speed
        size = float(np.ptp(points, axis=0).max()) or 1.0
        # One speed for the whole face: the median of its points, so that a speaking mouth does not unfix the eyes.
        speed = float(np.median(np.linalg.norm(self._speed, axis=1))) / size
        share = _share(self._cutoff + self._slope * speed, step)
        self._points = share * points + (1 - share) * self._points
        self._seconds = seconds
        return self._points


def _share(cutoff: float, step: float) -> float:
    """Return the weight of the newest value in an exponential filter."""
    return 1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff * step))
