"""Real-gated linear recurrence (RG-LRU): the input chooses the decays, and a scan finds all states.

    r_t, i_t = σ(W_r x_t + b_r), σ(W_i x_t + b_i)        W_r, W_i are d × d
    a_t = σ(Λ)^{8 r_t}        Λ has d numbers
    s_t = a_t ⊙ s_{t-1} + √(1 − a_t²) ⊙ (i_t ⊙ x_t)        s_0 = 0

Gates do not look at the state, so a scan of 2·n steps' work finds all states; it halves the sequence ⌊log₂ n⌋ times.

Source: De et al., Griffin: Mixing Gated Linear Recurrences with Local Attention (2024), section 2.4.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import softplus

from attnbench.layers.base import Claims, Layer
from attnbench.layers.recurrent.scan import states

_SHARPNESS = 8.0


class RealGatedLRU(nn.Module):
    """The hidden states of all positions, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.gates = nn.Linear(d, 2 * d)
        decay = torch.empty(d).uniform_(0.9, 0.999) ** (1 / _SHARPNESS)  # of an open gate, at the start
        self.decay = nn.Parameter(torch.log(decay / (1 - decay)))  # Λ

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return states(*self._gated(x))

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The state after the last position."""
        return self.forward(context)[:, -1:]  # (b, 1, d)

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a state."""
        kept, added = self._gated(token)
        state = torch.addcmul(added, kept, state)
        return state, state

    def _gated(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        recurrence, entrance = self.gates(x).sigmoid().chunk(2, dim=-1)  # two times (b, n, d), views
        log_kept = -_SHARPNESS * softplus(-self.decay) * recurrence
        room = torch.finfo(x.dtype).tiny - torch.expm1(2 * log_kept)  # above 0 where a closed gate keeps all
        return log_kept.exp(), room.sqrt() * entrance * x


def build(d: int) -> nn.Module:
    """Hidden states as wide as the input."""
    return RealGatedLRU(d)


LAYER = Layer(
    name="rg-lru",
    build=build,
    claims=Claims(
        flops="4*b*n*d**2", parameters="2*d**2 + 3*d", time="n*d**2", memory="n*d", depth="log2(n)", hops="log2(n)"
    ),
    source="De et al. 2024, section 2.4",
    modes=("forward", "train", "decode"),
    causal=True,
)
