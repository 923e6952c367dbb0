"""Latent attention: m latents attend to all n positions, and the positions attend to the latents.

    s = attend(L, x W_k, x W_v)        L is m × d, learned
    y = attend(x W_q, s U_k, s U_v) W_o        attend(q, k, v) = softmax(q kᵀ / √(d/h)) v in each of h heads

Two positions are two hops apart, and n² becomes 2·n·m. All six matrices are d × d.

Source: Jaegle et al., Perceiver (2021), section 3.1; both ways: Lee et al., Set Transformer (2019), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.base import Claims, Layer


class LatentAttention(nn.Module):
    """Every position attends to m summaries that have attended to every position."""

    def __init__(self, d: int, h: int, m: int) -> None:
        super().__init__()
        self.h = h
        self.latents = nn.Parameter(torch.randn(m, d) / d**0.5)
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.summarise = nn.Linear(d, 2 * d, bias=False)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q, k, v = self.project(x).chunk(3, dim=-1)  # three times (b, n, d), views
        summary = self._attend(self.latents.expand(len(x), -1, -1), k, v)  # (b, m, d)
        k, v = self.summarise(summary).chunk(2, dim=-1)  # two times (b, m, d), views
        merged: torch.Tensor = self.output(self._attend(q, k, v))  # (b, n, d)
        return merged

    def _attend(self, *parts: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.view(*part.shape[:2], self.h, -1).transpose(1, 2) for part in parts)  # (b, h, …, d/h), views
        return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def build(d: int, h: int = 1, m: int = 64) -> nn.Module:
    """`m` latents, in `h` heads of width ``d/h``."""
    return LatentAttention(d, h, m)


LAYER = Layer(
    name="attention-latent",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*m*d**2 + 8*b*m*n*d",
        parameters="6*d**2 + m*d",
        time="n*d**2 + m*n*d",
        depth="1",
        hops="1",
    ),
    source="Jaegle et al. 2021, section 3.1; Lee et al. 2019, section 3.1",
    constraints="d % h == 0",
)
