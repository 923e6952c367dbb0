"""Wide multi-head attention: every head has the full width, and one projection joins them.

    q_i, k_i, v_i = q W_q,i, k W_k,i, v W_v,i        W_q,i, W_k,i, W_v,i are d × d_out, for i in 1 … h
    y = concat(softmax(q_i k_iᵀ) v_i  for i in 1 … h) W_o        W_o is h·d_out × d_out; no scale

A head more costs as much as the first: 8·n·d² + 4·n²·d each, where heads of width d/h share the cost of one.
Where a mask is 0 the score becomes −10⁹ (or the dtype's lowest number): a row of zeros has uniform weights, and no NaN.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.2, with d_k = d_v = d and without the scale.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class WideMultiHeadAttention(nn.Module):
    """`h` heads from `input_dim` to `output_dim` each; the projections of all heads lie side by side."""

    def __init__(self, input_dim: int, output_dim: int, h: int) -> None:
        super().__init__()
        self.h = h
        self.query = nn.Linear(input_dim, h * output_dim, bias=False)
        self.key = nn.Linear(input_dim, h * output_dim, bias=False)
        self.value = nn.Linear(input_dim, h * output_dim, bias=False)
        self.output = nn.Linear(h * output_dim, output_dim, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """``(b, n, input_dim) → (b, n, output_dim)``, under a mask that broadcasts to ``(b, h, n, n)``."""
        mixed = self.weights(x, mask) @ self._heads(self.value(x))  # (b, h, n, output_dim)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return merged

    def weights(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """``(b, h, n, n)``: how much each position attends to each other one; none where the mask is 0."""
        scores = self._heads(self.query(x)) @ self._heads(self.key(x)).transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, max(-1e9, torch.finfo(scores.dtype).min))
        weights: torch.Tensor = scores.softmax(dim=-1)
        return weights

    def _heads(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.view(*projected.shape[:2], self.h, -1).transpose(1, 2)  # (b, h, n, output_dim)


def build(d: int, h: int = 3) -> nn.Module:
    """`h` heads, all of width `d`."""
    return WideMultiHeadAttention(d, d, h)


LAYER = Layer(
    name="multi-head-attention-wide",
    build=build,
    claims=Claims(
        flops="8*b*h*n*d**2 + 4*b*h*n**2*d",
        parameters="4*h*d**2",
        time="h*n*d**2 + h*n**2*d",
        depth="1",
        hops="1",
    ),
    source="Vaswani et al. 2017, section 3.2.2, with d_k = d_v = d and without the scale",
)
