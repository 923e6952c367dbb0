"""Restricted attention without projections: each position attends to w others on either side.

    y_i = Σ_j softmax_j(x_i · x_j / √d) x_j        over |i − j| ≤ w, within the sequence

Each query meets 2w+1 keys and no others. Keys beyond both ends are zeros with a score of −∞, so their weight is exactly
zero; products with them are counted. Positions come before batch items in memory, and the windows of all queries are
then one strided view, which the products of float32 read without a copy.

Source: Vaswani et al., Attention Is All You Need (2017), section 4 and Table 1, with a neighbourhood r = 2w+1.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class RestrictedAttention(nn.Module):
    """Every position attends to its neighbourhood; query, key and value are the input itself."""

    def __init__(self, w: int) -> None:
        super().__init__()
        self.w = w

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        b, n, d = x.shape
        width = 2 * self.w + 1
        padded = pad(x.transpose(0, 1), (0, 0, 0, 0, self.w, self.w))  # (n+2w, b, d)
        windows = padded.unfold(0, width, 1).flatten(0, 1)  # (n·b, d, 2w+1), a view
        beyond = pad(x.new_zeros(n), (self.w, self.w), value=-math.inf).unfold(0, width, 1)  # (n, 2w+1), a view
        queries = padded[self.w : self.w + n].view(n * b, 1, d) / math.sqrt(d)
        scores = (queries @ windows).view(n, b, width).add_(beyond[:, None])  # (n, b, 2w+1)
        weights = scores.softmax(dim=-1).view(n * b, 1, width)
        mixed = weights @ windows.transpose(1, 2)  # (n·b, 1, d)
        return mixed.view(n, b, d).transpose(0, 1)  # (b, n, d)


def build(d: int, w: int = 16) -> nn.Module:
    """`w` neighbours on either side."""
    return RestrictedAttention(w)


LAYER = Layer(
    name="attention-restricted",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n*(2*w + 1)*d", parameters="0", time="n*w*d", memory="n*w + n*d", depth="1", hops="n/w"),
    source="Vaswani et al. 2017, section 4 and Table 1",
)
