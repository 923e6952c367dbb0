"""Formulas that are no polynomials: roots, logarithms, and sizes rounded to blocks, powers of two or whole numbers.

Each axis is looked at along a line first: which few functions of this size follow the counts there? Their products are
the unknowns of one system of equations, and its solution must then predict sizes that had no part in finding it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from attnbench.counting.recover.domain import Domain
from attnbench.counting.recover.equations import (
    Functions,
    coefficients,
    combinations,
    extended,
    independent,
    products,
)
from attnbench.counting.recover.lines import few, generic_point, plane, run, smallest_set, smooth
from attnbench.counting.recover.polynomial import Count
from attnbench.counting.recover.result import Miss, Recovered, agree, proof_sentence
from attnbench.counting.recover.rounding import Rounding, roundings
from attnbench.counting.recover.writing import remark, written
from attnbench.errors import FormulaError
from attnbench.formula import Formula, Monomial
from attnbench.trial import Sizes

#: Unknowns that are worth solving for, and terms along the axis of a rounded size.
_MAX_UNKNOWNS, _ROUNDED_TERMS = 100, 4
#: A rounded size is computed from two sizes at most.
_MAX_BROKEN = 2

_Line = list[Sizes]


@dataclass
class Search:
    """One search beyond polynomials.

    Attributes:
        count: the counts, each made once.
        domain: where to look.
        counted: every point that had a part in finding a formula.
        misses: formulas that held-out sizes refuted.
    """

    count: Count
    domain: Domain
    counted: dict[tuple[int, ...], Sizes] = field(default_factory=dict)
    misses: list[Miss] = field(default_factory=list)

    def find(self) -> Recovered | None:
        """The first formula that held-out sizes confirm."""
        base = generic_point(self.domain)
        if base is None:
            return None
        lines = {axis: few(self.domain, axis, base) for axis in self.domain.axes}
        followed = {axis: self._smooth(axis, line) for axis, line in lines.items()}
        known = {axis: functions for axis, functions in followed.items() if functions is not None}
        if len(known) == len(lines):
            return self._proved(None, known, lines)
        broken = [axis for axis in dict.fromkeys(("n", *lines)) if axis not in known]
        if len(broken) > _MAX_BROKEN:
            return None
        return self._rounded(known, lines | {axis: run(self.domain, axis, base) for axis in broken}, broken)

    def _rounded(self, known: Functions, lines: dict[str, _Line], broken: list[str]) -> Recovered | None:
        """The formula in a rounded size that explains every axis of `broken`, of several the one of fewest terms."""
        for axis in broken:
            others = [other for other in self.domain.axes if other != axis]
            longest = max(point[axis] for point in lines[axis])
            tried = [one for one in roundings(axis, others, longest) if one.axes.issuperset(broken)]
            followed = [(rounding, self._with_rounding(rounding, known, lines)) for rounding in tried]
            fitting = [(rounding, functions) for rounding, functions in followed if functions]
            fitting.sort(key=lambda fit: len(fit[1][axis]))
            proved = (self._proved(rounding, functions, lines) for rounding, functions in fitting)
            if found := next(filter(None, proved), None):
                return found
        return None

    def _with_rounding(self, rounding: Rounding, known: Functions, lines: dict[str, _Line]) -> Functions | None:
        """Functions along each axis, with the rounded size among them."""
        line = lines[rounding.axis]
        found = self._follow(rounding, rounding.candidates(), line)
        if found and rounding.other:
            across = plane(self.domain, line[0], rounding.axis, rounding.other)
            points = [*line, *lines[rounding.other], *across]
            found = self._follow(rounding, rounding.candidates_of_both(), points)
        if not found:
            return None
        others = {axis: functions for axis, functions in known.items() if axis not in rounding.axes}
        return others | {axis: [Monomial()] for axis in rounding.axes} | {rounding.axis: found}

    def _smooth(self, axis: str, line: _Line) -> list[Monomial] | None:
        sizes = {axis: [point[axis] for point in line]}
        return smallest_set(smooth(axis, len(line)), sizes, self._values(line))

    def _follow(self, rounding: Rounding, candidates: list[Monomial], line: _Line) -> list[Monomial] | None:
        sizes = extended(rounding, line)
        return smallest_set(candidates, sizes, self._values(line), _ROUNDED_TERMS) if sizes else None

    def _values(self, points: _Line) -> list[float]:
        self.counted |= {tuple(point.values()): point for point in points}
        return [max(self.count(point)) for point in points]

    def _proved(self, rounding: Rounding | None, functions: Functions, lines: dict[str, _Line]) -> Recovered | None:
        """The formula in these functions of each axis, if held-out sizes confirm it."""
        monomials = products(functions)
        combined = combinations(rounding, functions, {axis: [p[axis] for p in line] for axis, line in lines.items()})
        sizes = extended(rounding, combined)
        if sizes is None or not 0 < len(monomials) <= _MAX_UNKNOWNS:
            return None
        points = independent(monomials, combined, sizes, self.domain.possible)
        at_points = extended(rounding, points)
        if at_points is None:
            return None
        found = coefficients(monomials, at_points, self._values(points))
        try:
            formula = Formula(written(found, rounding))
        except FormulaError:  # too long to be read
            return None
        return self._checked(formula, remark(found, rounding), self._held_out(rounding, lines))

    def _checked(self, formula: Formula, what: str, unseen: Iterable[Sizes]) -> Recovered | None:
        """The formula with its proof, if it is right at all points, of which `unseen` had no part in finding it."""
        points = list(self.counted.values())
        held_out, rounded = [], False
        for sizes in itertools.chain(points, unseen):
            seen = max(self.count(sizes))
            try:
                said = formula.evaluate(sizes)
            except FormulaError:  # a logarithm of nothing
                return None
            if not agree(said, seen):
                self.misses.append(Miss(formula, sizes, said, seen))
                return None
            rounded |= isinstance(said, float)
            held_out += [sizes] if tuple(sizes.values()) not in self.counted else []
        if not held_out:
            return None
        sentence = proof_sentence(points, held_out, rounded=rounded)
        return Recovered(formula, (*points, *held_out), f"{what}; {sentence}" if what else sentence)

    def _held_out(self, rounding: Rounding | None, lines: dict[str, _Line]) -> Iterator[Sizes]:
        """Points that had no part in finding a formula; where a size is rounded, such as other roundings differ at."""
        seen = set(self.counted)
        for point in itertools.chain(self.domain.held_out, self._edges(rounding, lines)):
            if tuple(point.values()) not in seen:
                seen.add(tuple(point.values()))
                yield point

    def _edges(self, rounding: Rounding | None, lines: dict[str, _Line]) -> Iterator[Sizes]:
        if rounding is not None:
            longest = 2 * max(point[rounding.axis] for point in lines[rounding.axis]) + 1
            edges = [size for size in rounding.edges if size <= longest]
            yield from self.domain.held_out_at(rounding.axis, edges, rounding.axes - {rounding.axis})
