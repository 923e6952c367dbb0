"""Along one axis at a time: the smallest set of powers and logarithms that follows the counts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.recover.domain import Domain, grid
from attnbench.counting.recover.result import TOLERANCE
from attnbench.formula import Monomial
from attnbench.trial import Sizes

Floats = NDArray[np.float64]

#: One point that is no special case: whole blocks and heads, and no two sizes alike where that can be had.
_BASE = {"b": 3, "n": 48, "d": 24, "h": 2, "k": 5, "l": 2, "w": 3, "r": 7, "m": 5, "c": 4}
_OTHER_BASE = (3, 4, 2, 1)

#: Sizes tried along each axis: neighbours of powers of two among them, because padding shows there. A single sequence
#: or head is a special case to many kernels, and is left to the held-out sizes.
_FEW = {
    "b": (2, 3, 4, 5, 7, 8, 16),
    "n": (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 32, 33, 64, 65),
    "d": (4, 6, 8, 10, 12, 15, 16, 17, 20, 24, 32, 33, 48, 64, 65, 128, 129),
    "h": (2, 3, 4, 6, 8, 12, 24),
    "l": (1, 2, 3, 4, 5, 6, 7, 8),
}
_OTHER_FEW = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 15, 16, 17, 24, 32, 33)
_LONG_N = (96, 128, 129, 192, 256, 257, 512, 513, 1000, 1024)
#: Where the few are not followed: all small sizes, and both sides of many larger ones.
_RUN = (*range(1, 43), *(size + side for size in (48, 56, 64, 72, 80, 96, 100, 112, 120, 128) for side in (-1, 0, 1)))
#: The longest run of axes that make everything as many times as expensive.
_LONGEST_RUN = {"b": 24, "h": 24, "l": 12}
#: The longest n of those where every position costs, and a shorter generic one.
_LONGEST, _SHORT_BASE = 65, 12

#: Sizes of the second axis where two change.
_PLANE = 8

#: Most terms along one axis, and the points that must be left over to contradict them.
_MAX_TERMS, _SPARE = 5, 2

#: Less of a column than this is rounding, and the column a combination of those before it.
_REPEATED = 1e-13

_HALF = Fraction(1, 2)
#: Powers and powers of the logarithm of one size, the simplest first.
_POWERS_AND_LOGS: tuple[tuple[Fraction | int, int], ...] = (
    *((power, 0) for power in (0, 1, 2, 3)),
    *((power, 1) for power in (0, 1, 2)),
    *((power, 0) for power in (-1, _HALF, 3 * _HALF)),
    *((power, 2) for power in (0, 1)),
)


def generic_point(domain: Domain) -> Sizes | None:
    """A possible point at which nothing vanishes by accident."""
    bases = _BASE if domain.large else _BASE | {"n": _SHORT_BASE}
    pools = {axis: (bases[axis],) if axis in bases else _OTHER_BASE for axis in domain.axes}
    usual = {axis: domain.allowed(axis, (*pool, *domain.solving[axis])) for axis, pool in pools.items()}
    return next(filter(domain.possible, grid(usual)), None)


def few(domain: Domain, axis: str, base: Sizes) -> list[Sizes]:
    """Possible points along `axis`."""
    sizes = _FEW.get(axis, _OTHER_FEW)
    return _line(domain, axis, base, (*sizes, *_LONG_N) if axis == "n" and domain.large else sizes)


def plane(domain: Domain, base: Sizes, axis: str, other: str) -> list[Sizes]:
    """Possible points at which two sizes change."""
    others = [point[other] for point in few(domain, other, base)][:_PLANE]
    lines = (_line(domain, axis, base | {other: size}, _FEW["n"][: 2 * _PLANE]) for size in others)
    return [point for line in lines for point in line]


def run(domain: Domain, axis: str, base: Sizes) -> list[Sizes]:
    """Possible points along `axis`, consecutive ones among them."""
    sizes = sorted({*_RUN, *(point[axis] for point in few(domain, axis, base))})
    longest = _LONGEST if axis == "n" and not domain.large else _LONGEST_RUN.get(axis, sizes[-1])
    return _line(domain, axis, base, [size for size in sizes if size <= longest])


def _line(domain: Domain, axis: str, base: Sizes, sizes: Sequence[int]) -> list[Sizes]:
    points = [base | {axis: size} for size in domain.allowed(axis, sizes)]
    return list(filter(domain.possible, points))


def smooth(axis: str, points: int) -> list[Monomial]:
    """Powers and logarithms of one size; powers alone where there are too few points to choose from."""
    if points <= _SPARE + 2:
        return [Monomial.of({axis: power}) for power in range(min(points, 4))]
    return [Monomial.of({axis: power}, {axis: log}) for power, log in _POWERS_AND_LOGS]


def smallest_set(
    candidates: Sequence[Monomial], sizes: Mapping[str, Sequence[int]], counts: Sequence[float], most: int = _MAX_TERMS
) -> list[Monomial] | None:
    """The smallest, then simplest, set of candidates that some combination of equals `counts`; None without one.

    Args:
        candidates: monomials, the simplest first.
        sizes: axis → its size at each point.
        counts: the value at each point.
        most: the largest set tried.
    """
    if len(candidates) == len(counts) <= _SPARE + 2:
        return list(candidates)
    values = np.asarray(counts, dtype=float)
    if not values.any():
        return [Monomial()]
    weight = 1 / np.where(values == 0, 1, np.abs(values))
    columns = np.stack([column(monomial, sizes) for monomial in candidates], axis=1) * weight[:, None]
    columns /= np.linalg.norm(columns, axis=0).clip(min=1e-300)
    target = values * weight
    if not _follows(columns, target):
        return None
    for size in range(1, min(most, len(target) - _SPARE) + 1):
        sets = list(itertools.combinations(range(len(candidates)), size))
        follows = np.flatnonzero(_residual(columns[:, sets].swapaxes(0, 1), target) < TOLERANCE)
        if follows.size:
            return [candidates[i] for i in sets[follows[0]]]
    return None


def column(monomial: Monomial, sizes: Mapping[str, Sequence[int]]) -> Floats:
    """A monomial's value at each point."""
    length = len(next(iter(sizes.values())))
    powers = (np.asarray(sizes[axis], dtype=float) ** float(power) for axis, power in monomial.powers)
    logs = (np.log2(np.asarray(sizes[axis], dtype=float)) ** power for axis, power in monomial.logs)
    value: Floats = np.prod([np.ones(length), *powers, *logs], axis=0)
    return value


def _follows(columns: Floats, target: Floats) -> bool:
    """Whether all columns together can say the target, roughly; some of them may say the same."""
    directions: list[Floats] = []
    for rest in columns.T:
        for _ in range(2):
            for direction in directions:
                rest = rest - (direction @ rest) * direction
        length = np.linalg.norm(rest)
        directions += [rest / length] if length > _REPEATED else []
    for direction in directions:
        target = target - (direction @ target) * direction
    return bool(np.abs(target).max() < 1e3 * TOLERANCE)


def _residual(stack: Floats, target: Floats) -> Floats:
    """Largest residual of the best combination of columns, for each matrix of the stack."""
    directions, triangles = np.linalg.qr(stack)
    new = np.abs(np.diagonal(triangles, axis1=1, axis2=2)) > _REPEATED  # what repeats other columns points anywhere
    shares = np.einsum("spc,p->sc", directions, target) * new
    largest: Floats = np.abs(np.einsum("spc,sc->sp", directions, shares) - target).max(axis=1)
    return largest
