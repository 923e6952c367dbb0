"""Dense synthesizer: each position computes its own attention weights, without looking at any key.

    y = softmax(relu(x W₁) W₂) x W_v        W₁, W_v are d × d, W₂ is d × n

No query meets a key, and the weights are still n² numbers. W₂ belongs to one length.

Source: Tay et al., Synthesizer: Rethinking Self-Attention in Transformer Models (2021), section 3.1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class DenseSynthesizer(nn.Module):
    """Every position mixes all values with weights computed from itself alone."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(d, d, bias=False)
        self.score = nn.Linear(d, n, bias=False)
        self.value = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        scores = self.score(self.hidden(x).relu())  # (b, n, n)
        mixed: torch.Tensor = scores.softmax(dim=-1) @ self.value(x)  # (b, n, d)
        return mixed


def build(n: int, d: int) -> nn.Module:
    """A score for each of `n` positions out of `d` features."""
    return DenseSynthesizer(n, d)


LAYER = Layer(
    name="attention-synthesizer",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2 + 4*b*n**2*d", parameters="2*d**2 + n*d", time="n*d**2 + n**2*d", depth="1", hops="1"
    ),
    source="Tay et al. 2021, section 3.1",
)
