"""How a position joins attention, in one of two ways.

An encoding that is *added* to the input goes before any layer, ours or a plugin's: ``Encoded(encoding, layer)``.

An encoding that acts *inside* is asked by the attention for each pair of queries and keys, just before their products:
``position(q, k)`` returns the queries and keys to multiply, and a bias to add to the scores (None for no bias). It is
a `Position`; every attention with an argument ``position`` takes one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

#: ``(b, h, m, c)`` queries and ``(b, h, n, c)`` keys → the same two shapes, and a bias that broadcasts to
#: ``(b, h, m, n)``, or None. The m queries stand at the last m of the n positions, as in decoding.
Position = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]


def unplaced(q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
    """No position at all: what attention does by itself."""
    return q, k, None


class Encoded(nn.Module):
    """A layer that is given its input with positions added.

    Args:
        encoding: maps ``(b, n, d)`` to ``(b, n, d)``, such as `SinusoidalEncoding` or `LearnedEncoding`.
        layer: any module that maps ``(b, n, d)`` to something.
    """

    def __init__(self, encoding: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.encoding = encoding
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) →`` whatever the layer makes of it."""
        encoded: torch.Tensor = self.layer(self.encoding(x))
        return encoded


def check_length(n: int, max_len: int) -> None:
    """Refuse a sequence that a table of positions is too short for.

    Raises:
        ValueError: it is longer than the table.
    """
    if n > max_len:
        raise ValueError(f"a sequence of {n} positions is longer than max_len={max_len}; build it with a larger one")
