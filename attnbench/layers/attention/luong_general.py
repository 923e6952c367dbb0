"""Luong's global attention with the score general: positions are compared through a matrix.

    score_ij = x_i · W_a x_j                              W_a is d × d, no scale
    c_i = Σ_j softmax_j(score_ij) x_j
    y_i = tanh(W_c [c_i; x_i])                            W_c is d × 2d

The paper compares each state of a decoder with all of an encoder; here one sequence is both.

Source: Luong et al., Effective Approaches to Attention-based Neural Machine Translation (2015), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.attention.luong import LuongAttention
from attnbench.layers.base import Claims, Layer


class GeneralAttention(LuongAttention):
    """One matrix between queries and keys."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.key = nn.Linear(d, d, bias=False)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, n)``: query by key."""
        scores: torch.Tensor = x @ self.key(x).transpose(1, 2)
        return scores


def build(d: int) -> nn.Module:
    """The score has a d × d matrix."""
    return GeneralAttention(d)


LAYER = Layer(
    name="attention-luong-general",
    build=build,
    claims=Claims(flops="6*b*n*d**2 + 4*b*n**2*d", parameters="3*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Luong et al. 2015, section 3.1",
)
