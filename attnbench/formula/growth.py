"""Whether two formulas grow alike, as classes do: constants, lower orders and rounding set aside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from attnbench.errors import FormulaError
from attnbench.formula import Formula

#: Bits of a size that grows with speed one, at two places far out: a logarithm doubles between them, a power explodes.
_NEAR, _FAR = 60, 120
#: Speeds that are tried. Length and width may outgrow each other; what is a part of a length stays behind it.
_SPEEDS = {"n": (1.0,), "d": (0.0, 0.5, 1.0, 2.0), "b": (0.0, 1.0)}
_PART = (0.0, 0.4)
#: Twofold change of the ratio between the two places, in bits, that counts as another class.
_DRIFT = 0.25
#: Where a size does not grow, it is this: odd, because kernels are.
_CONSTANT = 5


def same_growth(claim: Formula, found: Formula, axes: Iterable[str]) -> bool:
    """Whether the ratio of both stays between two constants, however `axes` grow: each is O of the other.

    Sizes grow along every ray on which `n` is the longest but for `d` and `b`, since a kernel, a window or a block
    is a part of the sequence. Looked at by numbers: a power or a logarithm too many changes the ratio far out.
    """
    rays = list(_rays(sorted({*axes, *claim.axes, *found.axes})))
    return all(_alike(claim, found, near, far) for near, far in rays)


def outgrows(one: Formula, other: Formula, axes: Iterable[str]) -> bool:
    """Whether, on some ray, `one` grows beyond every multiple of `other`."""
    rays = list(_rays(sorted({*axes, *one.axes, *other.axes})))
    return any(_drift(one, other, near, far) > _DRIFT for near, far in rays)


def outgrows_along(axis: str, one: Formula, other: Formula) -> bool:
    """The same where `axis` alone grows."""
    axes = sorted({axis, *one.axes, *other.axes})
    speeds = [float(name == axis) for name in axes]
    return _drift(one, other, _at(axes, speeds, _NEAR), _at(axes, speeds, _FAR)) > _DRIFT


def _rays(axes: list[str]) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Pairs of sizes, near and far, along every ray."""
    for speeds in itertools.product(*(_SPEEDS.get(axis, _PART) for axis in axes)):
        yield _at(axes, speeds, _NEAR), _at(axes, speeds, _FAR)


def _at(axes: list[str], speeds: Sequence[float], bits: int) -> dict[str, int]:
    return {
        axis: 2 ** round(speed * bits) + 1 if speed else _CONSTANT for axis, speed in zip(axes, speeds, strict=True)
    }


def _alike(claim: Formula, found: Formula, near: Mapping[str, int], far: Mapping[str, int]) -> bool:
    try:
        values = [formula.evaluate(sizes) for sizes in (near, far) for formula in (claim, found)]
    except FormulaError:
        return False
    if any(value == math.inf or value <= 0 for value in values):
        return values[:2] == values[2:] and values[0] == values[1]
    return abs(_drift(claim, found, near, far)) < _DRIFT


def _drift(one: Formula, other: Formula, near: Mapping[str, int], far: Mapping[str, int]) -> float:
    """Bits by which the ratio of `one` to `other` grows from near to far; 0 where one of them has no such value."""
    try:
        values = [formula.evaluate(sizes) for sizes in (near, far) for formula in (one, other)]
    except FormulaError:
        return 0.0
    if any(value == math.inf or value <= 0 for value in values):
        return 0.0
    logs = [_log2(value) for value in values]
    return (logs[2] - logs[3]) - (logs[0] - logs[1])


def _log2(value: float | Fraction) -> float:
    exact = Fraction(value)
    return math.log2(exact.numerator) - math.log2(exact.denominator)
