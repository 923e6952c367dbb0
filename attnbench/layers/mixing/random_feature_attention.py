"""Random-feature attention: softmax scores estimated by products of m positive random features.

    y_i = φ(q_i) (Σ_j φ(k_j)ᵀ v_j) / (φ(q_i) · Σ_j φ(k_j))        in each of h heads
    φ(x) = exp(Ω x − |x|²/2)        x is scaled by (d/h)^(−1/4); Ω is m × d/h, drawn once from a normal distribution

The expected value of φ(q)·φ(k) is exp(q·k/√(d/h)). Exponents are taken relative to the largest, which cancels. Queries,
keys, values and output are d × d projections, as in multi-head attention.

Source: Choromanski et al., Rethinking Attention with Performers (2021), section 2.3.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class RandomFeatureAttention(nn.Module):
    """Every position attends to every position through a summary of m features."""

    directions: torch.Tensor

    def __init__(self, d: int, h: int, m: int) -> None:
        super().__init__()
        self.h = h
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.output = nn.Linear(d, d, bias=False)
        self.register_buffer("directions", torch.randn(d // h, m))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q, k, v = self.project(x).view(*x.shape[:2], 3, self.h, -1).permute(2, 0, 3, 1, 4)  # (b, h, n, d/h), views
        q, k = self._exponents(q), self._exponents(k)
        q = (q - q.amax(dim=-1, keepdim=True)).exp()  # (b, h, n, m)
        k = (k - k.amax(dim=(-2, -1), keepdim=True)).exp()  # (b, h, n, m)
        total = k.sum(dim=-2).unsqueeze(-1)  # (b, h, m, 1)
        mixed = (q @ (k.transpose(-2, -1) @ v)) / (q @ total)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged

    def _exponents(self, x: torch.Tensor) -> torch.Tensor:
        x = x * x.shape[-1] ** -0.25
        return x @ self.directions - x.square().sum(dim=-1, keepdim=True) / 2  # (b, h, n, m)


def build(d: int, h: int = 1, m: int = 64) -> nn.Module:
    """`h` heads of width ``d/h`` with `m` features each."""
    return RandomFeatureAttention(d, h, m)


LAYER = Layer(
    name="attention-random-features",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 8*b*m*n*d + 2*b*h*m*n",
        parameters="4*d**2",
        time="n*d**2 + m*n*d",
        depth="1",
        hops="1",
    ),
    source="Choromanski et al. 2021, section 2.3",
    constraints="d % h == 0",
)
