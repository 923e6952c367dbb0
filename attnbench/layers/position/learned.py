"""Learned positional encoding: a trained vector for every position, added to the input.

    y_i = dropout(x_i + p_i)        p is a table of max_len × d, trained with all else

It goes wherever the sinusoidal encoding goes; n·d parameters are its price, and no position beyond the table its limit.

Source: Gehring et al., Convolutional Sequence to Sequence Learning (2017), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import check_length

#: Spread of the first values, small beside inputs of about 1.
_SPREAD = 0.02


class LearnedEncoding(nn.Module):
    """Adds its table to its input, and drops out of the sum."""

    def __init__(self, d: int, max_len: int = 1000, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.table = nn.Parameter(_SPREAD * torch.randn(max_len, d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``. Raises ValueError when n is more than `max_len`."""
        check_length(x.shape[1], len(self.table))
        encoded: torch.Tensor = self.dropout(x + self.table[: x.shape[1]])
        return encoded


def build(d: int, n: int) -> nn.Module:
    """A table for `n` positions."""
    return LearnedEncoding(d, max_len=n)


LAYER = Layer(
    name="position-learned",
    build=build,
    claims=Claims(flops="0", parameters="n*d", peak_bytes="4*b*n*d", time="n*d", depth="1", hops="inf"),
    source="Gehring et al. 2017, section 3.1",
)
