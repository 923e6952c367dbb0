"""Scaled dot-product attention without projections, in one fused kernel.

    y = softmax(x xᵀ / √(d/h)) x        for each of h heads of width d/h

The same function as ``attention-core``, through ``torch.nn.functional.scaled_dot_product_attention``: torch chooses
the kernel, and the kernels that work tile by tile never hold the n² scores.

Source: Dao et al., FlashAttention (2022), section 3.1; the function is that of Vaswani et al. (2017), section 3.2.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Position, unplaced


class FusedAttentionCore(nn.Module):
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
        v = k
        q, k, bias = self.position(q, k)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (b, h, n, d/h)
        return mixed.transpose(1, 2).flatten(2)  # (b, n, d)


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return FusedAttentionCore(h)


LAYER = Layer(
    name="attention-core-fused",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n**2*d", parameters="0", time="n**2*d", memory="n*d", depth="1", hops="1"),
    source="Dao et al. 2022, section 3.1",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
)
