"""What a search for a formula hands back, and when a formula and a count agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnbench.formula import Formula
from attnbench.formula.monomial import Number
from attnbench.trial import Sizes, describe

#: Logarithms and roots are compared in floating point; whole numbers exactly.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Recovered:
    """A formula that reproduces every count, or the reason why there is none.

    Attributes:
        formula: the formula, or None.
        proof: the sizes it reproduces without residual, held-out ones included.
        reason: one sentence.
        held: axes that were looked at in one size only.
    """

    formula: Formula | None
    proof: tuple[Sizes, ...]
    reason: str
    held: tuple[str, ...] = ()

    @property
    def window(self) -> dict[str, tuple[int, int]]:
        """Axis → smallest and largest size of the proof."""
        axes = self.proof[0] if self.proof else {}
        return {axis: (min(p[axis] for p in self.proof), max(p[axis] for p in self.proof)) for axis in axes}


@dataclass(frozen=True)
class Miss:
    """A formula and the first size at which it is wrong."""

    formula: Formula
    sizes: Sizes
    said: Number
    seen: float

    @property
    def sentence(self) -> str:
        """``at n=5 it would say 4, and 6 is true``."""
        return f"at {describe(self.sizes)} it would say {_shown(self.said)}, and {_shown(self.seen)} is true"

    @property
    def distance(self) -> float:
        """Relative residual."""
        return abs(float(self.said) - self.seen) / max(abs(self.seen), 1.0)


def _shown(value: Number) -> str:
    """Whole numbers without a decimal point."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def agree(said: Number, seen: Number) -> bool:
    """Whether a formula's value is the count: exactly, or to 1e-9 where one of them is a floating-point number."""
    if isinstance(said, float) or isinstance(seen, float):
        return math.isclose(said, seen, rel_tol=TOLERANCE, abs_tol=0.0)
    return said == seen


def proof_sentence(points: Sequence[Sizes], held_out: Sequence[Sizes], *, rounded: bool = False) -> str:
    """How many sizes a formula reproduces; `rounded` when some of them only to the precision of a logarithm."""
    longest = max(sizes["n"] for sizes in held_out)
    how = "equal to 1e-9" if rounded else "exact"
    sizes = "1 size" if len(points) == 1 else f"{len(points)} sizes"
    return f"{how} at {sizes} and {len(held_out)} held-out ones, odd and prime among them, n up to {longest}"
