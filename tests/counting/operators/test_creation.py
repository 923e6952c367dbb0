"""New numbers cost nothing; dropping some of them does."""

from __future__ import annotations

import pytest
import torch

from tests.counting.operators.stating import NUMBERS, Stated, X, stated

STATED = {
    "allocations": stated(
        lambda: (torch.zeros(5), torch.arange(5), torch.randn(5), torch.empty(5)), flops=0, elementwise=0
    ),
    "draws-in-place": stated(lambda x: x.normal_().uniform_().zero_(), X, flops=0, elementwise=0),
    "dropout": stated(lambda x: torch.native_dropout(x, 0.5, True), X, elementwise=2 * NUMBERS),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()
