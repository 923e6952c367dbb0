"""Transforms: five N log₂ N operations, half of it between real numbers and half a spectrum, in log₂ N steps."""

from __future__ import annotations

import math
from math import log2
from typing import TYPE_CHECKING

import pytest
import torch

from tests.counting.calling import trace_of
from tests.counting.operators.stating import B, D, N, Stated, X, gradient_costs, stated

if TYPE_CHECKING:
    from collections.abc import Callable


def complex_of(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.complex64)


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
    "all-of-a-real-spectrum": (lambda x: torch.fft.ifft(torch.fft.fft(x)), (3, 8), 2 * 5 * 3 * 8 * 3),
    "real": (torch.fft.rfft, (3, 8), 2.5 * 3 * 8 * 3),
    "there-and-back": (lambda x: torch.fft.irfft(torch.fft.rfft(x)), (3, 8), 5 * 3 * 8 * 3),
    "there-and-back-odd": (lambda x: torch.fft.irfft(torch.fft.rfft(x), 7), (3, 7), 5 * 21 * math.log2(7)),
    "padded": (lambda x: torch.fft.rfft(x, 16), (3, 8), 2.5 * 3 * 16 * 4),
    "of-half-a-spectrum": (lambda x: torch.fft.hfft(complex_of(x), 14), (3, 8), 2.5 * 3 * 14 * math.log2(14)),
    "to-half-a-spectrum": (torch.fft.ihfft, (3, 8), 2.5 * 3 * 8 * 3),
    "real-in-two-dimensions": (torch.fft.rfft2, (B, 16, 4), 2.5 * B * 16 * 4 * (4 + 2)),
    "inverse-in-three-dimensions": (
        lambda x: torch.fft.irfftn(complex_of(x), (B, 16, 4)),
        (B, 16, 3),
        2.5 * B * 16 * 4 * (1 + 4 + 2),
    ),
    # A complex transform of 16 along three columns, and a real one of 4 along sixteen rows.
    "half-a-spectrum-in-two-dimensions": (
        lambda x: torch.fft.hfft2(complex_of(x), (16, 4)),
        (1, 16, 3),
        5 * 3 * 16 * 4 + 2.5 * 16 * 4 * 2,
    ),
    "windows": (
        lambda x: torch.stft(x, 8, 2, window=torch.ones(8), center=False, return_complex=True),
        (3, 16),
        2.5 * 3 * 5 * 8 * 3,
    ),
    "of-one-number": (torch.fft.rfft, (3, 1), 0),
    "along-length": (lambda x: torch.fft.fft(x, dim=1), (B, 16, 4), 5 * B * 16 * 4 * 4),
    "two-dimensions": (torch.fft.fft2, (B, 16, 4), 5 * B * 16 * 4 * (4 + 2)),
    "odd-length": (torch.fft.fft, (3, 7), 5 * 21 * math.log2(7)),
}


@pytest.mark.parametrize(("transform", "shape", "truth"), TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_fourier_transform_costs_five_n_log_n_and_a_real_one_half_of_it(
    transform: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...], truth: float
) -> None:
    assert trace_of(transform, shape).flops == truth


def test_the_gradient_of_a_real_transform_is_what_torch_makes_of_it() -> None:
    """Of an irfft it is an rfft; of an rfft a complex transform of a spectrum that is padded with zeros."""
    there = gradient_costs(lambda x: torch.fft.rfft(x).abs(), torch.randn(3, 8))
    back = gradient_costs(torch.fft.irfft, torch.randn(3, 5, dtype=torch.complex64))

    assert there.flops == 5 * 3 * 8 * 3
    assert back.flops == 2.5 * 3 * 8 * 3
