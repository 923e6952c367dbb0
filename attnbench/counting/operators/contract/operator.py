"""What is known of an operator, all of it in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

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
        opened: the same by the smaller operations that its kernel makes; these are then counted, and it is not.
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
    opened: Callable[[Call], Any] | None = None


def nothing(_: Call) -> int:
    """No work."""
    return 0


def costless(
    names: str, effective: Effect | None = None, dependencies: Rule | None = None, *, is_allocation: bool = False
) -> Operator:
    """What moves or makes numbers and computes none: it is one step, and no work."""
    return Operator(names, nothing, nothing, None, effective, dependencies, is_allocation=is_allocation)
