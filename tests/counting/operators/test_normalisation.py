"""Normalisations by what they take: a mean and a square, a weight, a bias; softmaxes by their five steps."""

from __future__ import annotations

from math import log2

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.counting.operators.stating import NUMBERS, B, Costs, D, N, Stated, X, assert_costs, gradient_costs, stated

COLUMNS = (B, D, N)
DEPTH = 3 + 2 * log2(N)
STATED = {
    "layer": stated(lambda x: functional.layer_norm(x, (D,)), X, elementwise=5 * NUMBERS, log_depth=6 + 2 * log2(D)),
    "layer-with-factors": stated(nn.LayerNorm(D), X, elementwise=7 * NUMBERS, log_depth=8 + 2 * log2(D)),
    "group": stated(nn.GroupNorm(2, D), COLUMNS, elementwise=7 * NUMBERS, log_depth=8 + 2 * log2(D // 2 * N)),
    "batch-in-training": stated(  # one step more for an allocation
        nn.BatchNorm1d(D, track_running_stats=False),
        COLUMNS,
        elementwise=7 * NUMBERS,
        log_depth=1 + 8 + 2 * log2(B * N),
    ),
    "batch": stated(nn.BatchNorm1d(D).eval(), COLUMNS, elementwise=4 * NUMBERS, log_depth=1 + 4),
    "softmax": stated(lambda x: x.softmax(1), X, elementwise=5 * NUMBERS, log_depth=DEPTH),
    "softmax-of-rows": stated(lambda x: x.softmax(-1), X, elementwise=5 * NUMBERS),
    "log-softmax": stated(lambda x: x.log_softmax(1), X, elementwise=5 * NUMBERS, log_depth=1 + DEPTH),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_gradients_of_factors_cost_extra() -> None:
    def norm(x: torch.Tensor, *factors: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (D,), *factors)

    plain = gradient_costs(norm, torch.randn(X))
    with_factors = gradient_costs(norm, torch.randn(X), torch.randn(D), torch.randn(D))

    assert_costs(plain, Costs(0, 9 * NUMBERS, 8 + log2(D)))
    assert_costs(with_factors, Costs(0, 13 * NUMBERS))


def test_the_derivative_of_a_softmax_is_four_for_each_number_and_one_tree() -> None:
    assert_costs(gradient_costs(lambda x: x.softmax(1), torch.randn(X)), Costs(0, 4 * NUMBERS, 3 + log2(N)))
