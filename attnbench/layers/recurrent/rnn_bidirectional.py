"""Bidirectional recurrence: the states of two Elman networks, one from each end, are added.

    s_t = tanh(W x_t + U s_{t-1})        s_0 = 0
    z_t = tanh(V x_t + R z_{t+1})        z_{n+1} = 0; W, U, V, R are d × d
    y_t = s_t + z_t

Source: Schuster & Paliwal, Bidirectional Recurrent Neural Networks (1997).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class BidirectionalRNN(nn.Module):
    """The sums of both directions' hidden states, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.cells = nn.RNN(d, d, batch_first=True, bias=False, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        onward, back = self.cells(x)[0].chunk(2, dim=-1)  # two times (b, n, d), views
        states: torch.Tensor = onward + back
        return states


def build(d: int) -> nn.Module:
    """Hidden states as wide as the input."""
    return BidirectionalRNN(d)


LAYER = Layer(
    name="rnn-bidirectional",
    build=build,
    claims=Claims(flops="8*b*n*d**2", parameters="4*d**2", time="n*d**2", memory="n*d", depth="n", hops="n"),
    source="Schuster & Paliwal 1997",
)
