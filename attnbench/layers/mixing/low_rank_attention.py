"""Low-rank attention: keys and values of n positions are mixed down to m before they are attended to.

    y = softmax(q (E k)ᵀ / √(d/h)) (F v)        E, F are m × n, for each of h heads; n² becomes n·m
    q, k, v = x W_q, x W_k, x W_v, and W_o behind all heads: d × d

The mixes are weights of one length: a layer for another n has other ones. All heads share them.

Source: Wang et al., Linformer: Self-Attention with Linear Complexity (2020), section 4.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.base import Claims, Layer


class LowRankAttention(nn.Module):
    """Every position attends to m mixtures of all positions."""

    def __init__(self, n: int, d: int, h: int, m: int) -> None:
        super().__init__()
        self.h = h
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.mix_keys = nn.Parameter(torch.randn(m, n) / n**0.5)
        self.mix_values = nn.Parameter(torch.randn(m, n) / n**0.5)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q, k, v = self.project(x).chunk(3, dim=-1)  # three times (b, n, d), views
        k = self.mix_keys.expand(len(x), -1, -1) @ k  # (b, m, d)
        v = self.mix_values.expand(len(x), -1, -1) @ v  # (b, m, d)
        q, k, v = (part.view(*part.shape[:2], self.h, -1).transpose(1, 2) for part in (q, k, v))  # (b, h, …, d/h)
        mixed = scaled_dot_product_attention(q, k, v)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged


def build(n: int, d: int, h: int = 1, m: int = 64) -> nn.Module:
    """`h` heads of width ``d/h`` that attend to `m` mixtures of `n` positions."""
    return LowRankAttention(n, d, h, m)


LAYER = Layer(
    name="attention-low-rank",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 8*b*m*n*d",
        parameters="4*d**2 + 2*m*n",
        time="n*d**2 + m*n*d",
        depth="1",
        hops="1",
    ),
    source="Wang et al. 2020, section 4",
    constraints="d % h == 0",
)
