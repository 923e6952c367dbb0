"""Five steps of a softmax, two of them trees."""

from __future__ import annotations

from math import log2

import pytest
import torch

from tests.counting.operators.stating import NUMBERS, Costs, N, Stated, X, assert_costs, gradient_costs, stated

DEPTH = 3 + 2 * log2(N)
STATED = {
    "softmax": stated(lambda x: x.softmax(1), X, elementwise=5 * NUMBERS, log_depth=DEPTH),
    "softmax-of-rows": stated(lambda x: x.softmax(-1), X, elementwise=5 * NUMBERS),
    "log-softmax": stated(lambda x: x.log_softmax(1), X, elementwise=5 * NUMBERS, log_depth=1 + DEPTH),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_a_derivative_is_four_for_each_number_and_one_tree() -> None:
    assert_costs(gradient_costs(lambda x: x.softmax(1), torch.randn(X)), Costs(0, 4 * NUMBERS, 3 + log2(N)))
