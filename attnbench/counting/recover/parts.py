"""Counts that are sums of many small ones, each of which has a formula of its own.

A call is some dozens of kernels, and what one of them counts is nearly always a product of sizes: two more sizes along
each axis tell its powers, and all kernels are told by the same few calls. Where it is a sum (a padded length, the
output of joined projections), a few more points do. The sum of all is then held against sizes that had no part in it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Self

from attnbench.counting.recover.domain import Domain, grid
from attnbench.counting.recover.equations import coefficients, independent, products
from attnbench.counting.recover.lines import smallest_set, smooth
from attnbench.counting.recover.polynomial import Polynomial
from attnbench.counting.recover.result import Miss, Recovered, agree, proof_sentence
from attnbench.counting.recover.start import Start, sizes_along, start
from attnbench.counting.recover.writing import largest
from attnbench.errors import FormulaError
from attnbench.formula import Formula, Monomial
from attnbench.trial import Sizes

#: Other sizes of an axis that tell a power; that tell a sum of functions; at which a loop is followed.
_FOR_A_POWER, _FOR_A_SUM, _FOR_A_LOOP = 2, 7, 6
#: Sizes tried until there are so many at which the same kernels run.
_TRIES = 12
#: Unknowns of one part that are worth solving for, and moments whose bytes are worth comparing.
_MAX_UNKNOWNS, _MAX_MOMENTS = 64, 400
_POWERS = (1, 2, 3, -1, -2, Fraction(1, 2))
#: So few points are followed by powers alone, one fewer than there are points: as many would follow anything.
_FEW = 4
#: Enough points for every kind of function to be thought of.
_MANY = 100
#: What logarithms are taken of beside sizes: the keys of a step, a window to both sides.
_IN_LOGS = ("{x} + 1", "2*{x} + 1")
#: Held-out sizes that must be left where some had a part in the formula.
_FEWEST_HELD_OUT = 6
_NO_PROOF = "the layer can be called at none of the sizes that formulas are proved at"
#: Lengths at which a loop over positions is short.
_SHORT_LENGTHS = (4, 5, 6, 7, 8, 9, 10)


@dataclass(frozen=True, slots=True)
class Parts:
    """What was counted in one call, part by part.

    Attributes:
        values: one number for each part: a kernel's work, the bytes of a tensor.
        sums: which parts are added up; of several sums (the bytes alive after each kernel) the largest is the count.
        only_largest: whether no other sums are known than the largest, which may be another one at other sizes.
    """

    values: tuple[float, ...]
    sums: tuple[frozenset[int], ...]
    only_largest: bool = False

    @classmethod
    def added(cls, values: Iterable[float]) -> Self:
        """Parts that make up the count together."""
        every = tuple(values)
        return cls(every, (frozenset(range(len(every))),))

    @property
    def total(self) -> float:
        """The count."""
        return max((sum(self.values[place] for place in one) for one in self.sums), default=0)

    def is_like(self, other: Parts) -> bool:
        """Whether the same kernels ran, so that part by part the two tell of the same thing."""
        return len(self.values) == len(other.values) and (self.only_largest or self.sums == other.sums)


#: The parts at some sizes.
CountParts = Callable[[Sizes], Parts]


def recover_parts(count: CountParts, domain: Domain) -> Recovered:
    """The formula of ``count(sizes).total``, proved on held-out sizes; its reason says for which sizes it is meant."""
    found = start(domain)
    if found is None:
        return Recovered(None, (), "the layer can be called at none of the sizes that formulas are solved for at")
    solver = _Solver(count, domain)
    if not domain.held_out:
        return Recovered(None, (), _NO_PROOF)
    solved = solver.solve(found.base, domain.axes)
    if not solved:
        return Recovered(None, (), "its kernels change with its sizes in no way that is followed part by part")
    proved = _proved(count, domain, solver, solved)
    if not proved.formula:
        return proved
    held = tuple(axis for axis in solver.held if axis not in domain.only)
    return replace(proved, reason=proved.reason + _where(found, solver.held, domain), held=held)


def _proved(count: CountParts, domain: Domain, solver: _Solver, solved: list[Polynomial]) -> Recovered:
    """The formula, if held-out sizes confirm it; a sum that is the largest at one of them only joins the others."""
    try:
        formula = largest(solved)
    except FormulaError:  # hundreds of terms, too long to be read
        return Recovered(None, (), "the sum of its parts is too long to be read")
    held_out = [sizes for sizes in domain.held_out if tuple(sizes.values()) not in solver.points]
    if not held_out:
        return Recovered(None, (), _NO_PROOF)
    for sizes in held_out:
        if not agree(said := formula.evaluate(sizes), seen := count(sizes).total):
            more = solver.largest_at(sizes) if len(held_out) > _FEWEST_HELD_OUT else None
            if more and more[0] not in solved:
                return _proved(count, domain, solver, [*solved, *more])
            return Recovered(None, (), f"the sum of its parts fails: {Miss(formula, sizes, said, seen).sentence}")
    rounded = any(monomial.logs for polynomial in solved for monomial in polynomial)
    points = list(solver.points.values())
    return Recovered(formula, (*points, *held_out), proof_sentence(points, held_out, rounded=rounded))


def _where(found: Start, held: Mapping[str, int], domain: Domain) -> str:
    """For which sizes a formula was looked for, where some could not be changed and nobody held them back."""
    least = [f"n ≥ {found.least}"] if found.least else []
    said = " and ".join([*least, *(f"{axis} = {size}" for axis, size in held.items() if axis not in domain.only)])
    return f", for {said}" if said else ""


@dataclass
class _Solver:
    """One search.

    Attributes:
        points: every point that had a part in it.
        held: sizes that could not be changed, as nothing else is possible beside the others.
        columns: the polynomial of each part, where no loop had to be followed.
    """

    count: CountParts
    domain: Domain
    points: dict[tuple[int, ...], Sizes] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    columns: list[Polynomial] = field(default_factory=list)

    def solve(self, base: Sizes, axes: Sequence[str]) -> list[Polynomial] | None:
        """One polynomial for each sum that may be the largest; None where some part is followed by none."""
        lines: dict[str, list[Sizes]] = {}
        for axis in axes:
            lines[axis], loops = self._alike(axis, base, _FOR_A_POWER)
            if loops:
                return self._loop(axis, base, [other for other in axes if other != axis])
        seen = [self.parts(base), *(self.parts(point) for line in lines.values() for point in line)]
        columns = list(zip(*(parts.values for parts in seen), strict=True))
        found: dict[tuple[float, ...], Polynomial] = {}
        for place, column in enumerate(columns):
            if column not in found:
                solved = self._part(place, base, lines)
                if solved is None:
                    return None
                found[column] = solved
        self.columns = [found[column] for column in columns]
        sums = dict.fromkeys(one for parts in seen for one in parts.sums) if seen[0].only_largest else seen[0].sums
        return _sums(list(sums), self.columns)

    def largest_at(self, sizes: Sizes) -> list[Polynomial] | None:
        """The sum that is the largest at some size, where others were known that are so elsewhere."""
        parts = self.count(sizes)
        if not parts.only_largest or len(parts.values) != len(self.columns):
            return None
        self.points[tuple(sizes.values())] = sizes
        return _sums(parts.sums, self.columns)

    def parts(self, sizes: Sizes) -> Parts:
        """The parts at some sizes."""
        self.points[tuple(sizes.values())] = sizes
        return self.count(sizes)

    def _alike(self, axis: str, base: Sizes, wanted: int) -> tuple[list[Sizes], bool]:
        """Points along an axis at which the same kernels run; and whether others run at most other sizes."""
        like, unlike = [], 0
        for point in itertools.islice(sizes_along(self.domain, axis, base), _TRIES):
            if not self.domain.possible(point):
                continue
            if self.count(point).is_like(self.count(base)):
                like.append(point)
            else:
                unlike += 1
            if len(like) == wanted or unlike > wanted:
                break
        if not like and not unlike:
            self.held[axis] = base[axis]
        return like, unlike > len(like)

    # ------------------------------------------------------------------------------------------------- one part

    def _part(self, place: int, base: Sizes, lines: Mapping[str, list[Sizes]]) -> Polynomial | None:
        functions = {axis: self._functions(place, axis, base, line) for axis, line in lines.items()}
        known = {axis: found for axis, found in functions.items() if found is not None}
        if len(known) < len(functions):
            return None
        monomials = products(known)
        if len(monomials) > _MAX_UNKNOWNS:
            return None
        points = [base] if len(monomials) == 1 else self._points(monomials, known, base)
        if not points or not all(self.count(point).is_like(self.count(base)) for point in points):
            return None
        return coefficients(monomials, _extended(points), [self.parts(point).values[place] for point in points])

    def _functions(self, place: int, axis: str, base: Sizes, line: Sequence[Sizes]) -> list[Monomial] | None:
        """Functions of one size whose sum follows a part: nearly always one power."""
        if (power := self._power(place, axis, [base, *line])) is not None:
            return [Monomial.of({axis: power})]
        longer, _ = self._alike(axis, base, _FOR_A_SUM)
        points = [base, *longer]
        values, sizes = [self.parts(point).values[place] for point in points], _extended(points)
        found = smallest_set(smooth(axis, _MANY), sizes, values)
        if found is None and len(points) <= _FEW:
            found = smallest_set(smooth(axis, len(points) - 1), sizes, values)
        if found or all(isinstance(value, int) for value in values):
            return found
        logs = ([Monomial(), Monomial.of({}, {text.format(x=axis): 1})] for text in _IN_LOGS)
        return next((pair for pair in logs if smallest_set(pair, sizes, values)), None)

    def _power(self, place: int, axis: str, points: Sequence[Sizes]) -> Fraction | int | None:
        values = [self.parts(point).values[place] for point in points]
        if all(value == values[0] for value in values):
            return 0
        if len(points) <= _FOR_A_POWER or not all(values):
            return None
        growth = [
            (point[axis] / points[0][axis], value / values[0]) for point, value in zip(points, values, strict=True)
        ]
        return next((p for p in _POWERS if all(math.isclose(s ** float(p), v, rel_tol=1e-13) for s, v in growth)), None)

    def _points(self, monomials: list[Monomial], functions: Mapping[str, list[Monomial]], base: Sizes) -> list[Sizes]:
        """As many points as unknowns, different along those axes only that have several functions."""
        several = [axis for axis, found in functions.items() if len(found) > 1]
        pools = {axis: [base[axis], *(p[axis] for p in self._alike(axis, base, _FOR_A_SUM)[0])] for axis in several}
        every = [ordered for point in grid(pools) if self.domain.allows(ordered := base | point)]
        return independent(monomials, every, _extended(every), self.domain.possible)

    # ------------------------------------------------------------------------------------------------- loops

    def _loop(self, axis: str, base: Sizes, others: Sequence[str]) -> list[Polynomial] | None:
        """Where other kernels run at other sizes of an axis: all other axes first, then what becomes of each term."""
        if axis in self.held or len(others) < len(self.domain.axes) - 1:  # one loop within another
            return None
        more = _SHORT_LENGTHS if axis == "n" else ()
        points = sizes_along(self.domain, axis, base, more)
        at = list(itertools.islice(filter(self.domain.possible, points), _FOR_A_LOOP))
        solved = [self.solve(point, others) for point in at]
        polynomials = [found[0] for found in solved if found and len(found) == 1]
        if len(polynomials) < len(at) or not at:
            return None
        sizes, total = {axis: [point[axis] for point in at]}, Polynomial()
        for monomial in dict.fromkeys(itertools.chain.from_iterable(polynomials)):
            values = [polynomial.get(monomial, Fraction(0)) for polynomial in polynomials]
            functions = smallest_set(smooth(axis, len(at)), sizes, [float(value) for value in values])
            if functions is None:
                return None
            for function, value in coefficients(functions, sizes, [_number(value) for value in values]).items():
                total[function * monomial] = value
        return [total]


def _extended(points: Sequence[Sizes]) -> dict[str, list[int]]:
    """Axis → its size at each point, and what logarithms are taken of beside that."""
    sizes = {axis: [point[axis] for point in points] for axis in points[0]}
    plus = ((text, name, Formula(text.format(x=name))) for text in _IN_LOGS for name in sizes)
    more = {text.format(x=name): [int(formula.evaluate(point)) for point in points] for text, name, formula in plus}
    return sizes | more


def _sums(sums: Sequence[frozenset[int]], parts: Sequence[Polynomial]) -> list[Polynomial] | None:
    """The polynomial of each sum, each once."""
    if len(sums) > _MAX_MOMENTS:
        return None
    distinct: dict[frozenset[tuple[Monomial, Fraction]], Polynomial] = {}
    names = [id(part) for part in parts]
    by_name = dict(zip(names, parts, strict=True))
    for one in sums:
        total: Polynomial = {}
        for name, times in Counter(names[place] for place in one).items():
            for monomial, coefficient in by_name[name].items():
                total[monomial] = total.get(monomial, Fraction(0)) + times * coefficient
        kept = {monomial: coefficient for monomial, coefficient in total.items() if coefficient}
        distinct[frozenset(kept.items())] = kept
    return list(distinct.values())


def _number(value: Fraction) -> float:
    """A whole number as one: exactness depends on it."""
    return int(value) if value.denominator == 1 else float(value)
