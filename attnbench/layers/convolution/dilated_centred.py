"""Stack of l centred convolutions whose dilation grows k-fold, padded with zeros at every level.

    y = f_{l-1}(… f_1(f_0(x)))        f_i(x)_t = Σ_j W_ij x_{t + kⁱ·j}, j from −(k−1)/2 to (k−1)/2; x is 0 beyond

Unlike its causal sibling it never connects all pairs of a sequence of more than (k+1)/2 positions, however many levels
it has: the paths between some positions step beyond an end, where there are only zeros. Only levels that come twice
would mend that. Nothing non-linear stands between the levels, since counts and paths do not depend on it.

Source: Kalchbrenner et al., Neural Machine Translation in Linear Time (2016), section 3, with centred kernels.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer


class CentredStack(nn.Module):
    """Kernels of one width, each level with wider gaps between its taps."""

    def __init__(self, d: int, k: int, dilations: list[int]) -> None:
        super().__init__()
        kernels = (nn.Conv1d(d, d, k, padding="same", dilation=dilation, bias=False) for dilation in dilations)
        self.kernels = nn.Sequential(*kernels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        mixed: torch.Tensor = self.kernels(x.transpose(1, 2))  # (b, d, n)
        return mixed.transpose(1, 2)  # (b, n, d)


def build(d: int, k: int = 3, l: int = 3) -> nn.Module:  # noqa: E741  the axis is called l
    """`l` kernels of width `k` from `d` to `d` channels, with dilations 1, k, k² and so on."""
    return CentredStack(d, k, [k**level for level in range(l)])


LAYER = Layer(
    name="conv1d-dilated-centred",
    build=build,
    claims=Claims(
        flops="2*b*k*l*n*d**2", parameters="k*l*d**2", time="k*l*n*d**2", memory="n*d", depth="l", hops="inf"
    ),
    source="Kalchbrenner et al. 2016, section 3",
    constraints="k % 2 == 1",
)
