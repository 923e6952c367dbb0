"""Products of matrices: two operations for each multiply-add, a logarithmic depth, and a bias that is added."""

from __future__ import annotations

from math import log2

import pytest
import torch
from torch import nn

from tests.counting.operators.stating import B, D, M, N, Stated, X, costs_of, stated

DEPTH = 1 + log2(D)
STATED = {
    "product": stated(torch.matmul, (N, D), (D, M), flops=2 * N * D * M, elementwise=0, log_depth=DEPTH),
    "folded": stated(torch.matmul, X, (D, M), flops=2 * B * N * D * M, elementwise=0, log_depth=DEPTH),
    "batched": stated(torch.bmm, X, (B, D, M), flops=2 * B * N * D * M, log_depth=DEPTH),
    "with-vector": stated(torch.mv, (N, D), (D,), flops=2 * N * D, log_depth=DEPTH),
    "of-vectors": stated(torch.dot, (D,), (D,), flops=2 * D, elementwise=0, log_depth=DEPTH),
    "with-bias": stated(nn.Linear(D, M), (N, D), flops=2 * N * D * M, elementwise=N * M, log_depth=1 + DEPTH),
    "folded-with-bias": stated(nn.Linear(D, M), X, elementwise=B * N * M),
    "bias-times-nothing": stated(
        lambda c, a, b: torch.baddbmm(c, a, b, beta=0), (B, N, N), X, (B, D, N), elementwise=0, log_depth=DEPTH
    ),
    "bias-of-products": stated(torch.baddbmm, (B, N, N), X, (B, D, N), elementwise=B * N**2),
    "outer": stated(torch.matmul, (N, 1), (1, N), log_depth=1),
    "a-chain": stated(lambda x, w: (x @ w).tanh().sum(0), (N, D), (D, M), log_depth=(1 + log2(D)) + 1 + log2(N)),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


def test_a_chain_of_products_is_an_exact_combination_of_logarithms() -> None:
    """Unrounded: twice the length adds one step to every tree over it, whatever the length."""

    def depth(n: int) -> float:
        x = torch.randn(n, n)
        return costs_of(lambda: (x @ x).softmax(-1) @ x).log_depth

    for n in (3, 7, 12):
        assert depth(2 * n) - depth(n) == pytest.approx(1 + 2 + 1, rel=1e-12)
