"""What the three forms of Luong's global attention share: weights, context and attentional vector around a score."""

from __future__ import annotations

import torch
from torch import nn


class LuongAttention(nn.Module):
    """Every position is a query and a key; the value of a position is its input.

    A subclass says what ``scores(x)``, of shape ``(b, n, n)``, are.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.combine = nn.Linear(2 * d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        context = self.scores(x).softmax(dim=-1) @ x  # (b, n, d)
        combined: torch.Tensor = self.combine(torch.cat([context, x], dim=-1))
        return combined.tanh()

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, n)``: query by key."""
        raise NotImplementedError
