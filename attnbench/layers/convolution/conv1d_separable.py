"""Depthwise-separable convolution: a centred kernel within each channel, then a mix of channels.

    z_t = Σ_j w_j ⊙ x_{t+j}        j from −(k−1)/2 to (k−1)/2; w_j is a vector of d; x is 0 beyond both ends
    y_t = W z_t                    W is d × d

Source: Chollet, Xception (2017), section 1.2; Vaswani et al., Attention Is All You Need (2017), section 4.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class SeparableConvolution(nn.Module):
    """Positions are mixed channel by channel, channels position by position."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(d, d, k, padding="same", groups=d, bias=False)
        self.pointwise = nn.Conv1d(d, d, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        filtered = self.depthwise(x.transpose(1, 2))  # (b, d, n)
        mixed: torch.Tensor = self.pointwise(filtered)  # (b, d, n)
        return mixed.transpose(1, 2)  # (b, n, d)


def build(d: int, k: int = 3) -> nn.Module:
    """A kernel of width `k` for each of `d` channels, and a ``d × d`` mix of channels."""
    return SeparableConvolution(d, k)


LAYER = Layer(
    name="conv1d-separable",
    build=build,
    claims=Claims(
        flops="2*b*k*n*d + 2*b*n*d**2",
        parameters="k*d + d**2",
        time="k*n*d + n*d**2",
        memory="n*d",
        depth="1",
        hops="n/k",
    ),
    source="Chollet 2017, section 1.2; Vaswani et al. 2017, section 4",
    constraints="k % 2 == 1",
)
