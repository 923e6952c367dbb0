"""Grouped convolution: a centred kernel within each of g groups of channels.

    y_t = concat(Σ_j W_ij x_{t+j}[group i]  for i in 1 … g)        j from −(k−1)/2 to (k−1)/2; W_ij is d/g × d/g

One group is a full convolution, d groups are a depth-wise one. x is 0 beyond both ends, and products with it count.

Source: Krizhevsky et al., ImageNet Classification with Deep CNNs (2012), section 3.2; Xie et al., ResNeXt (2017).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class GroupedConvolution(nn.Module):
    """The channels of a group and k neighbouring positions mixed into each output."""

    def __init__(self, d: int, k: int, g: int) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(d, d, k, padding="same", groups=g, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = self.kernel(x.transpose(1, 2))  # (b, d, n)
        return mixed.transpose(1, 2)  # (b, n, d)


def build(d: int, k: int = 3, g: int = 4) -> nn.Module:
    """A kernel of width `k` for each of `g` groups of ``d/g`` channels."""
    return GroupedConvolution(d, k, g)


LAYER = Layer(
    name="conv1d-grouped",
    build=build,
    claims=Claims(flops="2*b*k*n*d**2/g", parameters="k*d**2/g", time="k*n*d**2/g", depth="1", hops="n/k"),
    source="Krizhevsky et al. 2012, section 3.2; Xie et al. 2017",
    constraints=("k % 2 == 1", "d % g == 0"),
)
