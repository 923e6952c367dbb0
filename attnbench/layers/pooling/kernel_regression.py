"""Kernel regression: each position becomes the mean of all, weighed by how near they are in value.

    y_i = Σ_j K(x_i − x_j) x_j / Σ_j K(x_i − x_j)        K(u) = exp(−w²|u|²/2), w is one learned number

The weights are softmax(w² (x_i · x_j − |x_j|²/2)), since what depends on i alone cancels.

Source: Nadaraya, On Estimating Regression (1964); Watson, Smooth Regression Analysis (1964).
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class KernelRegression(nn.Module):
    """Attention whose scores are distances, and whose keys are the values."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(d**-0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        x_scaled = x * self.width  # (b, n, d)
        norms = x_scaled.square().sum(dim=-1)[:, None]  # (b, 1, n)
        scores = torch.baddbmm(norms, x_scaled, x_scaled.transpose(1, 2), beta=-0.5)  # (b, n, n)
        weights = scores.softmax(dim=-1)  # (b, n, n)
        return weights @ x  # (b, n, d)


def build(d: int) -> nn.Module:
    """A Gaussian kernel that starts as wide as two positions of `d` normal numbers are apart."""
    return KernelRegression(d)


LAYER = Layer(
    name="kernel-regression",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n**2*d", parameters="1", time="n**2*d", depth="1", hops="1"),
    source="Nadaraya 1964; Watson 1964",
)
