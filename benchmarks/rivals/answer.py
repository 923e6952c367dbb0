"""What a tool answers, and the timings as the tools are given them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnbench.formula import Formula, Monomial

Array = NDArray[np.float64]
Sizes = Mapping[str, int | float]

#: Two exponents that differ by no more than this read the same once they are rounded to 0.1.
ROUNDING = 0.1
#: Sizes that an axis needs before its growth can be read along it.
LEAST_SIZES = 3


@dataclass(frozen=True)
class Answer:
    """What one tool answers.

    Attributes:
        growth: its leading terms; empty where it names none.
        axes: the axes that it was shown to vary.
        says: the answer in its own words.
        intervals: axis → interval of the exponent; empty where the tool gives none.
        coefficients: term, as formula text → its coefficient in seconds; ``1`` is the constant.
        quality: the measures of fit that it reports itself.
        accepted: whether its user would believe the fit.
        forecast: sizes → seconds, low and high, the last two NaN where the tool gives no interval.
    """

    growth: tuple[Monomial, ...]
    axes: tuple[str, ...]
    says: str
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    coefficients: dict[str, float] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    accepted: bool = True
    forecast: Callable[[Sizes], tuple[float, float, float]] | None = field(default=None, repr=False, compare=False)

    @property
    def leading(self) -> tuple[str, ...]:
        """Leading terms as formula text, such as ``n**2*d``."""
        return tuple(text_of(monomial) for monomial in self.growth)

    @property
    def exponents(self) -> dict[str, float]:
        """Axis → exponent of the fastest leading term along it; empty where no growth is named."""
        return {axis: power for axis, (power, _) in self._fastest().items()}

    @property
    def logs(self) -> dict[str, float]:
        """Axis → power of the logarithm that multiplies the fastest leading term along it."""
        return {axis: log for axis, (_, log) in self._fastest().items()}

    def _fastest(self) -> dict[str, tuple[float, float]]:
        return {axis: max(_rates(term, axis) for term in self.growth) for axis in self.axes if self.growth}

    def confirms(self, claim: str) -> bool:
        """Whether its user would read the answer as confirming `claim`.

        They would where the leading terms are those of the claim: as many, each with the same logarithms and with
        exponents that are the same once rounded to 0.1. Axes that were not varied are constants.
        """
        claimed = leading_of(_over(Formula(claim), self.axes))
        if not self.accepted or len(claimed) != len(self.growth):
            return False
        return any(
            all(_alike(mine, theirs, self.axes) for mine, theirs in zip(self.growth, order, strict=True))
            for order in (permutations(claimed) if claimed else ())
        )

    def predict(self, sizes: Sizes) -> tuple[float, float, float] | None:
        """Seconds at `sizes`, low and high; None where there is no forecast, NaN where it has no interval."""
        return self.forecast(sizes) if self.forecast else None


@dataclass(frozen=True)
class Timings:
    """What each tool is shown: one row a configuration, only the axes that vary, and the smallest replicate."""

    axes: tuple[str, ...]
    sizes: Array
    seconds: Array

    @classmethod
    def of(cls, sizes: pd.DataFrame, seconds: Array) -> Timings:
        """From one row of `sizes` and of replicates a configuration; replicates that do not exist are NaN."""
        swept = [str(axis) for axis in sizes if sizes[axis].nunique() > 1]
        replicates = np.asarray(seconds, dtype=float).reshape(len(sizes), -1)
        return cls(tuple(swept), sizes[swept].to_numpy(dtype=float), np.nanmin(replicates, axis=1))

    def along(self, axis: str) -> tuple[Array, Array]:
        """Sizes and seconds of the longest series in which only `axis` varies, nearest to the middle of the others."""
        column = self.axes.index(axis)
        if len(self.axes) == 1:
            return self.sizes[:, 0], self.seconds
        others = np.delete(self.sizes, column, axis=1)
        held, member, members = np.unique(others, axis=0, return_inverse=True, return_counts=True)
        middle = [levels[len(levels) // 2] for levels in map(np.unique, others.T)]
        chosen = np.lexsort((np.abs(np.log(held / middle)).sum(axis=1), -members))[0]
        series = member.ravel() == chosen
        return self.sizes[series, column], self.seconds[series]

    def values(self, law: Monomial) -> Array:
        """`law` at every configuration."""
        return values_of(law, dict(zip(self.axes, self.sizes.T, strict=True)), len(self.sizes))


def values_of(law: Monomial, sizes: Mapping[str, Array], rows: int) -> Array:
    """`law` at columns of sizes."""
    values = np.ones(rows)
    for axis, power in law.powers:
        values *= sizes[axis] ** float(power)
    for axis, log in law.logs:
        values *= np.log2(sizes[axis]) ** log
    return values


def text_of(monomial: Monomial) -> str:
    """Formula text, with measured exponents as decimals: ``n**(4/3)``, ``n**(1.631)``."""
    return re.sub(r"(-?\d+/\d{3,})", lambda found: f"{float(Fraction(found[1])):.4g}", monomial.text)


def leading_of(monomials: Iterable[Monomial]) -> tuple[Monomial, ...]:
    """Those that no other one outgrows along every axis."""
    every = tuple(dict.fromkeys(monomials))
    return tuple(mine for mine in every if not any(other.dominates(mine) for other in every))


def _over(claim: Formula, axes: tuple[str, ...]) -> list[Monomial]:
    """Terms of `claim` as far as they speak of `axes`; none for a maximum, which none of these tools can name."""
    terms = [term.monomial for term in claim.terms] if claim.is_sum_of_terms else []
    return [
        Monomial.of(
            {axis: power for axis, power in term.powers if axis in axes},
            {axis: log for axis, log in term.logs if axis in axes},
        )
        for term in terms
    ]


def _rates(monomial: Monomial, axis: str) -> tuple[float, float]:
    return float(monomial.exponent(axis)), float(dict(monomial.logs).get(axis, 0))


def _alike(mine: Monomial, theirs: Monomial, axes: tuple[str, ...]) -> bool:
    pairs = [(_rates(mine, axis), _rates(theirs, axis)) for axis in axes]
    return all(abs(power - claimed) <= ROUNDING and log == logs for (power, log), (claimed, logs) in pairs)
