"""Costs in which several families agree, and the trees that depth is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.counting.operators.contract.operator import Call, Cost

#: FLOPs of one multiply-add, by how many of its factors are complex: (a + bi)(c + di) is four products and two sums,
#: and to add it takes two more.
_MULTIPLY_ADD = (2, 4, 8)


def multiply_add(*factors: Any) -> int:
    """FLOPs of one multiply-add of two factors: 2, or 4 of a real by a complex number, or 8 of two complex ones."""
    return _MULTIPLY_ADD[complex_among(factors)]


def complex_among(values: Iterable[Any]) -> int:
    """How many of some tensors and numbers are complex."""
    return sum(value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex) for value in values)


def each_given(call: Call) -> int:
    """One for each number of the outputs."""
    return numbers(call.output)


def each_of(place: int, times: int = 1) -> Cost:
    """`times` for each number of the argument at `place`."""
    return lambda call: times * numbers(call.args[place])


def each_taken(times: int = 1) -> Cost:
    """`times` for each number of the first argument."""
    return each_of(0, times)


def each_multiplied(call: Call) -> int:
    """What it takes to multiply a number into a product, for each number of the first argument: 1, or 6 if complex."""
    return numbers(call.args[0]) * (3 if complex_among(call.args[:1]) else 1)


def numbers(values: Any) -> int:
    """How many numbers all tensors among `values` hold; a complex number is two."""
    tensors = (value for value in tree_leaves(values) if isinstance(value, Tensor))
    return sum(int(tensor.numel()) * (2 if tensor.is_complex() else 1) for tensor in tensors)


def number_given(values: Iterable[Any]) -> int:
    """How many of some optional arguments there are."""
    return sum(value is not None for value in values)


def log(count: float) -> float:
    """Unrounded, so that the depth of a chain is an exact combination of logarithms of the sizes."""
    return math.log2(max(count, 1))


def tree(count: float) -> float:
    """Steps to bring `count` numbers together, where nothing else is done: at least one."""
    return max(log(count), 1.0)


def along_dimension(depth_of: Callable[[float], float], place: int = 1) -> Cost:
    """What is done along the dimension that the argument at `place` names, the last one unless it does."""
    return lambda call: depth_of(length(call.args[0], call.argument(place, "dim", -1)))


def length(values: Tensor, dimension: int) -> int:
    """Numbers along a dimension; a single number is as long as one."""
    return int(values.shape[dimension]) if values.ndim else 1
