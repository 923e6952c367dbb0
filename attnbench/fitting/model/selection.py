"""Which terms, when nobody claims any: a search over sums of monomials.

Candidates are products of half-integer powers of the axes, and those with one logarithm; powers are negative along an
axis on which the values fall. A constant alone, and every sum of a constant and one or two of them, is fitted to
relative errors with no negative coefficient. Sums are weighed by an information criterion that pays for the number of
candidates it chose from (Chen & Chen 2008), and must foretell the largest values from the smaller ones. Sums that lead
to the same law are one answer; it is given only when nearly all of the weight is on it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import nnls

from attnbench.fitting.model.curve import design_matrix
from attnbench.fitting.model.observations import Array, Observations
from attnbench.formula import Monomial

#: The largest power of one axis, by the number of axes, and the largest sum of powers beyond it.
_MAX_POWER = {1: 4, 2: 3, 3: 3}
_MAX_SUM = 2
#: From this many axes on, one power at most is no whole number, and there are no logarithms.
_MANY_AXES = 3
#: More axes than this make too many candidates.
_MAX_AXES = 5
#: A slope as steep as this, downwards, is a fall.
_FALLING = -0.25
#: A term that never carries this share of the value is none.
_MIN_SHARE = 0.1
#: A power that is no whole number, or a logarithm, has to pay for it, in units of log weight.
_PRICE_OF_A_ROOT = 2.0
_PRICE_OF_A_LOGARITHM = 3.0
#: Share of the configurations, the smallest, that the rest are foretold from.
_FORETOLD_FROM = 0.7
#: A sum foretells badly when its largest values are off by this many times what the best is off by.
_WORSE = 3.0
#: Sums looked at closely.
_CLOSELY = 40


@dataclass(frozen=True)
class Choice:
    """Terms that explain the values, without the constant.

    Attributes:
        terms: the monomials of the best sum.
        laws: leading terms → how much of the weight of all sums is on those that lead to them; the likeliest first.
    """

    terms: tuple[Monomial, ...]
    laws: dict[tuple[Monomial, ...], float]

    @property
    def weight(self) -> float:
        """Weight of the law that `terms` lead to."""
        return self.weight_of(self.terms)

    @property
    def rival(self) -> tuple[Monomial, ...]:
        """Leading terms of the next best law; empty where there is none."""
        return next((law for law in self.laws if law != leading(self.terms)), ())

    def misses(self, observed: Observations) -> float:
        """Sum of the squared relative errors of the best sum."""
        columns = design_matrix([Monomial(), *self.terms], observed) / observed.values[:, None]
        _, length = nnls(columns / columns.mean(axis=0), np.ones(len(columns)))
        return float(length**2)

    def weight_of(self, terms: Sequence[Monomial]) -> float:
        """Weight of the law that these terms lead to."""
        return self.laws.get(leading(terms), 0.0)


def leading(terms: Sequence[Monomial]) -> tuple[Monomial, ...]:
    """Terms that no other dominates; a logarithm beside the same powers makes no other law to a clock."""
    plain = dict.fromkeys(Monomial(term.powers) for term in terms)
    return tuple(sorted((t for t in plain if not any(o.dominates(t) for o in plain)), key=lambda m: m.text))


def candidates(axes: Sequence[str], falling: Sequence[str] = ()) -> list[Monomial]:
    """Monomials of the axes, the constant left out; powers are negative along axes in `falling`."""
    largest = _MAX_POWER.get(len(axes), 2)
    halves = [Fraction(number, 2) for number in range(2 * largest + 1)]
    products = [
        powers
        for powers in itertools.product(halves, repeat=len(axes))
        if 0 < sum(powers) <= max(largest, _MAX_SUM) + len(axes) - 1
        and (len(axes) < _MANY_AXES or sum(p.denominator > 1 for p in powers) < 2)
    ]
    signs = [-1 if axis in falling else 1 for axis in axes]
    monomials = [Monomial.of({a: s * p for a, s, p in zip(axes, signs, powers, strict=True)}) for powers in products]
    if len(axes) >= _MANY_AXES:
        return monomials
    return monomials + [m * Monomial((), ((a, 1),)) for m in monomials for a in axes if m.exponent(a) > 0]


def choose(observed: Observations) -> Choice | None:
    """The best sum of a constant and up to two terms; None where no sum has only positive terms, or too many axes."""
    if len(observed.axes) > _MAX_AXES:
        return None
    pool = candidates(observed.axes, _falling(observed))
    pool = [m for m in pool if not m.logs or (observed.sizes[m.logs[0][0]] >= 1).all()]
    fits = _foretelling(_screened(pool, observed), pool, observed)
    if not fits:
        return None
    logs = np.array([score for _, score in fits])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    laws: dict[tuple[Monomial, ...], float] = {}
    for (chosen, _), weight in zip(fits, weights, strict=True):
        law = leading([pool[i] for i in chosen])
        laws[law] = laws.get(law, 0.0) + float(weight)
    ranked = dict(sorted(laws.items(), key=lambda item: -item[1]))
    best = next(chosen for chosen, _ in fits if leading([pool[i] for i in chosen]) == next(iter(ranked)))
    return Choice(tuple(pool[i] for i in best), ranked)


def _falling(observed: Observations) -> tuple[str, ...]:
    """Axes along which the values fall."""
    matrix = np.column_stack([np.ones(len(observed.values)), observed.logs])
    (_, *slopes), *_ = np.linalg.lstsq(matrix, np.log(observed.values), rcond=None)
    return tuple(axis for axis, slope in zip(observed.axes, slopes, strict=True) if slope < _FALLING)


Sum = tuple[tuple[int, ...], float]


def _screened(pool: list[Monomial], observed: Observations) -> list[Sum]:
    """The most likely sums of one and of two terms, best first, with their log weights."""
    relative = design_matrix(pool, observed) / observed.values[:, None]
    relative = relative / np.linalg.norm(relative, axis=0)
    constant = 1 / observed.values
    constant = constant / np.linalg.norm(constant)
    singles = np.arange(len(pool))[:, None]
    pairs = np.array(list(itertools.combinations(range(len(pool)), 2))).reshape(-1, 2)
    sums = [
        _constant_alone(constant),
        *_scores(singles, relative, constant, pool),
        *_scores(pairs, relative, constant, pool),
    ]
    return sorted(sums, key=lambda one: -one[1])[:_CLOSELY]


def _constant_alone(constant: Array) -> Sum:
    count = len(constant)
    residual_sum = max(count - float(constant.sum()) ** 2, 1e-12 * count)
    return (), -0.5 * (count - 1) * math.log(residual_sum / (count - 1))


def _scores(
    chosen: np.ndarray[Any, np.dtype[np.int64]], relative: Array, constant: Array, pool: list[Monomial]
) -> list[Sum]:
    """Sums with positive terms and their log weights; the constant is left out where it would be negative."""
    count = len(constant)
    gram, ones = relative.T @ relative, relative.sum(axis=0)
    price = np.array([_price(monomial) for monomial in pool])
    best = np.full(len(chosen), np.inf)
    for with_constant in (True, False):
        size = chosen.shape[1] + with_constant
        matrix, right = np.empty((len(chosen), size, size)), np.empty((len(chosen), size, 1))
        matrix[:, : chosen.shape[1], : chosen.shape[1]] = gram[chosen[:, :, None], chosen[:, None, :]]
        right[:, : chosen.shape[1], 0] = ones[chosen]
        if with_constant:
            cross = (relative.T @ constant)[chosen]
            matrix[:, -1, :-1], matrix[:, :-1, -1] = cross, cross
            matrix[:, -1, -1], right[:, -1, 0] = 1.0, constant.sum()
        matrix = matrix + 1e-12 * np.eye(size)
        solution = np.linalg.solve(matrix, right)[:, :, 0]
        residual_sums = count - np.einsum("ij,ij->i", solution, right[:, :, 0])
        largest = solution[:, : chosen.shape[1]] * relative.max(axis=0)[chosen]
        allowed = (largest > _MIN_SHARE).all(axis=1) & (solution >= 0).all(axis=1)
        best = np.where(allowed & (residual_sums < best), residual_sums, best)
    floor = 1e-12 * count
    ways = math.log(math.comb(len(pool), chosen.shape[1]))
    # Each parameter takes one from the count of configurations that speak for a sum: where these are few, a sum of more
    # terms comes near to anything.
    degrees_of_freedom = max(1, count - chosen.shape[1] - 1)
    logs = (
        -0.5 * degrees_of_freedom * np.log(np.maximum(best, floor) / degrees_of_freedom)
        - 0.5 * chosen.shape[1] * math.log(count)
        - ways
    )
    logs = logs - price[chosen].sum(axis=1)
    return [(tuple(map(int, row)), float(score)) for row, score in zip(chosen, logs, strict=True) if np.isfinite(score)]


def _price(monomial: Monomial) -> float:
    root = any(power.denominator > 1 for _, power in monomial.powers)
    return _PRICE_OF_A_ROOT * root + _PRICE_OF_A_LOGARITHM * bool(monomial.logs)


def _foretelling(fits: list[Sum], pool: list[Monomial], observed: Observations) -> list[Sum]:
    """Those that foretell the largest values from the smaller ones about as well as the best does."""
    order = np.argsort(observed.values)
    split = math.ceil(_FORETOLD_FROM * len(order))
    if len(order) - split < 2 or split < 5 or not fits:
        return fits
    small, large = order[:split], order[split:]
    misses = []
    for chosen, _ in fits:
        columns = design_matrix([Monomial(), *(pool[i] for i in chosen)], observed) / observed.values[:, None]
        columns = columns / columns.mean(axis=0)
        solution, *_ = np.linalg.lstsq(columns[small], np.ones(split), rcond=None)
        misses.append(float(np.sqrt(np.mean(np.square(columns[large] @ solution - 1)))))
    least = min(misses)
    return [fit for fit, miss in zip(fits, misses, strict=True) if miss <= _WORSE * least + 0.01]
