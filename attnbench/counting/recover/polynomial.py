"""Polynomials of degree three or less in each size, solved for in fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from attnbench.counting.recover.domain import Domain, Values, grid
from attnbench.formula import Monomial
from attnbench.trial import Sizes

#: What a count says at one point: one number or several, the largest of which counts.
Counts = tuple[float, ...]
Count = Callable[[Sizes], Counts]
Polynomial = dict[Monomial, Fraction]

_HIGHEST = 3
#: So many unknowns, or counts that are no whole numbers, are hardly a polynomial: a fifth size must confirm it first.
_MANY = 64
#: More unknowns take minutes; where a product of few of them is the formula, it is found without the others.
_TOO_MANY = 256


def polynomials(domain: Domain, count: Count, base: Sizes) -> tuple[list[Polynomial], list[Sizes]] | None:
    """The polynomial of each column of counts, and the points it was solved for at; None where there is none.

    The points are as many as the unknowns, so they cannot contradict the result: that is left to held-out sizes.
    """
    pools = domain.solving
    lines = {
        axis: [sizes for size in pool if domain.possible(sizes := base | {axis: size})] for axis, pool in pools.items()
    }
    degrees = {axis: _degree(count, axis, line) for axis, line in lines.items()}
    exponents = itertools.product(*(range(degree + 1) for degree in degrees.values()))
    monomials = [Monomial.of(dict(zip(degrees, powers, strict=True))) for powers in exponents]
    if len(monomials) > _TOO_MANY:
        return None
    doubtful = len(monomials) > _MANY or not _whole(count(base))
    if doubtful and not all(_confirmed(domain, count, axis, lines[axis]) for axis in degrees):
        return None
    used = {axis: pool[: degrees[axis] + 1] if degrees[axis] else (base[axis],) for axis, pool in pools.items()}
    points = list(filter(domain.possible, grid(used)))
    columns = list(dict.fromkeys(zip(*rows(count, points), strict=True)))
    found = solve([[_exact(m, point) for m in monomials] for point in points], columns)
    if found is None:
        return None
    return ([{m: c for m, c in zip(monomials, column, strict=True) if c} for column in found], points)


def rows(count: Count, points: Sequence[Sizes]) -> list[Counts]:
    """Counts at each point; only their maximum where their number depends on the sizes."""
    found = [count(point) for point in points]
    return found if len({len(row) for row in found}) == 1 else [(max(row),) for row in found]


def solve(matrix: list[list[Fraction]], columns: Sequence[Counts]) -> list[list[Fraction]] | None:
    """Exact solution for each column of values; None when the rows do not determine it."""
    width = len(matrix[0]) if matrix else 0
    reduced = [[*row, *(Fraction(column[i]) for column in columns)] for i, row in enumerate(matrix)]
    for pivot in range(width):
        found = next((r for r in range(pivot, len(reduced)) if reduced[r][pivot]), None)
        if found is None:
            return None
        reduced[pivot], reduced[found] = reduced[found], reduced[pivot]
        scale = reduced[pivot][pivot]
        reduced[pivot] = [value / scale for value in reduced[pivot]]
        for r, row in enumerate(reduced):
            if r != pivot and row[pivot]:
                factor = row[pivot]
                reduced[r] = [value - factor * top for value, top in zip(row, reduced[pivot], strict=True)]
    return [[reduced[i][width + c] for i in range(width)] for c in range(len(columns))]


def _degree(count: Count, axis: str, points: Sequence[Sizes]) -> int:
    """Degree along one axis by divided differences: the highest order that does not vanish everywhere."""
    at = [point[axis] for point in points]
    return max(_order(at, column) for column in zip(*rows(count, points), strict=True))


def _order(at: Sequence[int], column: Sequence[float]) -> int:
    differences = [Fraction(value) for value in column]
    highest = 0
    for order in range(1, len(at)):
        differences = [
            (differences[i + 1] - differences[i]) / (at[i + order] - at[i]) for i in range(len(differences) - 1)
        ]
        highest = order if any(differences) else highest
    return highest


def _confirmed(domain: Domain, count: Count, axis: str, line: list[Sizes]) -> bool:
    """Whether one more size leaves the degree along `axis` at three or less."""
    last = line[-1][axis] if line else 0
    more: Values = domain.allowed(axis, (2 * last, 2 * last + 1))
    points = [*line, *(sizes for size in more if domain.possible(sizes := line[-1] | {axis: size}))]
    distinct = list({point[axis]: point for point in points}.values())
    return _degree(count, axis, distinct) <= _HIGHEST


def _whole(values: Counts) -> bool:
    return all(float(value).is_integer() for value in values)


def _exact(monomial: Monomial, sizes: Sizes) -> Fraction:
    value = Fraction(1)
    for axis, power in monomial.powers:
        value *= Fraction(sizes[axis]) ** int(power)
    return value


def exceeds(upper: Polynomial, lower: Polynomial) -> bool:
    """Whether `upper` is nowhere the smaller: in sizes less one, never negative, their difference has no minus.

    What both are divided by is taken away first; of roots and logarithms nothing is said.
    """
    plain = {m: upper.get(m, Fraction(0)) - lower.get(m, Fraction(0)) for m in {*upper, *lower}}
    plain = {monomial: coefficient for monomial, coefficient in plain.items() if coefficient}
    if any(monomial.logs or any(power.denominator > 1 for _, power in monomial.powers) for monomial in plain):
        return False
    if all(coefficient > 0 for coefficient in plain.values()) or sum(plain.values()) < 0:
        return sum(plain.values()) >= 0  # the second is the value where every size is 1
    below = Monomial.of({a: -min(m.exponent(a) for m in plain) for m in plain for a, p in m.powers if p < 0})
    difference: dict[Monomial, Fraction] = {}
    for monomial, coefficient in ((m * below, c) for m, c in plain.items()):
        for chosen in itertools.product(*(range(int(power) + 1) for _, power in monomial.powers)):
            ways = math.prod(math.comb(int(power), p) for (_, power), p in zip(monomial.powers, chosen, strict=True))
            of = Monomial.of({axis: p for (axis, _), p in zip(monomial.powers, chosen, strict=True)})
            difference[of] = difference.get(of, Fraction(0)) + ways * coefficient
    return all(coefficient >= 0 for coefficient in difference.values())
