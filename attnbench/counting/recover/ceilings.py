"""Formulas for path lengths: whole numbers of steps, which are no sums of products of sizes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from attnbench.counting.recover.result import Miss, Recovered
from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.formula.monomial import Number
from attnbench.trial import Sizes, describe

#: How far one step reaches, by the name of a size; the simplest first. Then the same for reaches that no size names.
_REACHES = ("{y}", "({y} - 1)", "(2*{y})", "({y} + 1)", "(2*{y} + 1)", "(2*({y} - 1))")
_FIXED_REACHES = (*range(2, 17), 32, 64, 128)
_BASES = ("{y}", "2*{y} + 1", "{y} + 1", "2*{y}", "{y} - 1")
_DISTANCES = ("(n - 1)", "2*(n - 1)", "n", "2*n", "(n + 1)")
_AFTER_ROUNDING = ("{x}", "{x} + 1", "{x} - 1", "2*{x}", "2*{x} + 1", "2*{x} - 1")

#: Formulas among which the closest is looked for where none is exact: those without anything added after rounding.
_CLOSEST_OF = 1_000

_Point = tuple[Sizes, float]

_NO_FORMULA = "no formula for path lengths reproduces the values"


def recover_ceiling(values: Sequence[_Point], axes: Sequence[str]) -> Recovered:
    """The simplest formula of a systematic family that equals every value.

    Half of the sizes choose the formula, and the other half must confirm it.

    Args:
        values: sizes and the path length there: a whole number, or infinity.
        axes: the sizes the formula may speak of, ``n`` among them; those that never change are taken as numbers.
    """
    if len(values) < 2:
        return Recovered(None, (), f"{_NO_FORMULA}: one size or none is no evidence")
    if any(math.isinf(value) for _, value in values):
        return _unbounded(values)
    changing = [axis for axis in axes if len({sizes[axis] for sizes, _ in values}) > 1]
    chosen, held_out = _halves(values)
    found = next((formula for formula in _family(changing, chosen) if _miss(formula, chosen) is None), None)
    if found is None:
        return Recovered(None, (), f"{_NO_FORMULA}: {_closest(changing, values)}")
    if miss := _miss(found, held_out):
        return Recovered(None, (), f"{_NO_FORMULA}: the closest is {found}: {miss.sentence}")
    return Recovered(found, _sizes([*chosen, *held_out]), f"exact {_how_many(chosen, held_out)}")


def _unbounded(values: Sequence[_Point]) -> Recovered:
    """Infinity, from the length on beyond which nothing is finite."""
    finite = [(sizes, value) for sizes, value in values if math.isfinite(value)]
    longest, length = max(finite, key=lambda point: point[0]["n"], default=({"n": 0}, 0.0))
    beyond = [(sizes, value) for sizes, value in values if sizes["n"] > longest["n"]]
    if len({sizes["n"] for sizes, _ in beyond}) < 2:
        endless = describe(next(sizes for sizes, value in values if math.isinf(value)))
        return Recovered(None, (), f"{_NO_FORMULA}: inf at {endless}, but {length:g} at {describe(longest)}")
    start = min(sizes["n"] for sizes, _ in beyond)
    where = f", for n >= {start}; finite at some shorter lengths" if finite else ""
    chosen, held_out = _halves(beyond)
    return Recovered(Formula("inf"), _sizes(beyond), f"without bound {_how_many(chosen, held_out)}{where}")


def _halves(values: Sequence[_Point]) -> tuple[list[_Point], list[_Point]]:
    """The sizes that choose and those that confirm, drawn at random but always alike."""
    shuffled = sorted(values, key=lambda point: tuple(point[0].values()))
    random.Random(0).shuffle(shuffled)
    middle = (len(shuffled) + 1) // 2
    return shuffled[:middle], shuffled[middle:]


def _family(axes: Sequence[str], values: Sequence[_Point]) -> Iterator[Formula]:
    """Every formula that is tried, the simplest first, as the field writes them."""
    yield from map(Formula, dict.fromkeys(f"{value:g}" for _, value in values[:1]))
    yield from map(Formula, _without_rounding(axes, values))
    others = [axis for axis in axes if axis != "n"]
    if "n" in axes:
        cores = list(dict.fromkeys(_rounded(others)))
        wrappings = [*_AFTER_ROUNDING, *(f"{axis}*{{x}}" for axis in others)]
        yield from (Formula(wrapping.format(x=core)) for wrapping in wrappings for core in cores)


def _without_rounding(axes: Sequence[str], values: Sequence[_Point]) -> Iterator[str]:
    """Straight lines in one size, and products with another."""
    for axis in sorted(axes, key=lambda axis: axis != "n"):
        yield from (axis, f"{axis} - 1", f"{axis} + 1", f"2*{axis}", f"2*({axis} - 1)", f"2*{axis} - 1")
        yield from _straight_line(axis, values)
    if "n" in axes:
        for other in axes:
            if other != "n":
                yield from (f"{other}*n", f"{other}*(n - 1)", f"{other}*n - 1", f"{other}*n + 1", f"n/{other}")


def _straight_line(axis: str, values: Sequence[_Point]) -> Iterator[str]:
    """The line through two of the values, if its numbers are whole."""
    (first, low), *rest = values
    other = next(((sizes, value) for sizes, value in rest if sizes[axis] != first[axis]), None)
    if other is not None:
        slope = (other[1] - low) / (other[0][axis] - first[axis])
        start = low - slope * first[axis]
        if slope.is_integer() and start.is_integer():
            yield f"{slope:.0f}*{axis} {'-' if start < 0 else '+'} {abs(start):.0f}"


def _rounded(others: Sequence[str]) -> Iterator[str]:
    """Quotients, logarithms and roots, rounded up and then rounded down."""
    reaches = [reach.format(y=axis) for axis in others for reach in _REACHES]
    reaches += [f"(l*{reach})" for reach in reaches if "l" in others and reach.strip("()") != "l"]
    quotients = [f"{distance}/{reach}" for distance in _DISTANCES for reach in (*reaches, *_FIXED_REACHES)]
    bases = [base.format(y=axis) for axis in others for base in _BASES]
    logs = [f"log({argument}, {base})" for argument in ("n", "2*n - 1") for base in bases]
    logs += [f"log2({argument})" for argument in ("n", "2*n - 1", "n + 1")]
    ratios = [f"{distance}/{reach}" for distance in _DISTANCES[:2] for reach in (*reaches, *_FIXED_REACHES)]
    logs += [f"log2({ratio} + 1)" for ratio in ratios]
    yield "(floor(log2(n + 1)) + floor(log2((n + 1)/3)))"  # up and down a tree of halves
    roots = ["sqrt(n)", "sqrt(n - 1)", "2*sqrt(n)"]
    for function in ("ceil", "floor"):
        yield from (f"{function}({inside})" for inside in (*quotients, *logs, *roots))


def _miss(formula: Formula, values: Sequence[_Point]) -> Miss | None:
    """The first value that the formula does not reproduce."""
    wrong = ((sizes, _value(formula, sizes), seen) for sizes, seen in values)
    return next((Miss(formula, sizes, said, seen) for sizes, said, seen in wrong if said != seen), None)


def _value(formula: Formula, sizes: Sizes) -> Number:
    try:
        return formula.evaluate(sizes)
    except FormulaError:  # a logarithm to the base 1
        return math.nan


def _closest(axes: Sequence[str], values: Sequence[_Point]) -> str:
    """The formula that misses the fewest values, and one that it misses."""
    formulas = list(_family(axes, values))[:_CLOSEST_OF]
    best = min(formulas, key=lambda formula: sum(_value(formula, sizes) != seen for sizes, seen in values))
    miss = _miss(best, values)
    return f"the closest is {best}: {miss.sentence}" if miss else ""


def _how_many(chosen: Sequence[_Point], held_out: Sequence[_Point]) -> str:
    longest = max(sizes["n"] for sizes, _ in (*chosen, *held_out))
    return f"at {len(chosen)} sizes and {len(held_out)} held-out ones, n up to {longest}"


def _sizes(values: Sequence[_Point]) -> tuple[Sizes, ...]:
    return tuple(sizes for sizes, _ in values)
