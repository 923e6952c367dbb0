"""Transforms: five N log₂ N operations, in log₂ N steps."""

from __future__ import annotations

import math
from math import log2
from typing import TYPE_CHECKING

import pytest
import torch

from tests.counting.calling import trace_of
from tests.counting.operators.stating import B, D, N, Stated, X, stated

if TYPE_CHECKING:
    from collections.abc import Callable

STATED = {
    "real": stated(torch.fft.rfft, X, elementwise=0),
    "along-length": stated(lambda x: torch.fft.fft(x, dim=1), X, log_depth=log2(N)),
    "both": stated(lambda x: torch.ops.aten._fft_r2c(x, [1, 2], 0, True), X, log_depth=log2(N * D)),
}


@pytest.mark.parametrize("case", STATED.values(), ids=STATED)
def test_each_costs_what_is_stated(case: Stated) -> None:
    case.check()


TRANSFORMS = {
    "complex": (torch.fft.fft, (3, 8), 5 * 3 * 8 * 3),
    "real": (torch.fft.rfft, (3, 8), 5 * 3 * 8 * 3),
    "inverse-real": (lambda x: torch.fft.irfft(torch.fft.rfft(x)), (3, 8), 2 * 5 * 3 * 8 * 3),
    "along-length": (lambda x: torch.fft.fft(x, dim=1), (B, 16, 4), 5 * B * 16 * 4 * 4),
    "two-dimensions": (torch.fft.fft2, (B, 16, 4), 5 * B * 16 * 4 * (4 + 2)),
    "odd-length": (torch.fft.fft, (3, 7), 5 * 21 * math.log2(7)),
}


@pytest.mark.parametrize(("transform", "shape", "truth"), TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_fourier_transform_costs_five_n_log_n(
    transform: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], truth: float
) -> None:
    assert trace_of(transform, shape).flops == truth
