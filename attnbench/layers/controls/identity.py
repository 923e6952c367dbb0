"""Identity: a control that does nothing, at no cost.

    y = x

Whatever a tool says of it beyond what a call costs, it has added itself.

Source: He et al., Identity Mappings in Deep Residual Networks (2016), equation 1, without its residual function.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class Identity(nn.Module):
    """The input itself, not a copy of it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return x

    def prefill(self, context: torch.Tensor) -> None:
        """Nothing: no later position needs an earlier one."""

    def step(self, token: torch.Tensor, state: None) -> tuple[torch.Tensor, None]:
        """The position itself."""
        return token, None


def build(d: int) -> nn.Module:
    """Any width."""
    return Identity()


LAYER = Layer(
    name="identity",
    build=build,
    claims=Claims(flops="0", parameters="0", peak_bytes="0", saved_bytes="0", depth="0", hops="inf"),
    source="He et al. 2016, equation 1",
    modes=("forward", "train", "decode"),
    causal=True,
)
