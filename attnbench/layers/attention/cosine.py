"""Cosine attention without projections: scores are the cosines between positions.

    y = softmax(x̂ x̂ᵀ) x        x̂ is x with every position at length 1

Scores lie between −1 and 1, so that no weight is more than e² times another: attention that cannot be sharp. Keys and
queries of length 1 are also what keeps scores in bounds in later work, there with a temperature that is learned.

Source: Graves et al., Neural Turing Machines (2014), section 3.3.1, with β = 1 and the sequence as its own memory.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import normalize

from attnbench.layers.base import Claims, Layer


class CosineAttention(nn.Module):
    """Every position attends to every position; the values are the input itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        directions = normalize(x, dim=-1)  # (b, n, d)
        weights = (directions @ directions.transpose(1, 2)).softmax(dim=-1)  # (b, n, n)
        return weights @ x


def build(d: int) -> nn.Module:
    """No weights."""
    return CosineAttention()


LAYER = Layer(
    name="attention-cosine",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n**2*d", parameters="0", time="n**2*d", depth="1", hops="1"),
    source="Graves et al. 2014, section 3.3.1",
)
