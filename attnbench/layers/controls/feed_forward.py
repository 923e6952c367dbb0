"""Position-wise feed-forward network: a control that never connects two positions.

    y_t = W₂ max(0, W₁ x_t)        W₁ is 4d × d, W₂ is d × 4d

Each position is mapped alone, so no stack of these layers, however deep, carries anything from one position to
another: there is no maximum path length to claim, and a tool that reports a finite one is wrong.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.3.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class FeedForward(nn.Module):
    """Two linear maps with a rectifier between them, at every position alike."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.widen = nn.Linear(d, 4 * d, bias=False)
        self.narrow = nn.Linear(4 * d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        hidden = self.widen(x).relu()  # (b, n, 4d)
        narrowed: torch.Tensor = self.narrow(hidden)  # (b, n, d)
        return narrowed

    def prefill(self, context: torch.Tensor) -> None:
        """Nothing: no later position needs an earlier one."""

    def step(self, token: torch.Tensor, state: None) -> tuple[torch.Tensor, None]:
        """One position, mapped alone."""
        return self.forward(token), None


def build(d: int) -> nn.Module:
    """A hidden width of four times `d`."""
    return FeedForward(d)


LAYER = Layer(
    name="feed-forward",
    build=build,
    claims=Claims(flops="16*b*n*d**2", parameters="8*d**2", time="n*d**2", memory="n*d", depth="1"),
    source="Vaswani et al. 2017, section 3.3",
    modes=("forward", "train", "decode"),
)
