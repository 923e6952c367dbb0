"""Multi-head self-attention: the fused core between its four projections.

    q, k, v = x W_q, x W_k, x W_v        W_q, W_k, W_v, W_o are d × d, side by side in one product for q, k and v
    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Position, unplaced

State = tuple[torch.Tensor, torch.Tensor]


class MultiHeadAttention(nn.Module):
    """Projections to queries, keys and values, attention in each head, and a projection of all heads together."""

    def __init__(self, d: int, h: int, position: Position = unplaced) -> None:
        super().__init__()
        self.h, self.position = h, position
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return self._attend(*self._project(x))

    def prefill(self, context: torch.Tensor) -> State:
        """Keys and values of the context, which later positions attend to."""
        _, k, v = self._project(context)
        return k, v

    def step(self, token: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One new position attends to the context and to itself, and its key and value join the others."""
        q, *new = self._project(token)
        k, v = (torch.cat(pair, dim=2) for pair in zip(state, new, strict=True))  # (b, h, n + 1, d/h)
        return self._attend(q, k, v), (k, v)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.project(x).view(*x.shape[:2], 3, self.h, -1)  # (b, n, 3, h, d/h)
        return projected.permute(2, 0, 3, 1, 4)  # (3, b, h, n, d/h), a view

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, bias = self.position(q, k)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``; the core, 4·n²·d, costs more than the projections, 8·n·d², only beyond n = 2d."""
    return MultiHeadAttention(d, h)


LAYER = Layer(
    name="multi-head-attention",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", memory="n*d", depth="1", hops="1"
    ),
    source="Vaswani et al. 2017, section 3.2.2",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
)
