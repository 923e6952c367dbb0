"""Simple recurrent unit: all products come first, only element-wise work waits for the step before.

    z_t, a_t, g_t = W x_t, W_f x_t, W_r x_t        three d × d matrices
    f = σ(a_t + v_f ⊙ c_{t-1});    c_t = f ⊙ c_{t-1} + (1 − f) ⊙ z_t        c_0 = 0
    r = σ(g_t + v_r ⊙ c_{t-1});    y_t = r ⊙ c_t + (1 − r) ⊙ x_t        v_f, v_r are vectors of d

Source: Lei et al., Simple Recurrent Units for Highly Parallelizable Recurrence (2018), section 3, without biases.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class SimpleRecurrentUnit(nn.Module):
    """The outputs of all steps, in order."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.project = nn.Linear(d, 3 * d, bias=False)
        self.forget = nn.Parameter(torch.randn(d) / d**0.5)
        self.reset = nn.Parameter(torch.randn(d) / d**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        return self._run(x, x.new_zeros(len(x), x.shape[2]))[0]

    def prefill(self, context: torch.Tensor) -> torch.Tensor:
        """The cell after the last step."""
        return self._run(context, context.new_zeros(len(context), context.shape[2]))[1]

    def step(self, token: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on from a cell."""
        return self._run(token, cell)

    def _run(self, x: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = []
        projected = self.project(x).chunk(3, dim=2)  # three times (b, n, d), views
        for value, kept, passed, token in zip(*(part.unbind(dim=1) for part in (*projected, x)), strict=True):  # (b, d)
            forget, reset = (kept + self.forget * cell).sigmoid(), (passed + self.reset * cell).sigmoid()
            cell = torch.lerp(value, cell, forget)  # forget of the cell, the rest of the value
            outputs.append(torch.lerp(token, cell, reset))
        return torch.stack(outputs, dim=1), cell


def build(d: int) -> nn.Module:
    """Cells as wide as the input."""
    return SimpleRecurrentUnit(d)


LAYER = Layer(
    name="sru",
    build=build,
    claims=Claims(flops="6*b*n*d**2", parameters="3*d**2 + 2*d", time="n*d**2", depth="n", hops="n"),
    source="Lei et al. 2018, section 3",
    modes=("forward", "train", "decode"),
    causal=True,
)
