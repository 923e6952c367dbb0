"""Linear attention: a product of features replaces the softmax, and one summary serves all queries.

    y_i = φ(q_i) (Σ_j φ(k_j)ᵀ v_j) / (φ(q_i) · Σ_j φ(k_j))        φ(x) = elu(x) + 1, in each of h heads
    q, k, v = x W_q, x W_k, x W_v, and W_o behind all heads: d × d

Nothing has n² numbers: the sum over all positions is a matrix of d/h × d/h for each head.

Source: Katharopoulos et al., Transformers are RNNs (2020), section 3.2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import elu

from attnbench.layers.base import Claims, Layer


class LinearAttention(nn.Module):
    """Every position attends to every position through one summary of them all."""

    def __init__(self, d: int, h: int) -> None:
        super().__init__()
        self.h = h
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q, k, v = self.project(x).view(*x.shape[:2], 3, self.h, -1).permute(2, 0, 3, 1, 4)  # (b, h, n, d/h), views
        q, k = elu(q) + 1, elu(k) + 1
        summary = k.transpose(-2, -1) @ v  # (b, h, d/h, d/h)
        total = k.sum(dim=-2).unsqueeze(-1)  # (b, h, d/h, 1)
        mixed = (q @ summary) / (q @ total)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return LinearAttention(d, h)


LAYER = Layer(
    name="attention-linear",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n*d**2/h + 2*b*n*d", parameters="4*d**2", time="n*d**2", depth="1", hops="1"),
    source="Katharopoulos et al. 2020, section 3.2",
    constraints="d % h == 0",
)
