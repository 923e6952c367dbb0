"""Diagonal state space (S4D): a linear recurrence in each channel, run as one long convolution.

    s_t = e^{ΔA} ⊙ s_{t-1} + x_t        A_j = −1/2 + iπj, Δ > 0 learned for each channel, m poles, s_0 = 0
    y_t = Re(C · s_t) + D x_t        C has m numbers for each channel, D one

Source: Gu et al., On the Parameterization and Initialization of Diagonal State Space Models (2022), section 3.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class DiagonalStateSpace(nn.Module):
    """A filter for each channel, applied by Fourier transforms of length 2n; states are real and imaginary halves."""

    def __init__(self, d: int, m: int) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(d, 1, 1).uniform_(math.log(1e-3), math.log(1e-1)))  # log Δ
        self.readout = nn.Parameter(torch.randn(d, 1, 2 * m) * self.log_step.detach().exp())  # C
        self.direct = nn.Parameter(torch.ones(d))  # D

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        kernel = (self.readout @ self._powers(torch.arange(n := x.shape[1], device=x.device)))[:, 0]  # (d, n)
        spectrum = torch.fft.rfft(x.transpose(1, 2), 2 * n) * torch.fft.rfft(kernel, 2 * n)  # (b, d, n + 1)
        filtered: torch.Tensor = torch.fft.irfft(spectrum, 2 * n)[..., :n]  # (b, d, n), a view
        return filtered.transpose(1, 2) + self.direct * x

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The states after the last position, ``(d, 2m, b)``."""
        return self._powers(torch.arange(context.shape[1], device=context.device).flip(0)) @ context.permute(2, 1, 0)

    def step(self, token: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from the states."""
        (real, imaginary), (cosine, sine) = states.chunk(2, dim=1), self._powers(token.new_ones(1)).chunk(2, dim=1)
        new = cosine * real - sine * imaginary + token.permute(2, 1, 0), sine * real + cosine * imaginary
        states = torch.cat(new, dim=1)
        return (self.readout @ states).permute(2, 1, 0) + self.direct * token, states

    def _powers(self, ages: torch.Tensor) -> torch.Tensor:
        times = self.log_step.exp() * ages  # (d, 1, n)
        angles = math.pi * torch.arange(self.readout.shape[2] // 2).to(times)[:, None] * times  # (d, m, n)
        return torch.cat([angles.cos(), angles.sin()], dim=1) * (-times / 2).exp()  # (d, 2m, n)


def build(d: int, m: int = 16) -> nn.Module:
    """`m` complex states for each of `d` channels."""
    return DiagonalStateSpace(d, m)


LAYER = Layer(
    name="state-space-diagonal",
    build=build,
    claims=Claims(
        flops="4*m*n*d + (10*b + 5)*n*d*log2(2*n)",
        parameters="2*m*d + 2*d",
        time="m*n*d + n*d*log2(n)",
        hops="1",
        depth="1",
    ),
    source="Gu et al. 2022, section 3",
    modes=("forward", "train", "decode"),
    causal=True,
)
