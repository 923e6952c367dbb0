"""One system of equations for all coefficients: its unknowns, points that determine it, and its solution."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from attnbench.counting.recover.domain import grid
from attnbench.counting.recover.lines import column
from attnbench.counting.recover.polynomial import Polynomial, solve
from attnbench.counting.recover.rounding import ROUNDED, Rounding
from attnbench.formula import Monomial
from attnbench.formula.syntax import exact_root
from attnbench.trial import Sizes, ordered

#: Axis → functions of this size that follow the counts along a line.
Functions = dict[str, list[Monomial]]

#: Combinations of sizes that are looked at, and sizes of an axis that takes part in a rounding.
_MAX_POINTS, _ROUNDED_SIZES = 3_000, 30
#: A point tells something new when so much of it cannot be said by the others.
_NEW = 1e-6
#: Coefficients of floating-point counts have denominators up to this.
_DENOMINATOR = 720


def extended(rounding: Rounding | None, points: Sequence[Sizes]) -> dict[str, list[int]] | None:
    """Axis → its size at each point, with the rounded size; None where that has no value."""
    sizes = {axis: [point[axis] for point in points] for axis in points[0]} if points else {}
    if rounding is None or not points:
        return sizes or None
    rounded = [value for point in points if (value := rounding.at(point)) is not None]
    return sizes | {ROUNDED: rounded} if len(rounded) == len(points) else None


def products(functions: Functions) -> list[Monomial]:
    """Every product of one function of each axis."""
    every = itertools.product(*functions.values())
    return list(dict.fromkeys(functools.reduce(Monomial.__mul__, factors) for factors in every))


def combinations(rounding: Rounding | None, functions: Functions, sizes: Mapping[str, Sequence[int]]) -> list[Sizes]:
    """Combinations of `sizes`, at which all functions are rational where there are enough such sizes."""
    pools = {}
    for axis, line in sizes.items():
        found = functions[axis]
        rational = [size for size in sorted(line) if all(_is_rational(m, axis, size) for m in found)]
        most = _ROUNDED_SIZES if rounding and axis in rounding.axes else 2 * len(found) + 2
        pools[axis] = (rational if len(rational) >= len(found) else sorted(line))[:most]
    if math.prod(len(pool) for pool in pools.values()) <= _MAX_POINTS:
        return list(grid(pools))
    draw = random.Random(0).choice
    drawn = (ordered({axis: draw(pool) for axis, pool in pools.items()}) for _ in range(_MAX_POINTS))
    return list({tuple(point.values()): point for point in drawn}.values())


def independent(
    monomials: Sequence[Monomial],
    points: Sequence[Sizes],
    sizes: Mapping[str, Sequence[int]],
    possible: Callable[[Sizes], bool],
) -> list[Sizes]:
    """As many possible points as monomials, each chosen for what the others do not say; empty where there are fewer."""
    rest = np.stack([column(monomial, sizes) for monomial in monomials], axis=1)
    rest /= np.linalg.norm(rest, axis=0).clip(min=1e-300)
    rest /= np.linalg.norm(rest, axis=1, keepdims=True).clip(min=1e-300)
    chosen: list[Sizes] = []
    while len(chosen) < len(monomials):
        norms = np.linalg.norm(rest, axis=1)
        best = int(norms.argmax())
        if norms[best] < _NEW:
            return []
        if possible(points[best]):
            chosen.append(points[best])
            direction = rest[best] / norms[best]
            rest -= np.outer(rest @ direction, direction)
        rest[best] = 0
    return chosen


def coefficients(
    monomials: Sequence[Monomial], sizes: Mapping[str, Sequence[int]], counts: Sequence[float]
) -> Polynomial:
    """Coefficients that are not zero: exact for whole counts of rational functions, small fractions otherwise."""
    points = [{axis: line[i] for axis, line in sizes.items()} for i in range(len(counts))]
    if all(_is_rational(m, axis, point[axis]) for point in points for m in monomials for axis in m.axes):
        solved = solve([[_exact(monomial, point) for monomial in monomials] for point in points], [tuple(counts)])
        found = solved[0] if solved else []
    else:
        matrix = np.stack([column(monomial, sizes) for monomial in monomials], axis=1)
        scale = np.linalg.norm(matrix, axis=0)
        found = [Fraction(c) for c in (np.linalg.solve(matrix / scale, np.asarray(counts, float)) / scale).tolist()]
    if not all(isinstance(count, int) for count in counts):
        found = [c.limit_denominator(_DENOMINATOR) for c in found]
    return {monomial: c for monomial, c in zip(monomials, found, strict=False) if c}


def _is_rational(monomial: Monomial, axis: str, size: int) -> bool:
    logs = dict(monomial.logs).get(axis, 0)
    root = exact_root(Fraction(size), monomial.exponent(axis).denominator)
    return root is not None and (not logs or size & (size - 1) == 0)


def _exact(monomial: Monomial, sizes: Sizes) -> Fraction:
    value = Fraction(1)
    for axis, power in monomial.powers:
        root = exact_root(Fraction(sizes[axis]), power.denominator)
        value *= (root or Fraction(0)) ** power.numerator
    for axis, log_power in monomial.logs:
        value *= (sizes[axis].bit_length() - 1) ** log_power
    return value
