"""Moves cost nothing; a view is no step, a copy is one."""

from __future__ import annotations

import pytest
import torch

from tests.counting.operators.stating import B, Costs, D, N, Stated, X, assert_costs, gradient_costs, stated

STATED = {
    "view": stated(lambda x: x.transpose(0, 1).unsqueeze(0), X, flops=0, elementwise=0, log_depth=0),
    "views": stated(
        lambda x: x.transpose(1, 2).unsqueeze(0).expand(3, B, D, N)[0].unbind(0), X, elementwise=0, log_depth=0
    ),
    "views-in-place": stated(lambda x: x.transpose_(0, 1).unsqueeze_(0).squeeze_(0), X, elementwise=0, log_depth=0),
    "copy": stated(torch.clone, X, elementwise=0, log_depth=1),
    "copies": stated(lambda x: torch.cat([x, x.clone(), x.flip(1), x.roll(1, 1)]).to(torch.float64), X, elementwise=0),
    "overwriting": stated(lambda x: x.copy_(x.new_zeros(X)).fill_(1), X, elementwise=0),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_the_gradient_of_a_slice_costs_nothing() -> None:
    assert_costs(gradient_costs(lambda x: x[:, 1:], torch.randn(X)), Costs(0, 0))
