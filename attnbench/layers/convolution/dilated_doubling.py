"""Stack of l causal convolutions whose dilation doubles from level to level.

    y = f_{l-1}(… f_1(f_0(x)))        f_i(x)_t = Σ_j W_ij x_{t − 2ⁱ·j}, j from 0 to k−1; x is 0 before the start

The stack reaches (k−1)·(2^l − 1) positions back. Nothing non-linear stands between the levels, since
counts and paths do not depend on it.

Source: van den Oord et al., WaveNet (2016), section 2.1.
"""

from __future__ import annotations

from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.convolution.conv1d_causal import CausalConvolution


def build(d: int, k: int = 2, l: int = 3) -> nn.Module:  # noqa: E741  the axis is called l
    """`l` kernels of width `k` from `d` to `d` channels, with dilations 1, 2, 4 and so on."""
    return nn.Sequential(*(CausalConvolution(d, k, dilation=2**level) for level in range(l)))


LAYER = Layer(
    name="conv1d-dilated-doubling",
    build=build,
    claims=Claims(
        flops="2*b*k*l*n*d**2", parameters="k*l*d**2", time="k*l*n*d**2", memory="n*d", depth="l", hops="log2(n/k)"
    ),
    source="van den Oord et al. 2016, section 2.1",
    constraints="k > 1",
    causal=True,
)
