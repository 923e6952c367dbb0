"""Grouped-query attention, causal: several query heads share one head of keys and values.

    q = x W_q;  k, v = x W_k, x W_v        W_q, W_o are d × d, h heads; W_k, W_v are d × g·d/h, g heads in one product
    y = concat(softmax_{j ≤ i}(q_i k_jᵀ / √(d/h)) v_j  for i in 1 … h, with j = ⌈i·g/h⌉) W_o

Decoding keeps, and reads for every token, 2·n·d·g/h numbers: g/h of what multi-head attention keeps.

Source: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models (2023), section 2.2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.base import Claims, Layer


class GroupedQueryAttention(nn.Module):
    """`h` query heads and `g` key-value heads, each of which serves h/g query heads in a row."""

    def __init__(self, d: int, h: int, g: int) -> None:
        super().__init__()
        self.g, self.width = g, d // h
        self.query = nn.Linear(d, d, bias=False)
        self.key_value = nn.Linear(d, 2 * g * self.width, bias=False)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q = self.query(x).view(*x.shape[:2], -1, self.width).transpose(1, 2)  # (b, h, n, d/h)
        k, v = self.prefill(x)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """Keys and values of the context, which later positions attend to: ``(2, b, g, n, d/h)``."""
        projected: torch.Tensor = self.key_value(context).view(*context.shape[:2], 2, self.g, -1)
        return projected.permute(2, 0, 3, 1, 4)

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One new position; the queries of a group are rows of one product, so that keys are read once for all."""
        state = torch.cat([state, self.prefill(token)], dim=3)  # (2, b, g, n + 1, d/h)
        q = self.query(token).view(len(token), self.g, -1, self.width)  # (b, g, h/g, d/h)
        mixed = scaled_dot_product_attention(q, *state)  # (b, g, h/g, d/h)
        return self.output(mixed.reshape(token.shape)), state


def build(d: int, h: int = 4, g: int = 2) -> nn.Module:
    """Two query heads for each key-value head, unless told otherwise."""
    return GroupedQueryAttention(d, h, g)


LAYER = Layer(
    name="attention-grouped-query",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2 + 4*b*n*d**2*g/h + 4*b*n**2*d",
        parameters="2*d**2 + 2*d**2*g/h",
        time="n*d**2 + n**2*d",
        depth="1",
        hops="1",
    ),
    source="Ainslie et al. 2023, section 2.2",
    constraints=("d % h == 0", "h % g == 0"),
    modes=("forward", "train", "decode"),
    causal=True,
)
