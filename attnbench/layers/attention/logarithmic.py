"""Logarithmic attention, causal: each position attends to itself and to powers of two before it.

    y_i = Σ_j softmax_j(x_i · x_j / √d) x_j        over i − j = 0 and i − j = 2^m, within the sequence

⌈log₂ n⌉ + 1 keys for each query, gathered: n·log n·d numbers are copied. As many layers as the distance has ones in
binary connect two positions, ⌊log₂ n⌋ at most. Keys before the sequence are zeros with a score of −∞; products with
them are counted.

Source: Li et al., Enhancing the Locality and Breaking the Memory Bottleneck of Transformer on Time Series Forecasting
(2019), section 4.2.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class LogarithmicAttention(nn.Module):
    """Every position attends to itself and to powers of two before it; query, key and value are the input itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        n, d = x.shape[1:]
        distances = pad(2 ** torch.arange((n - 1).bit_length(), device=x.device), (1, 0))  # 0, 1, 2, 4, … < n
        sources = torch.arange(n, device=x.device)[:, None] - distances  # (n, ⌈log₂ n⌉ + 1)
        keys = pad(x, (0, 0, 1, 0))[:, sources.clamp(min=-1) + 1]  # (b, n, ⌈log₂ n⌉ + 1, d)
        scores = (x / math.sqrt(d))[:, :, None] @ keys.transpose(2, 3)  # (b, n, 1, ⌈log₂ n⌉ + 1)
        weights = scores.masked_fill(sources[:, None] < 0, -math.inf).softmax(dim=-1)
        mixed: torch.Tensor = weights @ keys  # (b, n, 1, d)
        return mixed.squeeze(2)


def build(d: int) -> nn.Module:
    """The distances follow from the length."""
    return LogarithmicAttention()


LAYER = Layer(
    name="attention-logarithmic",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n*(ceil(log2(n)) + 1)*d", parameters="0", time="n*log2(n)*d", depth="1", hops="log2(n)"),
    source="Li et al. 2019, section 4.2",
    causal=True,
)
