"""Attention with sinusoidal positions: waves are added to the input, once, before it attends.

    y = MultiHead(x + p)

Source: Vaswani et al., Attention Is All You Need (2017), sections 3.2.2 and 3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Encoded
from attnbench.layers.position.sinusoidal import SinusoidalEncoding

if TYPE_CHECKING:
    from torch import nn


def build(d: int, n: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``, and a table for `n` positions."""
    return Encoded(SinusoidalEncoding(d, max_len=n), MultiHeadAttention(d, h))


LAYER = Layer(
    name="attention-sinusoidal",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Vaswani et al. 2017, sections 3.2.2 and 3.5",
    constraints="d % h == 0",
)
