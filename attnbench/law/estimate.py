"""Values with their intervals: an estimate, and a fitted curve with others that the data would as well have given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attnbench.formula import Formula

#: Standard deviations within which a visit lies for certain, and halvings that find a quantile to 12 digits.
_TAILS, _HALVINGS = 8.0, 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval that holds the truth with probability `level`.

    Raises:
        ValueError: the value lies outside its interval.
    """

    value: float
    low: float
    high: float
    level: float = 0.9

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} lies outside its interval {self.low} to {self.high}")

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies strictly between `low` and `high`."""
        return low < self.low and self.high < high

    def outside(self, low: float, high: float) -> bool:
        """Whether the whole interval lies beyond `low` or beyond `high`."""
        return self.high < low or high < self.low

    def __repr__(self) -> str:
        exact = self.low == self.high and self.level == 1
        return f"Estimate({f'{self.value:.15g}, exact' if exact else told_interval(self, '.3g')})"


@dataclass(frozen=True)
class Curves:
    """A fitted curve, and others that the same data would as well have given: ``c₀ + (Σ cᵢ·termᵢ) · Π axis^bend``.

    Attributes:
        terms: the terms, as formula text; ``1`` where the bends alone are the law.
        bends: axes with an exponent of their own beside the terms.
        draws: one row a curve: c₀, then the coefficient of each term, then the bend of each axis, in base units. The
            first row is the best curve; all others are equally likely.
        scatter: standard deviation of the logarithm of what one visit shows about the curve.
        other_code: least and largest ratio to the best curve of trials that ran other kernels than the law is about:
            nobody knows which of them run at a size that was not measured.
    """

    terms: tuple[str, ...]
    bends: tuple[str, ...]
    draws: tuple[tuple[float, ...], ...]
    scatter: float = 0.0
    other_code: tuple[float, float] = (1.0, 1.0)

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        draws = [list(draw) for draw in self.draws]
        named = {"terms": list(self.terms), "bends": list(self.bends), "draws": draws, "scatter": self.scatter}
        return {**named, "other_code": list(self.other_code)}

    @cached_property
    def _formulas(self) -> tuple[Formula, ...]:
        return tuple(Formula(term) for term in self.terms)

    def at(self, sizes: Mapping[str, int | float]) -> tuple[float, ...]:
        """Value of each curve at `sizes`, the best one first.

        Raises:
            FormulaError: a size is missing, or a term has no value there.
        """
        terms = [float(formula.evaluate(sizes)) for formula in self._formulas]
        logs = [math.log(sizes[axis]) for axis in self.bends]
        split = 1 + len(terms)
        return tuple(
            row[0] + _product(row[1:split], terms) * math.exp(_product(row[split:], logs)) for row in self.draws
        )

    def visit(self, sizes: Mapping[str, int | float], level: float = 0.9) -> Estimate:
        """What one visit at `sizes` would show: any of the curves, with the scatter of a visit about it.

        Where some trials ran other kernels, these may run here as well: the interval holds what they took, too.

        Raises:
            FormulaError: a size is missing, or a term has no value there.
        """
        best, *others = self.at(sizes)
        low, high = (_quantile(others or [best], self.scatter, tail) for tail in ((1 - level) / 2, (1 + level) / 2))
        least, most = self.other_code
        return Estimate(best, min(low * min(least, 1.0), best), max(high * max(most, 1.0), best), level)


def _product(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _quantile(values: Sequence[float], scatter: float, share: float) -> float:
    """Below which `share` of the visits fall when each of `values` is the truth as likely, and visits scatter by it.

    The mixture is inverted as it is, as curves need not lie evenly about the best one.
    """
    likely = sorted(values)
    if scatter <= 0 or likely[0] <= 0:
        return likely[min(len(likely) - 1, int(share * len(likely)))]
    logs = [math.log(value) for value in likely]
    low, high = logs[0] - _TAILS * scatter, logs[-1] + _TAILS * scatter
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = math.fsum(math.erfc((log - middle) / (scatter * math.sqrt(2))) for log in logs) / (2 * len(logs))
        low, high = (middle, high) if below < share else (low, middle)
    return math.exp((low + high) / 2)


def told_interval(estimate: Estimate, form: str) -> str:
    """``0.115 (0.0981 to 0.134 at 90%)``."""
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}} at {estimate.level:.0%})"
