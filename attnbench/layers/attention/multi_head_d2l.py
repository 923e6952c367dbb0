"""Multi-head attention with valid lengths: keys beyond the end of a sequence get no weight.

    q, k, v = x W_q, x W_k, x W_v        four projections d × d without bias, W_o the fourth
    y = concat(masked_softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o

`valid_lens` says how many keys, from the first, count: one number for a sequence ``(b)``, or for a query ``(b, n)``.
Scores of all others become the lowest number of the dtype. Of a length of 0 that leaves equal weights for all keys: the
output is finite and means nothing. Dropout acts on the weights, in training only.

Source: Zhang et al., Dive into Deep Learning (2023), section 11.5, with the masked softmax of section 11.3.2.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class MultiHeadAttentionWithLengths(nn.Module):
    """`num_heads` heads of width ``num_hiddens / num_heads``."""

    def __init__(self, num_hiddens: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(num_hiddens, num_hiddens, bias=False) for _ in range(4)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor | None = None,
        values: torch.Tensor | None = None,
        valid_lens: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """``(b, n, d), (b, m, d), (b, m, d) → (b, n, d)``; keys and values are the queries' input unless given."""
        keys, values = queries if keys is None else keys, queries if values is None else values
        q, k, v = map(self._heads, (self.query(queries), self.key(keys), self.value(values)))
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)  # (b, h, n, m)
        if valid_lens is not None:
            lengths = valid_lens.view(len(valid_lens), 1, -1, 1)  # (b, 1, 1 or n, 1)
            beyond = torch.arange(keys.shape[1], device=keys.device) >= lengths
            scores = scores.masked_fill(beyond, torch.finfo(scores.dtype).min)
        mixed = self.dropout(scores.softmax(dim=-1)) @ v  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.view(*projected.shape[:2], self.num_heads, -1).transpose(1, 2)  # (b, h, n, d/h)


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``, half of the weights dropped in training."""
    return MultiHeadAttentionWithLengths(d, h, dropout=0.5)


LAYER = Layer(
    name="multi-head-attention-d2l",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Zhang et al. 2023, section 11.5",
    constraints="d % h == 0",
)
