"""The longest chain of kernels that wait for one another: through views, storages and recurrences that torch hides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from attnbench.counting.trace import Way, trace
from attnbench.layers.registry import Registry
from tests.counting.calling import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], object]

REGISTRY = Registry()


def in_a_preallocated_output(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for t in range(x.shape[0]):
        out[t] = x[t] + 1
    return out


def one_after_the_other(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for t in range(1, x.shape[0]):
        out[t] = out[t - 1] + x[t]
    return out


DEPTHS = {
    "nothing": (lambda x: x, 0),
    "views": (lambda x: x[2:].unsqueeze(0), 0),
    "chain": (lambda x: ((x + 1) * 2).sum(), 3),
    "branches": (lambda x: (x + 1) * (x + 2), 2),
    "in-place": (lambda x: (x + 1).mul_(2).relu_(), 3),
    "allocation-waits-for-nothing": (lambda x: x + torch.zeros(10), 1),
    "a-reduction-is-one-step": (lambda x: x.softmax(0), 1),
    "stack-of-independent-steps": (lambda x: torch.stack([x[t] + 1 for t in range(10)]), 2),
    "independent-steps-in-one-storage": (in_a_preallocated_output, 2),
    "dependent-steps-in-one-storage": (one_after_the_other, 2 * 9),
}


@pytest.mark.parametrize(("function", "depth"), DEPTHS.values(), ids=DEPTHS)
def test_depth_is_the_longest_chain_of_dependent_kernels(function: Function, depth: int) -> None:
    assert trace_of(function, (10,), way=Way.STEPPED).depth == depth


def test_an_overwritten_part_forgets_the_chain_behind_it() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        kept = ((x + 1) + 1) + 1  # three kernels
        kept[:] = x  # the fourth, which reads nothing of them but waits for its place
        return kept

    assert trace_of(function, (10,), way=Way.STEPPED).depth == 4


@pytest.mark.parametrize(
    ("name", "steps"), [("rnn", (3, 2)), ("gru", (9, 2)), ("lstm", (7, 2))], ids=["rnn", "gru", "lstm"]
)
def test_a_recurrence_is_opened_however_torch_hides_it(name: str, steps: tuple[int, int]) -> None:
    """A trap: seen as one fused operation, a recurrence has depth 1."""
    depths = [trace(REGISTRY.get(name), {"b": 2, "n": n, "d": 8}, way=Way.STEPPED).depth for n in (8, 13, 32)]

    assert depths == [steps[0] * n + steps[1] for n in (8, 13, 32)]
    assert trace(REGISTRY.get(name), {"b": 2, "n": 32, "d": 8}).depth < 4


def test_depth_with_logarithms_weighs_what_a_kernel_hides() -> None:
    n = 64
    found = trace_of(lambda x: x.softmax(0), (n,), way=Way.STEPPED)

    assert found.depth == 1
    assert found.log_depth >= 2 * math.log2(n)  # two reductions over n numbers
