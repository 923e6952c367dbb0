"""Scans in logarithmically many steps, sorts in the square of it."""

from __future__ import annotations

import math
from math import log2

import pytest

from tests.counting.operators.stating import NUMBERS, B, D, N, Stated, X, stated

#: What a merge sort compares, row by row and column by column.
ROWS, COLUMNS = (NUMBERS * math.ceil(log2(length)) for length in (D, N))
STATED = {
    "scan": stated(lambda x: x.cumsum(1), X, elementwise=NUMBERS, log_depth=log2(N)),
    "sort": stated(lambda x: x.sort(-1), X, elementwise=ROWS),
    "sort-of-columns": stated(lambda x: x.sort(1), X, elementwise=COLUMNS, log_depth=log2(N) ** 2),
    "argsort-of-columns": stated(lambda x: x.argsort(1), X, elementwise=COLUMNS),
    "stable-sort": stated(lambda x: x.sort(dim=1, stable=True), X, elementwise=COLUMNS),
    "largest": stated(lambda x: x.topk(2), X, elementwise=ROWS),
    "largest-of-columns": stated(lambda x: x.topk(2, dim=1), X, elementwise=COLUMNS, log_depth=log2(N) ** 2),
    "sort-of-one": stated(lambda x: x.sort(-1), (B, 1), elementwise=0),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()
