"""Squeeze and excitation: the mean over all positions decides how much of each channel passes.

    y_t = x_t ⊙ σ(W₂ relu(W₁ mean_t x_t))        W₁ is m × d, W₂ is d × m

The products do not grow with n; reading and scaling the sequence does.

Source: Hu et al., Squeeze-and-Excitation Networks (2018), section 3, over one dimension in place of two.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class SqueezeExcitation(nn.Module):
    """Every channel of every position times one gate for the whole sequence."""

    def __init__(self, d: int, m: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(d, m, bias=False)
        self.excite = nn.Linear(m, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        gates: torch.Tensor = self.excite(self.squeeze(x.mean(dim=1)).relu()).sigmoid()  # (b, d)
        return x * gates[:, None]  # (b, n, d)


def build(d: int, m: int = 16) -> nn.Module:
    """A bottleneck of `m` numbers between `d` and `d`."""
    return SqueezeExcitation(d, m)


LAYER = Layer(
    name="squeeze-excitation",
    build=build,
    claims=Claims(flops="4*b*m*d", parameters="2*m*d", time="n*d", depth="1", hops="1"),
    source="Hu et al. 2018, section 3",
)
