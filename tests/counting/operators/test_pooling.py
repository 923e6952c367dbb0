"""One for each number of each window."""

from __future__ import annotations

from math import log2

import pytest
from torch.nn.functional import avg_pool1d, max_pool1d

from tests.counting.operators.stating import B, D, N, Stated, X, stated

WINDOWS = 3 * B * N * (D - 2)
STATED = {
    "average": stated(lambda x: avg_pool1d(x, 3, stride=1), X, elementwise=WINDOWS, log_depth=log2(3)),
    "maximum": stated(lambda x: max_pool1d(x, 3, stride=1), X, elementwise=WINDOWS),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()
