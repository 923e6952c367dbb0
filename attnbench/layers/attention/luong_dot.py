"""Luong's global attention with the score dot: positions are compared as they are.

    score_ij = x_i · x_j                                  no scale
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


class DotAttention(LuongAttention):
    """No weights but those of the attentional vector."""

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, n)``: query by key."""
        return x @ x.transpose(1, 2)


def build(d: int) -> nn.Module:
    """The score has no weights."""
    return DotAttention(d)


LAYER = Layer(
    name="attention-luong-dot",
    build=build,
    claims=Claims(flops="4*b*n*d**2 + 4*b*n**2*d", parameters="2*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Luong et al. 2015, section 3.1",
)
