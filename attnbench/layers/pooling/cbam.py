"""Convolutional block attention module (CBAM): a gate for each channel, then one for each position.

    z_t = x_t ⊙ σ(M(mean_t x_t) + M(max_t x_t))        M(v) = W₂ relu(W₁ v); W₁ is m × d, W₂ is d × m
    y_t = z_t · σ(Σ_j w_j · (mean z_{t+j}, max z_{t+j}))        over channels; j from −(k−1)/2 to (k−1)/2

The kernel of the second gate has two channels, and is 0 beyond both ends; products with those zeros are counted.

Source: Woo et al., CBAM: Convolutional Block Attention Module (2018), section 3, over one dimension in place of two.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class BlockAttention(nn.Module):
    """The input gated by channel, and what is left gated by position."""

    def __init__(self, d: int, m: int, k: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(d, m, bias=False)
        self.excite = nn.Linear(m, d, bias=False)
        self.kernel = nn.Conv1d(2, 1, k, padding="same", bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        pooled = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)  # (b, 2, d)
        channels = self.excite(self.squeeze(pooled).relu()).sum(dim=1, keepdim=True).sigmoid()  # (b, 1, d)
        gated: torch.Tensor = x * channels  # (b, n, d)
        pooled = torch.stack([gated.mean(dim=2), gated.amax(dim=2)], dim=1)  # (b, 2, n)
        positions: torch.Tensor = self.kernel(pooled).sigmoid()  # (b, 1, n)
        return gated * positions.transpose(1, 2)  # (b, n, d)


def build(d: int, m: int = 16, k: int = 7) -> nn.Module:
    """A bottleneck of `m` numbers for the channels, and a kernel of width `k` for the positions."""
    return BlockAttention(d, m, k)


LAYER = Layer(
    name="cbam",
    build=build,
    claims=Claims(flops="8*b*m*d + 4*b*k*n", parameters="2*m*d + 2*k", time="n*d + k*n + m*d", depth="1", hops="1"),
    source="Woo et al. 2018, section 3",
    constraints="k % 2 == 1",
)
