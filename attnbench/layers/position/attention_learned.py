"""Attention with learned positions: a trained vector for each is added to the input before it attends.

    y = MultiHead(x + p)

Source: Gehring et al., Convolutional Sequence to Sequence Learning (2017), section 3.1, for the encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import Encoded
from attnbench.layers.position.learned import LearnedEncoding

if TYPE_CHECKING:
    from torch import nn


def build(d: int, n: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``, and a table for `n` positions."""
    return Encoded(LearnedEncoding(d, max_len=n), MultiHeadAttention(d, h))


LAYER = Layer(
    name="attention-learned",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2 + n*d", time="n*d**2 + n**2*d", depth="1", hops="1"
    ),
    source="Gehring et al. 2017, section 3.1; Vaswani et al. 2017, section 3.2.2",
    constraints="d % h == 0",
)
