"""Attention with linear biases: the score of a pair falls in proportion to its distance.

    score_ij = q_i · k_j / √(d/h) − m |i − j|        one slope m for each head

For h heads, a power of two, the slopes are 2^(−8/h), 2^(−16/h), … 2^(−8); for other h, those of the next lower power
of two and then every second one of the next higher. The bias is symmetric; under a causal mask it is the paper's. It
is made anew in each call, h·n² numbers, as no table of a fixed length is worth its memory.

Source: Press et al., Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation (2022).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.base import Claims, Layer


def slopes_of(h: int) -> list[float]:
    """The slope of each of `h` heads."""
    lower = 2 ** (h.bit_length() - 1)
    exponents = [-8 * (head + 1) / lower for head in range(lower)]
    exponents += [-4 * (head + 1) / lower for head in range(0, 2 * (h - lower), 2)]
    return [2.0**exponent for exponent in exponents]


class LinearBias(nn.Module):
    """A `Position` for `h` heads and sequences of any length."""

    slopes: torch.Tensor

    def __init__(self, h: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(slopes_of(h)), persistent=False)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries and keys as they are, and the bias ``(1, h, m, n)``."""
        positions = torch.arange(k.shape[-2], dtype=q.dtype, device=q.device)
        distance = (positions[-q.shape[-2] :, None] - positions).abs_()  # (m, n)
        return q, k, (-self.slopes[:, None, None] * distance)[None]


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return MultiHeadAttention(d, h, position=LinearBias(h))


LAYER = Layer(
    name="attention-alibi",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Press et al. 2022, section 3",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
)
