"""Sinusoidal positional encoding: a wave of its own in every pair of features, added to the input.

    y_i = dropout(x_i + p_i)        p[i, 2j] = sin(i / 10000^(2j/d)),  p[i, 2j+1] = cos(i / 10000^(2j/d))

Nothing is trained. An odd d ends with a sine. A sequence longer than the table, `max_len` positions, is an error and
does not make it grow: what a call costs then never depends on the calls before it. The registered layer is built for
the length that it is called with.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.5.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import check_length

BASE = 10_000.0


def angles(length: int, width: int) -> torch.Tensor:
    """``(length, ceil(width/2))`` in float64: position i times the frequency of pair j, ``i / 10000^(2j/width)``."""
    frequencies = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.arange(length, dtype=torch.float64)[:, None] * frequencies


class SinusoidalEncoding(nn.Module):
    """Adds the waves to its input, and drops out of the sum."""

    waves: torch.Tensor

    def __init__(self, d: int, max_len: int = 1000, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        pairs = angles(max_len, d)
        waves = torch.stack([pairs.sin(), pairs.cos()], dim=-1).flatten(1)[:, :d]  # (max_len, d)
        self.register_buffer("waves", waves.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``. Raises ValueError when n is more than `max_len`."""
        check_length(x.shape[1], len(self.waves))
        encoded: torch.Tensor = self.dropout(x + self.waves[: x.shape[1]])
        return encoded


def build(d: int, n: int) -> nn.Module:
    """A table for `n` positions."""
    return SinusoidalEncoding(d, max_len=n)


LAYER = Layer(
    name="position-sinusoidal",
    build=build,
    claims=Claims(flops="0", parameters="0", peak_bytes="4*b*n*d", time="n*d", depth="1", hops="inf"),
    source="Vaswani et al. 2017, section 3.5",
)
