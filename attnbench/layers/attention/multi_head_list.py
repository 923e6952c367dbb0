"""Multi-head attention as a list of heads, each with projections of its own, one after the other.

    head_i = softmax(q W_q,i (k W_k,i)ᵀ / √(d/h)) v W_v,i        W_q,i, W_k,i, W_v,i are d × d/h
    y = concat(head_1 … head_h) W_o                              no bias

The function of ``multi-head-attention`` and the same work, in h times as many kernels: what it costs beyond that is the
price of small products.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.2, as it is written there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from attnbench.layers.base import Claims, Layer


class Head(nn.Module):
    """Scaled dot-product attention between projections of query, key and value to a smaller width."""

    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(d, width, bias=False) for _ in range(3))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """``(b, n, d), (b, m, d), (b, m, d) → (b, n, width)``; no weight where the mask, ``(b, n, m)``, is 0."""
        q, k, v = self.query(query), self.key(key), self.value(value)
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(1, 2)  # (b, n, m)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -math.inf)
        mixed: Tensor = scores.softmax(dim=-1) @ v
        return mixed


class ListOfHeads(nn.Module):
    """`h` heads and the projection of what they say, side by side."""

    def __init__(self, d: int, h: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(d, d // h) for _ in range(h))
        self.output = nn.Linear(d, d, bias=False)

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """``(b, n, d) → (b, n, d)``; keys and values are the query's input unless given."""
        key, value = query if key is None else key, query if value is None else value
        merged: Tensor = self.output(torch.cat([head(query, key, value, mask) for head in self.heads], dim=-1))
        return merged


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return ListOfHeads(d, h)


LAYER = Layer(
    name="multi-head-attention-list-of-heads",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Vaswani et al. 2017, section 3.2.2",
    constraints="d % h == 0",
)
