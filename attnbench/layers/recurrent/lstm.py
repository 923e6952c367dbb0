"""Long short-term memory: a recurrence with three gates and a cell that carries the memory.

    i, f, o = σ(W_i x_t + U_i s_{t-1}), σ(W_f x_t + U_f s_{t-1}), σ(W_o x_t + U_o s_{t-1})
    c_t = f ⊙ c_{t-1} + i ⊙ tanh(W_c x_t + U_c s_{t-1})
    s_t = o ⊙ tanh(c_t)        s_0 = c_0 = 0; eight d × d matrices

Source: Hochreiter & Schmidhuber, Long Short-Term Memory (1997); the forget gate: Gers et al. (2000).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer

State = tuple[torch.Tensor, torch.Tensor]


class LongShortTermMemory(nn.Module):
    """The hidden states of all steps, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.cells = nn.LSTM(d, d, batch_first=True, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        states: torch.Tensor = self.cells(x)[0]  # (b, n, d)
        return states

    def prefill(self, context: torch.Tensor) -> State:
        """The state and the cell after the last step."""
        state: State = self.cells(context)[1]  # two times (1, b, d)
        return state

    def step(self, token: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One step on from a state."""
        output, state = self.cells(token, state)
        return output, state


def build(d: int) -> nn.Module:
    """Hidden states as wide as the input."""
    return LongShortTermMemory(d)


LAYER = Layer(
    name="lstm",
    build=build,
    claims=Claims(flops="16*b*n*d**2", parameters="8*d**2", time="n*d**2", memory="n*d", depth="n", hops="n"),
    source="Hochreiter & Schmidhuber 1997; Gers et al. 2000",
    modes=("forward", "train", "decode"),
    causal=True,
)
