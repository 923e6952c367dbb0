"""Gated MLP: half of the features, mixed over positions, gate the other half.

    z₁, z₂ = gelu(x U)        U is d × 4d, each half has 2d features
    y = (z₁ ⊙ (W z₂ + b)) V        W is n × n, V is 2d × d

The spatial gate is a dense map of the length: n² weights and n²·d work, with nothing that depends on the input. It
begins near a gate of one.

Source: Liu et al., Pay Attention to MLPs (2021), section 2.1, without its normalisation.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu

from attnbench.layers.base import Claims, Layer


class GatedMLP(nn.Module):
    """A feed-forward network with a spatial gating unit in its middle."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.widen = nn.Linear(d, 4 * d, bias=False)
        self.spatial = nn.Parameter(1e-3 * torch.randn(n, n))
        self.bias = nn.Parameter(torch.ones(n, 1))
        self.narrow = nn.Linear(2 * d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        values, gates = gelu(self.widen(x)).chunk(2, dim=-1)  # two times (b, n, 2d), views
        gates = self.spatial.expand(len(x), -1, -1) @ gates + self.bias  # (b, n, 2d)
        narrowed: torch.Tensor = self.narrow(values * gates)  # (b, n, d)
        return narrowed


def build(n: int, d: int) -> nn.Module:
    """A hidden width of four times `d`, and a weight between any two of `n` positions."""
    return GatedMLP(n, d)


LAYER = Layer(
    name="gated-mlp",
    build=build,
    claims=Claims(
        flops="12*b*n*d**2 + 4*b*n**2*d",
        parameters="6*d**2 + n**2 + n",
        time="n*d**2 + n**2*d",
        depth="1",
        hops="1",
    ),
    source="Liu et al. 2021, section 2.1",
)
