"""What is known of an operator, all of it in one value, and the costs in which several families agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attnbench.counting.operators.contract.dependencies import Rule

Operation = torch._ops.OpOverload


@dataclass(frozen=True, slots=True)
class Call:
    """One executed operation: what ran, on what, and what it returned."""

    operation: Operation
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    output: Any = None

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """The argument at `place`, whether it was given there or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


#: What one call costs.
Cost = Callable[[Call], float]


@dataclass(frozen=True, slots=True)
class Factors:
    """Where the two factors of a product stand among the arguments, and how two others are multiplied like them."""

    first: int
    second: int
    multiply: Callable[[Call], Callable[[Tensor, Tensor], Tensor]] = lambda _: torch.matmul


class Effect(Enum):
    """What an operator that is no product does to the zeros that decide which multiply-adds are needed."""

    #: It brings no zeros and stops no gradients but where the structure does: smooth functions, copies, constants.
    SMOOTH = "smooth"
    #: All its work is taken for needed, zeros or not.
    ALL_NEEDED = "all needed"


@dataclass(frozen=True, slots=True)
class Operator:
    """What is known of one operator of torch, or of several that are alike in all of it.

    Attributes:
        names: without the underscore of work in place; ``name.overload`` for a single overload.
        flops: matrix work; None where nobody has a formula but, perhaps, torch's own counter.
        elementwise: element-wise work; None for one for each number given, if the work is known to be no matrix work.
        log_depth: steps for processors without number; None for one.
        effective: what effective FLOPs have to know; None for what may be a rectifier or, with work, is refused.
        dependencies: which numbers each number is computed from; None where nobody has a rule.
        pointwise_dependencies: the same for overloads that torch marks as point-wise, if any operand decides alone.
        is_view: it only looks at the same numbers in another way, although its schema may not say so.
        is_allocation: it takes the shape of a tensor and reads none of its numbers.
        has_workspace: it keeps a workspace for the backward pass whose size only the real kernel knows.
        outputs: empty outputs of a recurrence seen as one operation, so that a trace need not walk its steps.
    """

    names: str
    flops: Cost | None = None
    elementwise: Cost | None = None
    log_depth: Cost | None = None
    effective: Factors | Effect | None = None
    dependencies: Rule | None = None
    pointwise_dependencies: Rule | None = None
    is_view: bool = False
    is_allocation: bool = False
    has_workspace: bool = False
    outputs: Callable[[Call], tuple[Tensor, ...]] | None = None


def nothing(_: Call) -> int:
    """No work."""
    return 0


def each_given(call: Call) -> int:
    """One for each number of the outputs."""
    return numbers(call.output)


def each_of(place: int, times: int = 1) -> Cost:
    """`times` for each number of the argument at `place`."""
    return lambda call: times * int(call.args[place].numel())


def each_taken(times: int = 1) -> Cost:
    """`times` for each number of the first argument."""
    return each_of(0, times)


def numbers(values: Any) -> int:
    """How many numbers all tensors among `values` hold."""
    return sum(int(value.numel()) for value in tree_leaves(values) if isinstance(value, Tensor))


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
