"""Triangular systems: the work of substitution, and which given numbers an unknown is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.linalg import solve_triangular

from attnbench.counting.paths.reach import bracket
from attnbench.layers.base import Layer
from tests.counting.operators.stating import B, Costs, D, N, Stated, assert_costs, gradient_costs, stated

SYSTEM = (B, N, N)


def forward(system: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    return solve_triangular(system, given, upper=False, unitriangular=True)


STATED = {
    "lower": stated(forward, SYSTEM, (B, N, D), flops=B * N**2 * D, elementwise=0, log_depth=2 * N),
    "upper": stated(lambda a, x: solve_triangular(a, x, upper=True), SYSTEM, (B, N, D), flops=B * N**2 * D),
    "from-the-right": stated(
        lambda a, x: solve_triangular(a, x, upper=True, left=False), SYSTEM, (B, D, N), flops=B * N**2 * D
    ),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_a_system_costs_its_size_squared_for_each_column(case: Stated) -> None:
    case.check()


def test_the_backward_pass_solves_the_transposed_system_and_multiplies_once() -> None:
    costs = gradient_costs(forward, torch.randn(SYSTEM), torch.randn(B, N, D))

    assert_costs(costs, Costs(flops=B * N**2 * D + 2 * B * N**2 * D))


class Solved(nn.Module):
    """A system over positions, by rows or by columns of the input."""

    def __init__(self, n: int, *, upper: bool, left: bool) -> None:
        super().__init__()
        self.upper, self.left = upper, left
        self.register_buffer("system", torch.randn(n, n) / n + torch.eye(n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = x if self.left else x.mT
        solved = solve_triangular(self.system, given, upper=self.upper, left=self.left)
        return solved if self.left else solved.mT


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_an_unknown_reads_what_was_solved_before_it_and_nothing_else(*, upper: bool, left: bool) -> None:
    n = 7

    def build(d: int) -> nn.Module:
        return Solved(n, upper=upper, left=left)

    found = bracket(Layer(name="solved", build=build), {"b": 1, "n": n, "d": 3})

    assert found.shadow == found.jacobian == np.tri(n).mean()
