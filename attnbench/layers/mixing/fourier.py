"""Fourier mixing: the real part of a Fourier transform over positions and features, without weights.

    y = Re(F_n x F_d)        F_N is the matrix of e^(−2πi·jk/N)

Operations follow the usual convention of 5·N·log₂(N) for a fast transform of N numbers, real or complex.

Source: Lee-Thorp et al., FNet: Mixing Tokens with Fourier Transforms (2022), section 3.2.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class FourierMixing(nn.Module):
    """Every position receives a fixed mixture of all positions and features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = torch.fft.fft2(x).real  # (b, n, d), a view of complex numbers
        return mixed


def build(d: int) -> nn.Module:
    """Any width; lengths and widths without large prime factors are the fast ones."""
    return FourierMixing()


LAYER = Layer(
    name="fourier-mixing",
    build=build,
    claims=Claims(flops="5*b*n*d*log2(n*d)", parameters="0", time="n*d*log2(n) + n*d*log2(d)", depth="1", hops="1"),
    source="Lee-Thorp et al. 2022, section 3.2",
)
