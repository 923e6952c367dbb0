"""Token mixing by a multi-layer perceptron over positions, the same for every feature.

    y = W₂ gelu(W₁ x)        W₁ is m × n, W₂ is n × m, both applied along the length

The hidden width m does not depend on n, so the work is linear in n; the weights belong to one length.

Source: Tolstikhin et al., MLP-Mixer: An all-MLP Architecture for Vision (2021), section 2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu

from attnbench.layers.base import Claims, Layer


class TokenMLP(nn.Module):
    """Every position receives m learned mixtures of all positions."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.gather = nn.Parameter(torch.randn(m, n) / n**0.5)
        self.spread = nn.Parameter(torch.randn(n, m) / m**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        hidden = gelu(self.gather.expand(len(x), -1, -1) @ x)  # (b, m, d)
        return self.spread.expand(len(x), -1, -1) @ hidden  # (b, n, d)


def build(n: int, d: int, m: int = 256) -> nn.Module:
    """`m` hidden positions between `n` and `n`."""
    return TokenMLP(n, m)


LAYER = Layer(
    name="token-mlp",
    build=build,
    claims=Claims(flops="4*b*m*n*d", parameters="2*m*n", time="m*n*d", depth="1", hops="1"),
    source="Tolstikhin et al. 2021, section 2",
)
