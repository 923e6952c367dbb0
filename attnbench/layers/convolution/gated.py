"""Gated linear unit: a causal convolution whose outputs are let through by a second one.

    y_t = (Σ_j W_j x_{t−j}) ⊙ σ(Σ_j V_j x_{t−j})        j from 0 to k−1; W_j, V_j are d × d; x is 0 before the start

Both kernels are one of twice as many channels. The zeros before the start are counted.

Source: Dauphin et al., Language Modeling with Gated Convolutional Networks (2017), section 2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class GatedLinearUnit(nn.Module):
    """All channels of an input and of those before it mixed into each output and into its gate."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.kernel = nn.Conv1d(d, 2 * d, k, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return self._gated(pad(x.transpose(1, 2), (self.k - 1, 0)))  # from (b, d, n + k − 1)

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The last inputs that a coming one still meets, zeros before the start."""
        return pad(context.transpose(1, 2), (self.k - 1 - context.shape[1], 0))  # (b, d, k − 1); negative pads cut

    def step(self, token: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One output from the new input and the last ones, which then move on by one."""
        window = torch.cat([past, token.transpose(1, 2)], dim=2)  # (b, d, k)
        return self._gated(window), window[:, :, 1:]

    def _gated(self, padded: torch.Tensor) -> torch.Tensor:
        values, gates = self.kernel(padded).transpose(1, 2).chunk(2, dim=-1)  # two times (b, n, d), views
        passed: torch.Tensor = values * gates.sigmoid()  # (b, n, d)
        return passed


def build(d: int, k: int = 3) -> nn.Module:
    """Two kernels of width `k` from `d` to `d` channels."""
    return GatedLinearUnit(d, k)


LAYER = Layer(
    name="conv1d-gated",
    build=build,
    claims=Claims(flops="4*b*k*n*d**2", parameters="2*k*d**2", time="k*n*d**2", depth="1", hops="n/k"),
    source="Dauphin et al. 2017, section 2",
    modes=("forward", "train", "decode"),
    causal=True,
)
