"""Calls of torch whose costs are known by the conventions, and what the dispatcher sees of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attnbench.counting.operators import elementwise_of, flops_of, log_depth_of
from attnbench.counting.operators.contract.operator import Call

if TYPE_CHECKING:
    from collections.abc import Callable

B, N, D, H, K, M = 2, 11, 12, 3, 3, 5
X = (B, N, D)
NUMBERS = B * N * D


class Costs(NamedTuple):
    """What a call costs; None for what nobody states."""

    flops: float | None = None
    elementwise: float | None = None
    log_depth: float | None = None


class Stated(NamedTuple):
    """A function, the shapes of its inputs, and its costs."""

    function: Callable[..., object]
    shapes: tuple[tuple[int, ...], ...]
    costs: Costs

    def check(self) -> None:
        """Compare what is stated with what is counted."""
        with torch.no_grad():
            assert_costs(costs_of(self.function, *(torch.randn(shape) for shape in self.shapes)), self.costs)


def stated(function: Callable[..., object], *shapes: tuple[int, ...], **costs: float) -> Stated:
    """A row of a table: costs by the names of `Costs`."""
    return Stated(function, shapes, Costs(**costs))


def assert_costs(counted: Costs, truth: Costs) -> None:
    """Of those that are stated."""
    known = {name: cost for name, cost in truth._asdict().items() if cost is not None}

    assert {name: getattr(counted, name) for name in known} == pytest.approx(known, rel=1e-12)


class _Observed(TorchDispatchMode):
    """Hands every operation on to `see`."""

    def __init__(self, see: Callable[[Call], object]) -> None:
        super().__init__()
        self.see = see

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = operation(*args, **(kwargs or {}))
        self.see(Call(operation, args, kwargs or {}, output))
        return output


def calls_of(function: Callable[..., object], *inputs: Any) -> list[Call]:
    """Every operation that a function executes."""
    calls: list[Call] = []
    with _Observed(calls.append):
        function(*inputs)
    return calls


def costs_of(function: Callable[..., object], *inputs: Any) -> Costs:
    """Sums over all operations of one call; no number of FLOPs where one has no formula."""
    calls = calls_of(function, *inputs)
    flops = [flops_of(call) for call in calls]
    return Costs(
        sum(math.nan if work is None else work for work in flops),
        sum(elementwise_of(call) for call in calls),
        sum(log_depth_of(call) for call in calls),
    )


def gradient_costs(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> Costs:
    """Costs of the backward pass alone."""
    leaves = [one.requires_grad_() for one in inputs]
    result = function(*leaves)
    return costs_of(lambda: torch.autograd.grad(result, leaves, result.detach()))
