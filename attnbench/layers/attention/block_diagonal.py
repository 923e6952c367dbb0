"""Block-diagonal attention without projections: a control that never connects two blocks.

    y = softmax(x xᵀ / √d) x        within each block of c positions

No stack of these layers carries anything from one block to another: a tool that reports a finite maximum path length
for a sequence of several blocks is wrong.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.1, for the attention within a block.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class BlockDiagonalAttention(nn.Module):
    """Every position attends to its own block; query, key and value are the input itself."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.c = c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        b, n, d = x.shape
        blocks = x.view(b * n // self.c, self.c, d)
        scores = (blocks / math.sqrt(d)) @ blocks.transpose(1, 2)  # (b·n/c, c, c)
        weights = scores.softmax(dim=-1)  # (b·n/c, c, c)
        mixed = weights @ blocks  # (b·n/c, c, d)
        return mixed.view(b, n, d)


def build(d: int, c: int = 16) -> nn.Module:
    """Blocks of `c` positions."""
    return BlockDiagonalAttention(c)


LAYER = Layer(
    name="attention-block-diagonal",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*c*n*d", parameters="0", time="c*n*d", memory="c*n + n*d", depth="1", hops="inf"),
    source="Vaswani et al. 2017, section 3.2.1",
    constraints="n % c == 0",
)
