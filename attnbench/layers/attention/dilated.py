"""Dilated sliding-window attention without projections: w others on either side, s positions apart.

    y_i = Σ_j softmax_j(x_i · x_j / √d) x_j        over i − j = −w·s, …, −s, 0, s, …, w·s, within the sequence

The window spans 2·w·s + 1 positions for the price of 2w+1. Positions whose distance is no multiple of s never meet, in
however high a stack: the source gives some heads another dilation. Keys beyond both ends are zeros with a score of −∞;
products with them are counted. Positions come before batch items in memory, so that the windows are strided views.

Source: Beltagy et al., Longformer: The Long-Document Transformer (2020), section 3.1, one dilated head.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class DilatedAttention(nn.Module):
    """Every position attends to its dilated neighbourhood; query, key and value are the input itself."""

    def __init__(self, w: int, s: int) -> None:
        super().__init__()
        self.width, self.s, self.margin = 2 * w + 1, s, w * s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        b, n, d = x.shape
        padded = pad(x.transpose(0, 1), (0, 0, 0, 0, self.margin, self.margin))  # (n+2ws, b, d)
        windows = self._windows(padded).flatten(0, 1)  # (n·b, d, 2w+1), a view
        beyond = self._windows(pad(x.new_zeros(n), (self.margin, self.margin), value=-math.inf))  # (n, 2w+1), a view
        queries = padded[self.margin : self.margin + n].view(n * b, 1, d) / math.sqrt(d)
        scores = (queries @ windows).view(n, b, self.width).add_(beyond[:, None])
        weights = scores.softmax(dim=-1).view(n * b, 1, self.width)
        mixed = weights @ windows.transpose(1, 2)  # (n·b, 1, d)
        return mixed.view(n, b, d).transpose(0, 1)  # (b, n, d)

    def _windows(self, padded: torch.Tensor) -> torch.Tensor:
        """``(n+2ws, …) → (n, …, 2w+1)``: every s-th position of each window."""
        return padded.unfold(0, 2 * self.margin + 1, 1)[..., :: self.s]


def build(d: int, w: int = 16, s: int = 2) -> nn.Module:
    """`w` neighbours on either side, `s` apart."""
    return DilatedAttention(w, s)


LAYER = Layer(
    name="attention-dilated",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n*(2*w + 1)*d", parameters="0", time="n*w*d", depth="1", hops="inf"),
    source="Beltagy et al. 2020, section 3.1",
    constraints="s > 1",
)
