"""Fully connected: one dense map of the whole sequence, a control that connects everything.

    vec(y) = W vec(x)        W is n·d × n·d

The weights belong to one length: a layer for another n has other weights, n²·d² of them.

Source: Vaswani et al., Attention Is All You Need (2017), a row of Table 1 left commented out in its source.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class FullyConnected(nn.Module):
    """All numbers of all positions mixed into each output."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.dense = nn.Linear(n * d, n * d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = self.dense(x.flatten(1))  # (b, n·d)
        return mixed.view(x.shape)


def build(n: int, d: int) -> nn.Module:
    """A weight between any two of ``n·d`` numbers."""
    return FullyConnected(n, d)


LAYER = Layer(
    name="fully-connected",
    build=build,
    claims=Claims(flops="2*b*n**2*d**2", parameters="n**2*d**2", time="n**2*d**2", memory="n*d", depth="1", hops="1"),
    source="Vaswani et al. 2017, Table 1, commented out",
)
