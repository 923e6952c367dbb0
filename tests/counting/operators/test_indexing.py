"""A choice costs nothing, a sum at an index one for each number added."""

from __future__ import annotations

from math import log2

import pytest
import torch

from tests.counting.operators.stating import B, D, M, N, Stated, X, stated

SAME_PLACE = torch.zeros(N, dtype=torch.long)
STATED = {
    "scatter-add": stated(lambda x, y: x.index_add(1, torch.arange(M), y), X, (B, M, D), elementwise=B * M * D),
    "accumulate": stated(
        lambda x, y: x.index_put((torch.tensor([0, 0]),), y, accumulate=True), (M, D), (2, D), elementwise=2 * D
    ),
    "accumulate-in-one-place": stated(
        lambda x, y: x.index_put((SAME_PLACE,), y, accumulate=True),
        (M, D),
        (N, D),
        elementwise=N * D,
        log_depth=log2(N),
    ),
    "choice": stated(lambda x: x[:, torch.tensor([2, 0])].gather(1, torch.zeros(B, 1, D).long()), X, elementwise=0),
}


@pytest.mark.filterwarnings("ignore:.*non-writable.*")
@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()
