"""Depth-wise convolution: a centred kernel within each channel, which no other channel sees.

    y_t = Σ_j w_j ⊙ x_{t+j}        j from −(k−1)/2 to (k−1)/2; w_j is a vector of d; x is 0 beyond both ends

A factor d less work than a full kernel of the same width; products with the zeros are counted.

Source: Chollet, Xception (2017), section 1.2; Wu et al., Pay Less Attention (2019), section 2.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class DepthwiseConvolution(nn.Module):
    """Positions are mixed channel by channel."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(d, d, k, padding="same", groups=d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        filtered: torch.Tensor = self.kernel(x.transpose(1, 2))  # (b, d, n)
        return filtered.transpose(1, 2)  # (b, n, d)


def build(d: int, k: int = 3) -> nn.Module:
    """A kernel of width `k` for each of `d` channels."""
    return DepthwiseConvolution(d, k)


LAYER = Layer(
    name="conv1d-depthwise",
    build=build,
    claims=Claims(flops="2*b*k*n*d", parameters="k*d", time="k*n*d", depth="1", hops="n/k"),
    source="Chollet 2017, section 1.2; Wu et al. 2019, section 2",
    constraints="k % 2 == 1",
)
