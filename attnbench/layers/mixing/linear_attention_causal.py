"""Causal linear attention: dense within chunks of c positions, with a running summary of those before.

    y_i = φ(q_i) (Σ_{j≤i} φ(k_j)ᵀ v_j) / (φ(q_i) · Σ_{j≤i} φ(k_j))        φ(x) = elu(x) + 1
    q, k, v = x W_q, x W_k, x W_v, and W_o at the end: d × d

Within a chunk all pairs are computed and half of them thrown away: 4·n·c·d. Each of n/c chunks has a d × d summary.

Source: Katharopoulos et al., Transformers are RNNs (2020), section 3.3; chunks: Hua et al., FLASH (2022), section 3.2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import elu, pad

from attnbench.layers.base import Claims, Layer

State = tuple[torch.Tensor, torch.Tensor]


class CausalLinearAttention(nn.Module):
    """Every position attends to itself and to all before it through a running summary."""

    def __init__(self, d: int, c: int) -> None:
        super().__init__()
        self.c = c
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.output = nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        q, k, v = self._features(x)
        total = (q * k.cumsum(dim=1)).sum(dim=-1, keepdim=True)  # (b, n, 1)
        q, k, v = (part.view(len(x), -1, self.c, part.shape[2]) for part in (q, k, v))  # (b, n/c, c, d)
        before = pad((k.transpose(-2, -1) @ v).cumsum(dim=1)[:, :-1], (0, 0, 0, 0, 1, 0))  # (b, n/c, d, d), 0 at first
        mixed = (q @ k.transpose(-2, -1)).tril() @ v + q @ before  # (b, n/c, c, d)
        merged: torch.Tensor = self.output(mixed.flatten(1, 2) / total)  # (b, n, d)
        return merged

    def prefill(self, context: torch.Tensor) -> State:
        """The summary of the context, ``(b, d, d)``, and the sum of its keys, ``(b, 1, d)``."""
        _, k, v = self._features(context)
        return k.transpose(1, 2) @ v, k.sum(dim=1, keepdim=True)

    def step(self, token: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One new position joins the summary and reads it."""
        q, k, v = self._features(token)
        summary, total = state[0] + k.transpose(1, 2) @ v, state[1] + k
        return self.output((q @ summary) / (q * total).sum(dim=-1, keepdim=True)), (summary, total)

    def _features(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = self.project(x).chunk(3, dim=-1)  # (b, n, d), views
        return elu(q) + 1, elu(k) + 1, v


def build(d: int, c: int = 64) -> nn.Module:
    """Chunks of `c` positions."""
    return CausalLinearAttention(d, c)


LAYER = Layer(
    name="attention-linear-causal",
    build=build,
    claims=Claims(flops="12*b*n*d**2 + 4*b*c*n*d", parameters="4*d**2", time="n*d**2 + c*n*d", depth="1", hops="1"),
    source="Katharopoulos et al. 2020, section 3.3; Hua et al. 2022, section 3.2",
    constraints="n % c == 0",
    modes=("forward", "train", "decode"),
    causal=True,
)
