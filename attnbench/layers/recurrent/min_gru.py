"""Minimal gated unit: gates do not look at the state, so a scan finds all states in log₂ n rounds.

    z_t, c_t = σ(W_z x_t), W_c x_t        W_z, W_c are d × d
    s_t = (1 − z_t) ⊙ s_{t-1} + z_t ⊙ c_t        s_0 = 0

In each round every position takes over what the one 1, 2, 4 … places before it knows of the sequence so far. That is
n·⌈log₂ n⌉ element-wise work where a loop needs n, for a chain of ⌈log₂ n⌉ instead of n.

Source: Feng et al., Were RNNs All We Needed? (2024), section 3.1; the scan: Hillis & Steele (1986).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class MinimalGRU(nn.Module):
    """The hidden states of all positions, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.project = nn.Linear(d, 2 * d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        kept, state = self._gated(x)  # factor of the state before, and what is added to it: (b, n, d) each
        width = 1
        while width < x.shape[1]:
            near, far = slice(width, None), slice(None, -width)
            state = torch.cat([state[:, :width], torch.addcmul(state[:, near], kept[:, near], state[:, far])], dim=1)
            kept = torch.cat([kept[:, :width], kept[:, near] * kept[:, far]], dim=1)
            width *= 2
        return state

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The state after the last position."""
        return self.forward(context)[:, -1:]  # (b, 1, d)

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a state."""
        kept, added = self._gated(token)
        state = torch.addcmul(added, kept, state)
        return state, state

    def _gated(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gates, candidates = self.project(x).chunk(2, dim=-1)  # two times (b, n, d), views
        gates = gates.sigmoid()
        return 1 - gates, gates * candidates


def build(d: int) -> nn.Module:
    """Hidden states as wide as the input."""
    return MinimalGRU(d)


LAYER = Layer(
    name="min-gru",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2", parameters="2*d**2", time="n*d**2 + n*d*log2(n)", depth="log2(n)", hops="log2(n)"
    ),
    source="Feng et al. 2024, section 3.1; Hillis & Steele 1986",
    modes=("forward", "train", "decode"),
    causal=True,
)
