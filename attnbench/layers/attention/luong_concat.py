"""Luong's global attention with the score concat: a small network reads both positions side by side.

    score_ij = v · tanh(W_a [x_i; x_j])                   W_a is d × 2d, v is a vector of d
    c_i = Σ_j softmax_j(score_ij) x_j
    y_i = tanh(W_c [c_i; x_i])                            W_c is d × 2d

The two halves of W_a meet the positions before they are paired: 4·n·d² instead of 4·n²·d² for the same numbers. n²·d of
those remain. The paper compares each state of a decoder with all of an encoder; here one sequence is both.

Source: Luong et al., Effective Approaches to Attention-based Neural Machine Translation (2015), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.attention.luong import LuongAttention
from attnbench.layers.base import Claims, Layer


class ConcatAttention(LuongAttention):
    """One matrix over a pair of positions, a half for each."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.pair = nn.Linear(2 * d, d, bias=False)
        self.score = nn.Linear(d, 1, bias=False)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, n)``: query by key."""
        of_query, of_key = self.pair.weight.chunk(2, dim=1)  # (d, d) each
        pairs = (x @ of_query.T)[:, :, None] + (x @ of_key.T)[:, None]  # (b, n, n, d)
        scores: torch.Tensor = self.score(pairs.tanh()).squeeze(-1)
        return scores


def build(d: int) -> nn.Module:
    """The score is a network with `d` hidden units."""
    return ConcatAttention(d)


LAYER = Layer(
    name="attention-luong-concat",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2 + d", time="n*d**2 + n**2*d", depth="1", hops="1"
    ),
    source="Luong et al. 2015, section 3.1",
)
