"""Scaled dot-product attention without projections, scores written to memory.

    y = softmax(x xᵀ / √(d/h)) x        for each of h heads of width d/h

The query is scaled before the product: n·d numbers instead of n². With one head every tensor is a view of the input
or one of four results: scaled query, scores, weights, output. With more heads each factor is copied once, head by head.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.1 and Table 1.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Position, unplaced


class AttentionCore(nn.Module):
    """Every position attends to every position; query, key and value are the input itself."""

    def __init__(self, h: int, position: Position = unplaced) -> None:
        super().__init__()
        self.h, self.position = h, position

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return self._attend(x, x)

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """What later positions attend to: the context itself, which is its own keys and values."""
        return context

    def step(self, token: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One new position attends to the context and to itself, and joins it."""
        context = torch.cat([context, token], dim=1)  # (b, n + 1, d)
        return self._attend(token, context), context

    def _attend(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        q, k = (x.view(*x.shape[:2], self.h, -1).transpose(1, 2) for x in (queries, keys))  # (b, h, n, d/h), views
        v, scale = k, 1 / math.sqrt(k.shape[-1])
        q, k, bias = self.position(q, k)
        scores = (q * scale) @ k.transpose(-2, -1)  # (b, h, n, n)
        weights: torch.Tensor = (scores if bias is None else scores + bias).softmax(dim=-1)  # (b, h, n, n)
        mixed = weights @ v  # (b, h, n, d/h)
        return mixed.transpose(1, 2).flatten(2)  # (b, n, d)


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return AttentionCore(h)


LAYER = Layer(
    name="attention-core",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n**2*d", parameters="0", time="n**2*d", memory="h*n**2", depth="1", hops="1"),
    source="Vaswani et al. 2017, section 3.2.1 and Table 1",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
)
