"""Multi-query attention, causal: all query heads share one head of keys and values.

    q = x W_q                        W_q, W_o are d × d: h query heads of width d/h
    k, v = x W_k, x W_v              W_k, W_v are d × d/h, side by side in one product
    y = concat(softmax_{j ≤ i}(q_i kᵀ / √(d/h)) v  for i in 1 … h) W_o

Grouped-query attention with a single group. Decoding keeps, and reads again for every token, 2·n·d/h numbers.

Source: Shazeer, Fast Transformer Decoding: One Write-Head is All You Need (2019), section 3.
"""

from __future__ import annotations

from torch import nn

from attnbench.layers.attention.grouped_query import GroupedQueryAttention
from attnbench.layers.base import Claims, Layer


def build(d: int, h: int = 4) -> nn.Module:
    """`h` query heads of width ``d/h``, one key-value head."""
    return GroupedQueryAttention(d, h, 1)


LAYER = Layer(
    name="attention-multi-query",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2 + 4*b*n*d**2/h + 4*b*n**2*d",
        parameters="2*d**2 + 2*d**2/h",
        time="n*d**2 + n**2*d",
        depth="1",
        hops="1",
    ),
    source="Shazeer 2019, section 3",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
    causal=True,
)
