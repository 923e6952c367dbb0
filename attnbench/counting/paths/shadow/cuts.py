"""Which operands of an element-wise operation decide: a constant may leave the others nothing to say.

A product with a constant 0 is 0, a sum with a constant infinity is infinite, and a choice by a constant condition
takes one side and never looks at the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.paths.shadow.call import Operand
from attnbench.counting.paths.shadow.hop import Reads


def sides_read(name: str, operands: list[Operand]) -> list[Reads]:
    """Where each operand of the operation `name` is read; -1 where it does not matter."""
    cut = _CUTS.get(name)
    return cut(operands) if cut else [operand.places for operand in operands]


def unless(dead: NDArray[np.bool_], places: Reads) -> Reads:
    """`places`, and nothing read where `dead`."""
    return np.where(dead, -1, places)


def _product(operands: list[Operand]) -> list[Reads]:
    dead = operands[0].equals(0) | operands[1].equals(0)
    return [unless(dead, operand.places) for operand in operands]


def _quotient(operands: list[Operand]) -> list[Reads]:
    return [unless(operands[0].equals(0), operand.places) for operand in operands]


def _sum(operands: list[Operand]) -> list[Reads]:
    dead = np.zeros((), np.bool_)
    for operand in operands[:2]:
        dead = dead | operand.equals(np.inf) | operand.equals(-np.inf)
    return [unless(dead, operand.places) for operand in operands]


def _choice(operands: list[Operand]) -> list[Reads]:
    """``where(condition, a, b)``."""
    condition, yes, no = operands[:3]
    return [condition.places, unless(condition.equals(0), yes.places), unless(condition.equals(1), no.places)]


def _fill(operands: list[Operand]) -> list[Reads]:
    """``masked_fill(self, mask, value)``."""
    kept, mask, value = operands[:3]
    return _choice([mask, value, kept])


def _added_product(operands: list[Operand]) -> list[Reads]:
    """``addcmul(self, a, b)``."""
    return [operands[0].places, *_product(operands[1:3])]


_CUTS: dict[str, Callable[[list[Operand]], list[Reads]]] = {
    "mul": _product,
    "bitwise_and": _product,
    "logical_and": _product,
    "div": _quotient,
    "add": _sum,
    "sub": _sum,
    "rsub": _sum,
    "where": _choice,
    "masked_fill": _fill,
    "addcmul": _added_product,
}
