"""Mamba-2 (SSD): a gated state space, dense within chunks, with a state between them.

    z, x, B, C, Δ = u W        z, x: h heads of width 2d/h; B, C: m numbers for all heads; Δ = softplus(… + bias) a head
    S_t = e^{Δ_t A} S_{t-1} + B_tᵀ (Δ_t x_t);    y_t = C_t S_t + D x_t        A < 0 and D a head, S_0 = 0
    out = (y ⊙ silu(z)) W_o        W_o is 2d × d

Chunks have c positions. The short convolution of x, B and C and the norm before W_o are left out.

Source: Dao & Gu, Transformers are SSMs: Generalized Models and Efficient Algorithms (2024), sections 6 and 7.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import silu

from attnbench.layers.base import Claims, Layer
from attnbench.layers.recurrent.chunks import Decay
from attnbench.layers.recurrent.duality import mix


class Mamba2(nn.Module):
    """Projections, structured state space duality in each head, gate, projection."""

    def __init__(self, d: int, h: int, m: int, c: int) -> None:
        super().__init__()
        self.h, self.c, self.widths, self.decay = h, c, (2 * d, 2 * d, m, m, h), Decay(h)
        self.project, self.output = nn.Linear(d, sum(self.widths), bias=False), nn.Linear(2 * d, d, bias=False)
        self.direct = nn.Parameter(torch.ones(h, 1))  # D

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        gate, x, *parts = self._parts(u)
        out: torch.Tensor = self.output((mix(*parts, length=self.c)[0] + self.direct * x).flatten(2) * gate)
        return out

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The state after the last position, ``(b, m, h, 2d/h)``."""
        return mix(*self._parts(context)[2:], length=self.c)[1]

    def step(self, token: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a state."""
        gate, x, entering, log_kept, b, c = self._parts(token)
        state = log_kept.exp()[..., None] * state + b.mT[..., None] * entering  # (b, m, h, 2d/h)
        return self.output(((c @ state.flatten(2)).view_as(x) + self.direct * x).flatten(2) * gate), state

    def _parts(self, u: torch.Tensor) -> tuple[torch.Tensor, ...]:
        z, x, b, c, signal = self.project(u).split(self.widths, dim=-1)  # (b, n, …), views
        x, (step, log_kept) = x.unflatten(-1, (self.h, -1)), self.decay(signal)
        return silu(z), x, x * step[..., None], log_kept, b, c


def build(d: int, h: int = 1, m: int = 64, c: int = 64) -> nn.Module:
    """`h` heads with `m` states for each of their channels, and chunks of `c` positions."""
    return Mamba2(d, h, m, c)


_FLOPS = "b*n*(12*d**2 + 4*d*m + 2*d*h) + b*c*ceil(n/c)*(4*c*d + 2*c*m + 8*d*m)"
_TIME = "n*d**2 + c*n*d + m*n*d + c*m*n + h*n*d"
LAYER = Layer(
    name="mamba-2",
    build=build,
    claims=Claims(flops=_FLOPS, parameters="6*d**2 + 2*d*m + d*h + 3*h", time=_TIME, depth="ceil(n/c)", hops="n/c"),
    source="Dao & Gu 2024, sections 6 and 7",
    constraints="(2*d) % h == 0",
    modes=("forward", "train", "decode"),
    causal=True,
)
