"""Work for each number taken, and trees of logarithmic depth."""

from __future__ import annotations

from math import log2

import pytest
import torch

from tests.counting.operators.stating import NUMBERS, Costs, N, Stated, X, assert_costs, gradient_costs, stated

STATED = {
    "sum": stated(torch.sum, X, elementwise=NUMBERS, log_depth=log2(NUMBERS)),
    "sum-of-columns": stated(lambda x: x.sum(1), X, elementwise=NUMBERS, log_depth=log2(N)),
    "sum-of-one": stated(lambda x: x.sum(0), (1, N), log_depth=1),
    "mean-of-rows": stated(lambda x: x.mean(-1), X, elementwise=NUMBERS),
    "mean": stated(lambda x: x.mean(1), X, log_depth=1 + log2(N)),
    "maximum-of-rows": stated(lambda x: x.max(-1), X, elementwise=NUMBERS),
    "maximum": stated(lambda x: x.max(1), X, log_depth=log2(N)),
    "norm": stated(lambda x: torch.linalg.vector_norm(x, dim=1), X, elementwise=2 * NUMBERS, log_depth=2 + log2(N)),
    "variance": stated(lambda x: x.var(1), X, elementwise=4 * NUMBERS, log_depth=4 + 2 * log2(N)),
    "logsumexp": stated(lambda x: x.logsumexp(1), X, elementwise=4 * NUMBERS, log_depth=4 + 2 * log2(N)),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_the_gradient_of_a_sum_is_a_view() -> None:
    assert_costs(gradient_costs(lambda x: x.sum(-1), torch.randn(X)), Costs(0, 0, 0))
