"""Axial attention without projections: a grid is attended along its rows, then along its columns.

    z = softmax(x xᵀ / √d) x        within each row of c positions that follow each other
    y = softmax(z zᵀ / √d) z        within each column: positions c apart, n/c of them

Any two positions are connected in two steps. Each meets c + n/c keys: with c = √n the whole takes n·√n·d.

Source: Ho et al., Axial Attention in Multidimensional Transformers (2019), section 3.1, over two axes.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class AxialAttention(nn.Module):
    """Rows, then columns; query, key and value are the input itself."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.c = c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        rows = _attend(x.view(len(x), -1, self.c, x.shape[2]))  # (b, n/c, c, d)
        columns = _attend(rows.transpose(1, 2))  # (b, c, n/c, d)
        return columns.transpose(1, 2).flatten(1, 2)  # (b, n, d)


def _attend(lines: torch.Tensor) -> torch.Tensor:
    """Attention along the last dimension but one."""
    scores = (lines / math.sqrt(lines.shape[-1])) @ lines.transpose(-2, -1)
    weights: torch.Tensor = scores.softmax(dim=-1)
    return weights @ lines


def build(d: int, c: int = 16) -> nn.Module:
    """Rows of `c` positions."""
    return AxialAttention(c)


LAYER = Layer(
    name="attention-axial",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n*c*d + 4*b*n**2*d/c", parameters="0", time="n*c*d + n**2*d/c", depth="1", hops="1"),
    source="Ho et al. 2019, section 3.1",
    constraints=("n % c == 0", "c > 1", "n > c"),
)
