"""Additive attention: each pair of positions is scored by a small network instead of a product.

    score_ij = v · tanh(W x_i + U x_j)        W, U are d × d, v is a vector of d
    y_i = Σ_j softmax_j(score_ij) x_j

The definition asks for d numbers for every pair, and they are written to memory: n²·d before tanh and n²·d after it.

Source: Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate (2015), appendix A.1.2.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class AdditiveAttention(nn.Module):
    """Every position attends to every position; the values are the input itself."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.score = nn.Linear(d, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        pairs = self.query(x)[:, :, None] + self.key(x)[:, None]  # (b, n, n, d)
        scores = self.score(pairs.tanh()).squeeze(-1)  # (b, n, n)
        weights: torch.Tensor = scores.softmax(dim=-1)  # (b, n, n)
        return weights @ x  # (b, n, d)


def build(d: int) -> nn.Module:
    """A scoring network with `d` hidden units."""
    return AdditiveAttention(d)


LAYER = Layer(
    name="attention-additive",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2 + 4*b*n**2*d", parameters="2*d**2 + d", time="n**2*d", memory="n**2*d", depth="1", hops="1"
    ),
    source="Bahdanau et al. 2015, appendix A.1.2",
)
