"""Spatial and channel squeeze and excitation (scSE): a gate for each channel and for each position.

    y_t = x_t ⊙ σ(W₂ relu(W₁ mean_t x_t)) + x_t · σ(w · x_t)        W₁ is m × d, W₂ is d × m, w a vector of d

The first gate sees the whole sequence, the second only its own position.

Source: Roy et al., Concurrent Spatial and Channel Squeeze & Excitation (2018), section 2, over one dimension.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class SpatialChannelSqueeze(nn.Module):
    """The sum of the input gated by channel and the input gated by position."""

    def __init__(self, d: int, m: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(d, m, bias=False)
        self.excite = nn.Linear(m, d, bias=False)
        self.position = nn.Linear(d, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        channels: torch.Tensor = self.excite(self.squeeze(x.mean(dim=1)).relu()).sigmoid()  # (b, d)
        positions: torch.Tensor = self.position(x).sigmoid()  # (b, n, 1)
        return x * channels[:, None] + x * positions  # (b, n, d)


def build(d: int, m: int = 16) -> nn.Module:
    """A bottleneck of `m` numbers between `d` and `d`."""
    return SpatialChannelSqueeze(d, m)


LAYER = Layer(
    name="squeeze-spatial-channel",
    build=build,
    claims=Claims(flops="2*b*n*d + 4*b*m*d", parameters="2*m*d + d", time="n*d", depth="1", hops="1"),
    source="Roy et al. 2018, section 2",
)
