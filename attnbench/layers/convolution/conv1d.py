"""Convolution over the sequence with a centred kernel of width k.

    y_t = Σ_j W_j x_{t+j}        j from −(k−1)/2 to (k−1)/2; W_j is d × d; x is 0 beyond both ends

One layer connects a position with (k−1)/2 neighbours on either side. All pairs need a stack of the order of n/k
layers; the log_k(n) of the paper's Table 1 belongs to dilated kernels. Products with the zeros are counted.

Source: Vaswani et al., Attention Is All You Need (2017), section 4 and Table 1.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class CentredConvolution(nn.Module):
    """All channels of k neighbouring positions mixed into each output."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(d, d, k, padding="same", bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = self.kernel(x.transpose(1, 2))  # (b, d, n)
        return mixed.transpose(1, 2)  # (b, n, d)


def build(d: int, k: int = 3) -> nn.Module:
    """A kernel of width `k` from `d` to `d` channels."""
    return CentredConvolution(d, k)


LAYER = Layer(
    name="conv1d",
    build=build,
    claims=Claims(flops="2*b*k*n*d**2", parameters="k*d**2", time="k*n*d**2", memory="n*d", depth="1", hops="n/k"),
    source="Vaswani et al. 2017, section 4 and Table 1",
    constraints="k % 2 == 1",
)
