"""Multi-head self-attention with its scores written to memory, between its four projections.

    q, k, v = x W_q, x W_k, x W_v        W_q, W_k, W_v, W_o are d × d, side by side in one product for q, k and v
    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o

The function of ``multi-head-attention``. What training must keep is spelled out by the layout: the input, one copy of
all queries, keys and values head by head (3·n·d), the scaled queries, the weights (h·n²) and the merged heads. Dropout
of the weights, none by default, acts in training only.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.2.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Position, unplaced


class MaterialisedMultiHeadAttention(nn.Module):
    """Projections to queries, keys and values, attention in each head, and a projection of all heads together."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float = 0.0, position: Position = unplaced) -> None:
        super().__init__()
        self.h, self.position = num_heads, position
        self.project = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        b, n, d = x.shape
        by_head = self.project(x).view(b, n, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4).contiguous()
        q, k, v = by_head  # three times (b, h, n, d/h), views of one copy
        q, k, bias = self.position(q, k)
        scores = (q / math.sqrt(d // self.h)) @ k.transpose(-2, -1)  # (b, h, n, n)
        weights = (scores if bias is None else scores + bias).softmax(dim=-1)  # (b, h, n, n)
        mixed = self.dropout(weights) @ v  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return MaterialisedMultiHeadAttention(d, h)


LAYER = Layer(
    name="multi-head-attention-materialised",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*n**2*d",
        parameters="4*d**2",
        time="n*d**2 + n**2*d",
        memory="h*n**2 + n*d",
        depth="1",
        hops="1",
    ),
    source="Vaswani et al. 2017, section 3.2.2",
    constraints="d % h == 0",
)
