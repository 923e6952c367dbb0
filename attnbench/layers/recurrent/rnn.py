"""Elman recurrence: each state from the input and the state before, one step after the other.

    s_t = tanh(W x_t + U s_{t-1})        s_0 = 0; W, U are d × d

Table 1 of Vaswani et al. counts the product with U alone, half of what is done here.

Source: Elman, Finding Structure in Time (1990); Vaswani et al. (2017), Table 1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class ElmanRNN(nn.Module):
    """The hidden states of all steps, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.cells = nn.RNN(d, d, batch_first=True, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        states: torch.Tensor = self.cells(x)[0]  # (b, n, d)
        return states

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The state after the last step."""
        state: torch.Tensor = self.cells(context)[1]  # (1, b, d)
        return state

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a state."""
        output, state = self.cells(token, state)
        return output, state


def build(d: int) -> nn.Module:
    """Hidden states as wide as the input."""
    return ElmanRNN(d)


LAYER = Layer(
    name="rnn",
    build=build,
    claims=Claims(flops="4*b*n*d**2", parameters="2*d**2", time="n*d**2", memory="n*d", depth="n", hops="n"),
    source="Elman 1990; Vaswani et al. 2017, Table 1",
    modes=("forward", "train", "decode"),
    causal=True,
)
