"""A gate: one projection of the input decides how much of another one passes.

    y = (x V) ⊙ σ(x W)        x, y: (b, n, d); V, W: (d, d)

Source: Dauphin et al., Language Modeling with Gated Convolutional Networks (2017), with kernels of width 1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench import Claims, Layer


class Gate(nn.Module):
    """Both projections at once."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.both = nn.Linear(d, 2 * d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return nn.functional.glu(self.both(x))


def build(d: int) -> nn.Module:
    """The width is all it needs."""
    return Gate(d)


CLAIMS = Claims(flops="4*b*n*d**2", parameters="2*d**2", time="n*d**2", hops="inf")

LAYERS = [
    Layer("gate", build, claims=CLAIMS, source="Dauphin et al. 2017"),
    Layer("gate-for-half", build, claims=Claims(flops="2*b*n*d**2"), source="nobody: half of the work is forgotten"),
]
