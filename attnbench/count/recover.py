"""From counts at some sizes to the formula for all sizes, exactly.

Counts are whole numbers, so a formula is solved for in fractions and must then predict held-out sizes (odd, prime and
large ones among them) without any residual. One wrong unit anywhere, and there is no formula.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from attnbench.formula import Formula, Monomial, from_terms
from attnbench.trial import Sizes, describe, ordered

#: Sizes at which formulas are solved for; four of them reveal a degree up to two and prove it, and a degree of three
#: is left to the held-out sizes. Hidden sizes are multiples of 12 so that 2, 3, 4 or 6 heads divide them.
_SOLVING = {"b": (2, 3, 4, 5), "n": (4, 6, 9, 11), "d": (12, 24, 36, 48), "h": (2, 3, 4, 6), "k": (3, 5, 7, 9)}
#: For layers that refuse one of those: lengths that blocks of 2, 3, 4, 6 or 16 divide, and powers of two.
_ROUND = {**_SOLVING, "n": (48, 96, 144, 240), "d": (48, 96, 144, 240)}
_POWERS = {**_SOLVING, "n": (8, 16, 32, 64), "d": (16, 32, 64, 128), "h": (1, 2, 4, 8)}
_HELD_OUT = {
    "b": (1, 2, 7),
    "n": (13, 31, 97, 120, 128),
    "d": (15, 30, 77, 210, 512),
    "h": (1, 2, 3, 5, 7),
    "k": (3, 11, 13),
}
_LARGE = (1009, 65_537, 2**20)
_OTHER, _OTHER_HELD_OUT = (2, 3, 4, 6), (1, 2, 5, 8)
_HELD_OUT_POINTS = 10

Values = tuple[int, ...]


@dataclass(frozen=True)
class Recovered:
    """A formula that reproduces every count, or the reason why there is none.

    Attributes:
        formula: the formula, or None.
        proof: the sizes it reproduces without residual, held-out ones included.
        reason: one sentence.
    """

    formula: Formula | None
    proof: tuple[Sizes, ...]
    reason: str

    @property
    def window(self) -> dict[str, tuple[int, int]]:
        """Axis → smallest and largest size of the proof."""
        axes = self.proof[0] if self.proof else {}
        return {axis: (min(p[axis] for p in self.proof), max(p[axis] for p in self.proof)) for axis in axes}


@dataclass(frozen=True)
class Domain:
    """Where a formula is looked for.

    Attributes:
        axes: the layer's axes.
        possible: whether the layer can be called at given sizes.
        large: whether n = 2²⁰ is as cheap to count as n = 64.
        only: axis → the sizes allowed, for axes that are held back.
    """

    axes: tuple[str, ...]
    possible: Callable[[Sizes], bool]
    large: bool
    only: dict[str, Values] = field(default_factory=dict)

    @property
    def solving(self) -> dict[str, Values]:
        """Axis → sizes to solve at: the usual ones, or others where the layer refuses a usual one."""
        kinds = [
            {axis: self._allowed(axis, kind.get(axis, _OTHER)) for axis in self.axes}
            for kind in (_SOLVING, _ROUND, _POWERS)
        ]
        return next((pools for pools in kinds if all(map(self.possible, _lines(pools)))), kinds[0])

    def held_out(self) -> list[Sizes]:
        """Sizes for the proof, odd and prime ones among them, the longest n first."""
        pools = {axis: self._allowed(axis, _HELD_OUT.get(axis, _OTHER_HELD_OUT)) for axis in self.axes}
        if self.large:
            pools["n"] = (*pools["n"], *_LARGE)
        every = list(_grid(pools))
        random.Random(0).shuffle(every)
        every.sort(key=lambda sizes: sizes["n"] != max(pools["n"]))
        longest = itertools.islice(filter(self.possible, every), 1)
        others = filter(self.possible, sorted(every, key=lambda sizes: sizes["n"] == max(pools["n"])))
        return [*longest, *itertools.islice(others, _HELD_OUT_POINTS - 1)]

    def _allowed(self, axis: str, pool: Values) -> Values:
        return tuple(size for size in pool if size in self.only[axis]) or self.only[axis] if axis in self.only else pool


def recover(count: Callable[[Sizes], Values], domain: Domain) -> Recovered:
    """The formula of ``max(count(sizes))`` over the domain, proved on sizes that had no part in finding it.

    `count` returns one or several numbers (such as the bytes alive after each kernel); each is solved for by itself
    and the formula is their maximum, without those that can never be the largest.
    """
    pools = domain.solving
    base = next(filter(domain.possible, _grid(pools)), None)
    if base is None:
        return Recovered(None, (), "the layer can be called at none of the sizes that formulas are solved for at")
    monomials, points = _solvable(domain, count, pools, base)
    polynomials = _solve(monomials, points, _rows(count, points))
    if polynomials is None:
        return Recovered(None, (), _NO_POLYNOMIAL)
    formula = _largest(polynomials)
    held_out = domain.held_out()
    for sizes in held_out:
        if (seen := max(count(sizes))) != (said := formula.evaluate(sizes)):
            return Recovered(
                None, (), f"{_NO_POLYNOMIAL}: at {describe(sizes)} it would say {said}, and {seen} is true"
            )
    return Recovered(formula, (*points, *held_out), _proof_sentence(points, held_out))


_NO_POLYNOMIAL = "no polynomial of degree 3 or less in each size reproduces the counts"


def _grid(pools: dict[str, Values]) -> Iterator[Sizes]:
    return (ordered(dict(zip(pools, point, strict=True))) for point in itertools.product(*pools.values()))


def _lines(pools: dict[str, Values]) -> Iterator[Sizes]:
    """The first size of every axis, and with it each size of each axis."""
    first = {axis: pool[0] for axis, pool in pools.items()}
    return (ordered(first | {axis: size}) for axis, pool in pools.items() for size in pool)


def _rows(count: Callable[[Sizes], Values], points: Sequence[Sizes]) -> list[Values]:
    """Counts at each point; only their maximum where their number depends on the sizes."""
    rows = [count(point) for point in points]
    return rows if len({len(row) for row in rows}) == 1 else [(max(row),) for row in rows]


def _solvable(
    domain: Domain, count: Callable[[Sizes], Values], pools: dict[str, Values], base: Sizes
) -> tuple[list[Monomial], list[Sizes]]:
    """Monomials that may occur, and enough sizes to solve for their coefficients."""
    lines = {axis: [base | {axis: size} for size in pool] for axis, pool in pools.items()}
    degrees = {axis: _degree(count, axis, list(filter(domain.possible, line))) for axis, line in lines.items()}
    exponents = itertools.product(*(range(degree + 1) for degree in degrees.values()))
    monomials = [Monomial.of(dict(zip(degrees, powers, strict=True))) for powers in exponents]
    used = {axis: pool[: degrees[axis] + 1] if degrees[axis] else (base[axis],) for axis, pool in pools.items()}
    return monomials, list(filter(domain.possible, _grid(used)))


def _degree(count: Callable[[Sizes], Values], axis: str, points: Sequence[Sizes]) -> int:
    """Degree along one axis by divided differences: the highest order that does not vanish everywhere."""
    at = [point[axis] for point in points]
    return max(_order(at, column) for column in zip(*_rows(count, points), strict=True))


def _order(at: Sequence[int], column: Sequence[int]) -> int:
    differences = [Fraction(value) for value in column]
    highest = 0
    for order in range(1, len(at)):
        differences = [
            (differences[i + 1] - differences[i]) / (at[i + order] - at[i]) for i in range(len(differences) - 1)
        ]
        highest = order if any(differences) else highest
    return highest


def _solve(
    monomials: list[Monomial], points: list[Sizes], values: list[Values]
) -> list[dict[Monomial, Fraction]] | None:
    """Coefficients of each column of `values`, exactly; None when the points do not determine them.

    There are never more points than monomials, so they cannot contradict each other: held-out sizes do that.
    """
    columns = list(dict.fromkeys(zip(*values, strict=True)))
    rows = [
        [*(_exact(monomial, point) for monomial in monomials), *(Fraction(column[i]) for column in columns)]
        for i, point in enumerate(points)
    ]
    width = len(monomials)
    for pivot in range(width):
        found = next((r for r in range(pivot, len(rows)) if rows[r][pivot]), None)
        if found is None:
            return None
        rows[pivot], rows[found] = rows[found], rows[pivot]
        scale = rows[pivot][pivot]
        rows[pivot] = [value / scale for value in rows[pivot]]
        for r, row in enumerate(rows):
            if r != pivot and row[pivot]:
                factor = row[pivot]
                rows[r] = [value - factor * top for value, top in zip(row, rows[pivot], strict=True)]
    return [
        {monomial: rows[i][width + c] for i, monomial in enumerate(monomials) if rows[i][width + c]}
        for c in range(len(columns))
    ]


def _exact(monomial: Monomial, sizes: Sizes) -> Fraction:
    value = Fraction(1)
    for axis, power in monomial.powers:
        value *= Fraction(sizes[axis]) ** int(power)
    return value


def _largest(polynomials: Iterable[dict[Monomial, Fraction]]) -> Formula:
    """The maximum, without polynomials that another one exceeds coefficient by coefficient."""
    distinct = list({tuple(sorted(p.items(), key=str)): p for p in polynomials}.values())
    kept = [p for p in distinct if not any(q is not p and _exceeds(q, p) for q in distinct)]
    texts = [from_terms((c, m) for m, c in polynomial.items()).text for polynomial in kept]
    return Formula(texts[0] if len(texts) == 1 else f"max({', '.join(sorted(texts, key=lambda t: (-len(t), t)))})")


def _exceeds(upper: dict[Monomial, Fraction], lower: dict[Monomial, Fraction]) -> bool:
    return all(upper.get(m, Fraction(0)) >= lower.get(m, Fraction(0)) for m in {*upper, *lower})


def _proof_sentence(points: Sequence[Sizes], held_out: Sequence[Sizes]) -> str:
    longest = max(sizes["n"] for sizes in held_out)
    return (
        f"exact at {len(points)} sizes and {len(held_out)} held-out ones, odd and prime among them, n up to {longest}"
    )
