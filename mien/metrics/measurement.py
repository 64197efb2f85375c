"""One measured number with its circumstances, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Measurement:
    """One number of a benchmark, its interval and what it was measured on.

    A number that cannot be measured is `None` with a reason, never 0 and never NaN: `value is None` exactly where
    `undefined` says why. The constructor raises `ValueError` for anything else, so that no table can print it.
    """

    measure: str
    """The protocol's name, such as `fed-features-n500`; equal names can be compared, different ones cannot."""
    value: float | None
    """The number, always finite."""
    low: float | None
    """Lower end of the confidence interval; None where no interval can be told."""
    high: float | None
    """Upper end of the confidence interval."""
    n: int
    """How many images, edits or curves were measured."""
    better: Better
    """Whether a higher or a lower value is the better one."""
    expression: str | None = None
    """The expression or the compound that it was measured on; None: all of them together."""
    undefined: str = ""
    """Why there is no value, in one line."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else belongs to the number, ready for JSON."""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.undefined):
            raise ValueError(f"`{self.measure}` needs either a value or a reason, got {self.value}, {self.undefined!r}")
        if "\n" in self.undefined:
            raise ValueError(f"the reason why `{self.measure}` is undefined has more than one line")
        if (self.low is None) != (self.high is None) or (self.value is None and self.low is not None):
            raise ValueError(f"`{self.measure}` has half an interval, or one without a value")
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"`{self.measure}` got {number}, which is no measured number")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"`{self.measure}` has an interval from {self.low} to {self.high}")
        if self.better not in ("higher", "lower") or self.n < 0:
            raise ValueError(f"`{self.measure}` got better={self.better!r}, n={self.n}")

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, as they go into a line of results.jsonl."""
        return {
            "measure": self.measure,
            "expression": self.expression,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "better": self.better,
            "undefined": self.undefined,
            "details": dict(self.details),
        }


def measured(
    measure: str,
    value: float | None,
    interval: tuple[float | None, float | None],
    *,
    n: int,
    better: Better,
    reason: str,
    expression: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Measurement:
    """Return a measurement of a computed value, undefined for `reason` where the value is None or no number."""
    details = dict(details or {})
    if value is None or not math.isfinite(value):
        return Measurement(measure, None, None, None, n, better, expression, reason, details)
    low, high = interval
    return Measurement(measure, float(value), low, high, n, better, expression, "", details)
