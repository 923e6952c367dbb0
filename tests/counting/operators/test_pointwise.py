"""One for each number given, whatever the function; a derivative likewise."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.counting.operators.stating import NUMBERS, B, Costs, M, N, Stated, X, assert_costs, gradient_costs, stated

STATED = {
    "add": stated(torch.add, X, X, elementwise=NUMBERS),
    "broadcast": stated(torch.mul, (B, N, 1), (B, 1, M), elementwise=B * N * M),
    "exp": stated(torch.exp, X, elementwise=NUMBERS),
    "tanh": stated(torch.tanh, X, elementwise=NUMBERS, log_depth=1),
    "tanh-in-place": stated(torch.tanh_, X, elementwise=NUMBERS),
    "gelu": stated(functional.gelu, X, elementwise=NUMBERS),
    "comparison": stated(lambda x: x > 0, X, elementwise=NUMBERS),
    "mask": stated(lambda x: x.masked_fill(x.new_ones(X, dtype=torch.bool), 0.0), X, elementwise=NUMBERS),
    "choice": stated(lambda x, y: torch.where(x.new_ones(X, dtype=torch.bool), x, y), X, X, elementwise=NUMBERS),
    "maximum-of-two": stated(torch.maximum, X, X, elementwise=NUMBERS, log_depth=1),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


@pytest.mark.parametrize("function", [torch.tanh, torch.relu])
def test_a_derivative_is_one_for_each_number(function: object) -> None:
    assert_costs(gradient_costs(function, torch.randn(X)), Costs(0, NUMBERS, 1))
