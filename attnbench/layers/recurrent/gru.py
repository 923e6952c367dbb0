"""Gated recurrent unit: a recurrence with a reset and an update gate.

    r, z = σ(W_r x_t + U_r s_{t-1}), σ(W_z x_t + U_z s_{t-1})
    c = tanh(W_c x_t + r ⊙ (U_c s_{t-1}))
    s_t = (1 − z) ⊙ c + z ⊙ s_{t-1}        s_0 = 0; six d × d matrices

The reset gate acts after the product with U_c, as in cuDNN, and not before it as in the paper.

Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014), section 2.3.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class GatedRecurrentUnit(nn.Module):
    """The hidden states of all steps, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.cells = nn.GRU(d, d, batch_first=True, bias=False)

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
    return GatedRecurrentUnit(d)


LAYER = Layer(
    name="gru",
    build=build,
    claims=Claims(flops="12*b*n*d**2", parameters="6*d**2", time="n*d**2", memory="n*d", depth="n", hops="n"),
    source="Cho et al. 2014, section 2.3",
    modes=("forward", "train", "decode"),
    causal=True,
)
