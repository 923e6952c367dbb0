"""Gated delta rule: a state that decays and is corrected at one key a position, chunk by chunk.

    q, k, v, α, β = x W        q, k of length 1 and v: h heads of width p = d/h; α in (0, 1) and β = σ(…) a head
    S_t = α_t (I − β_t k_tᵀ k_t) S_{t-1} + β_t k_tᵀ v_t;    y = concat(q_t S_t) W_o        S_t is p × p, S_0 = 0

Corrections within a chunk of c positions depend on each other: triangular systems, all solved at once. A loop over
chunks hands the state on. The last chunk is filled up. Short convolutions, output gate and norm are left out.

Source: Yang et al., Gated Delta Networks: Improving Mamba2 with Delta Rule (2025), sections 3.1 and 3.3.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import normalize

from attnbench.layers.base import Claims, Layer
from attnbench.layers.recurrent.chunks import Decay
from attnbench.layers.recurrent.delta import correct


class GatedDeltaRule(nn.Module):
    """Projections around a memory of keys and values in each head."""

    def __init__(self, d: int, h: int, c: int) -> None:
        super().__init__()
        self.h, self.c, self.widths, self.decay = h, c, (3 * d, h, h), Decay(h)
        self.project, self.output = nn.Linear(d, sum(self.widths), bias=False), nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = self.output(correct(*self._parts(x), length=self.c)[0].flatten(2))
        return mixed

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The state after the last position, ``(b, h, p, p)``."""
        return correct(*self._parts(context), length=self.c)[1]

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a state."""
        q, k, v, log_kept, strength = (part.transpose(1, 2) for part in self._parts(token))  # (b, h, 1, p or 1)
        state = log_kept.exp() * state
        state = torch.addcmul(state, k.mT, strength * (v - k @ state))
        return self.output((q @ state).flatten(1)[:, None]), state

    def _parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        heads, decay, strength = self.project(x).split(self.widths, dim=-1)
        q, k, v = heads.unflatten(-1, (3, self.h, -1)).unbind(2)  # (b, n, h, p), views
        log_kept, strength = self.decay(decay)[1][..., None], strength.sigmoid()[..., None]
        return normalize(q, dim=-1), normalize(k, dim=-1), v, log_kept, strength


def build(d: int, h: int = 1, c: int = 64) -> nn.Module:
    """`h` heads of width ``d/h``, and chunks of `c` positions."""
    return GatedDeltaRule(d, h, c)


_FLOPS = "b*n*(8*d**2 + 4*d*h) + b*c*ceil(n/c)*(8*c*d + 6*d**2/h)"
_TIME = "n*d**2 + c*n*d + h*n*d"
LAYER = Layer(
    name="gated-delta-rule",
    build=build,
    claims=Claims(flops=_FLOPS, parameters="4*d**2 + 2*d*h + 2*h", time=_TIME, depth="ceil(n/c)", hops="n/c"),
    source="Yang et al. 2025, sections 3.1 and 3.3",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
    causal=True,
)
