"""Whole-number functions of a size that counts may be polynomials in: padded sizes, blocks, roots, logarithms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from attnbench.errors import FormulaError
from attnbench.formula import Formula, Monomial
from attnbench.trial import Sizes

#: The name of the rounded size inside monomials; no axis can be called so.
ROUNDED = "rounded size"

#: Blocks that a size may be padded to a multiple of.
_BLOCKS = (*range(2, 130), *range(136, 513, 8), 1000, 1024)


@dataclass(frozen=True)
class Rounding:
    """One rounded size.

    Attributes:
        text: how it is computed.
        axis: the size that is rounded.
        other: the size that says how, empty when none does.
        block: the length of the blocks that are counted, as a multiple of `other` or of 1; 0 where none are.
        pads: whether an incomplete block counts as a whole one.
        log_text: how its logarithm is written, empty where none is looked for.
    """

    text: str
    axis: str
    other: str = ""
    block: int = 0
    pads: bool = False
    log_text: str = ""

    @property
    def axes(self) -> set[str]:
        """The sizes it is computed from."""
        return {self.axis, self.other} - {""}

    @cached_property
    def formula(self) -> Formula:
        """The formula of `text`."""
        return Formula(self.text)

    def at(self, sizes: Sizes) -> int | None:
        """Value, None where it has none."""
        return _value(self, sizes[self.axis], sizes.get(self.other, 0))

    @property
    def edges(self) -> Sequence[int]:
        """Sizes at which another rounding would differ."""
        if self.block and not self.other:
            return sorted({self.block * whole + side for whole in (1, 2, 3) for side in (-1, 0, 1)} - {0})
        return (17, 31, 43, 63, 64, 65, 71, 89, 101, 113, 121, 127)

    def candidates(self) -> list[Monomial]:
        """Products of powers of the axis and of the rounded size, the simplest first."""
        powers = [(p, q) for degree in range(4) for q in range(degree, -1, -1) for p in (degree - q,)]
        products = [Monomial.of({self.axis: p, ROUNDED: q}) for p, q in powers]
        if not self.log_text:
            return products
        logs = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 2, 1), (1, 1, 1), (0, 0, 2)]
        return [*products, *(Monomial.of({self.axis: p, ROUNDED: q}, {ROUNDED: log}) for p, q, log in logs)]

    def candidates_of_both(self) -> list[Monomial]:
        """Products of powers of both sizes and of the rounded one; whole blocks count by their length."""
        powers = sorted(itertools.product(range(4), repeat=3), key=sum)
        products = [Monomial.of({self.axis: p, self.other: q, ROUNDED: r}) for p, q, r in powers if p + q + r <= 3]
        return [*products, Monomial.of({self.other: 2, ROUNDED: 2})]


@lru_cache(maxsize=1 << 16)  # the same sizes are rounded in every search, in hundreds of ways
def _value(rounding: Rounding, size: int, other: int) -> int | None:
    try:
        value = int(rounding.formula.evaluate({rounding.axis: size, rounding.other: other}))
    except FormulaError:
        return None
    return value if value > 0 or not rounding.log_text else None


def roundings(axis: str, others: Sequence[str], longest: int) -> Iterator[Rounding]:
    """Every rounding of `axis` that is looked for and that sizes up to `longest` can tell, the simplest first."""
    blocks = [block for block in _BLOCKS if block < longest]
    yield Rounding(f"2**ceil(log2({axis}))", axis, log_text=f"ceil(log2({axis}))")
    for block in blocks:
        yield Rounding(f"ceil({axis}/{block})", axis, block=block, pads=True)
    for other in others:
        yield Rounding(f"ceil({axis}/{other})", axis, other, block=1, pads=True)
        yield Rounding(f"ceil({axis}/(2*{other}))", axis, other, block=2, pads=True)
    yield Rounding(f"ceil(sqrt({axis}))", axis)
    yield Rounding(f"floor(sqrt({axis}))", axis)
    yield Rounding(f"2**floor(log2({axis}))", axis, log_text=f"floor(log2({axis}))")
    for most in (2, 3):
        yield Rounding(f"min({axis}, {most})", axis)
    for text in _SUMS:
        yield Rounding(text.format(x=axis), axis, log_text=f"log2({text.format(x=axis)})")
    for other in others:
        for text in _TWO_SIZES:
            yield Rounding(text.format(x=axis, y=other), axis, other)
    for block in blocks:
        yield Rounding(f"floor({axis}/{block})", axis, block=block)


#: Not rounded, but of these, too, logarithms are taken.
_SUMS = ("2*{x} + 1", "2*{x} - 1", "{x} + 1", "{x} - 1")
_TWO_SIZES = (
    "min({x}, {y})",
    "min({x}, 2*{y})",
    "min({x}, 2*{y} + 1)",
    "min({x} - 1, {y})",
    "ceil(log({x}, {y}))",
    "floor(log({x}, {y}))",
    "floor({x}/{y})",
    "ceil({x}/(2*{y} + 1))",
    "ceil({x}/({y} + 1))",
    "ceil(({x} - 1)/{y})",
    "ceil(({x} - 1)/({y} - 1))",
)
