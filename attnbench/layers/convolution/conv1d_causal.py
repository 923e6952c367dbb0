"""Causal convolution: each output is computed from the last k inputs, its own position included.

    y_t = Σ_j W_j x_{t−j}        j from 0 to k−1; W_j is d × d; x is 0 before the start

The zeros before the start are put there first, so that all taps are the kernel's work; products with them are counted.
With a dilation s the taps are s positions apart: x_{t−sj}.

Source: van den Oord et al., WaveNet (2016), section 2.1.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class CausalConvolution(nn.Module):
    """All channels of an input and of those before it mixed into each output."""

    def __init__(self, d: int, k: int, dilation: int = 1) -> None:
        super().__init__()
        self.reach = dilation * (k - 1)
        self.kernel = nn.Conv1d(d, d, k, dilation=dilation, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        padded = pad(x.transpose(1, 2), (self.reach, 0))  # (b, d, n + reach)
        mixed: torch.Tensor = self.kernel(padded)  # (b, d, n)
        return mixed.transpose(1, 2)  # (b, n, d)

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The last inputs that a coming one still meets, zeros before the start."""
        return pad(context.transpose(1, 2), (self.reach - context.shape[1], 0))  # (b, d, reach); negative pads cut

    def step(self, token: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One output from the new input and the last ones, which then move on by one."""
        window = torch.cat([past, token.transpose(1, 2)], dim=2)  # (b, d, reach + 1)
        return self.kernel(window).transpose(1, 2), window[:, :, 1:]


def build(d: int, k: int = 3) -> nn.Module:
    """A kernel of width `k` from `d` to `d` channels."""
    return CausalConvolution(d, k)


LAYER = Layer(
    name="conv1d-causal",
    build=build,
    claims=Claims(flops="2*b*k*n*d**2", parameters="k*d**2", time="k*n*d**2", memory="n*d", depth="1", hops="n/k"),
    source="van den Oord et al. 2016, section 2.1",
    modes=("forward", "train", "decode"),
    causal=True,
)
