"""A value with its interval, and the draws that intervals come from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

MIDDLE = (0.025, 0.975)
"""The quantiles around the middle 95 %."""


@dataclass(frozen=True)
class Interval:
    """A value with its interval, `low` to `high`; NaN where there is none.

    Of 95 %, unless what gives it says otherwise.

    >>> Interval(0.5, 0.25, 0.75).spell(".2f"), Interval(2.0).spell(), Interval(float("nan")).spell()
    ('0.50 (0.25 to 0.75)', '2.0', '-')
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low == self.low

    def spell(self, form: str = ".1f", times: float = 1.0) -> str:
        """The value and the interval in brackets, each `times` as large; a dash where there is no value."""
        if self.value != self.value:
            return "-"
        value, low, high = (format(times * one, form) for one in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" if self.known else value

    @property
    def ends(self) -> tuple[float, float, float]:
        """Value, low and high, as they stand in tables."""
        return self.value, self.low, self.high


def take_middle(drawn: Sequence[float] | Float64[np.ndarray, "draw"], value: float) -> Interval:
    """The value with the middle 95 % of what was drawn; numbers that are none are left out.

    >>> take_middle(np.arange(101.0), 50.0)
    Interval(value=50.0, low=2.5, high=97.5)
    """
    finite = np.asarray(drawn, np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = np.quantile(finite, MIDDLE) if len(finite) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high))


def draw_again(
    count: int, replicates: int, rng: np.random.Generator
) -> Int64[np.ndarray, "replicate {count}"]:
    """A bootstrap of `count` things: so many draws of as many of them, with replacement, as places."""
    return rng.integers(0, count, (replicates, count))


def count_draws(places: Int64[np.ndarray, "replicate n"]) -> Int64[np.ndarray, "replicate n"]:
    """How often each draw holds each thing.

    >>> count_draws(np.array([[0, 0, 2]])).tolist()
    [[2, 0, 1]]
    """
    return np.stack([np.bincount(row, minlength=len(row)) for row in places])
