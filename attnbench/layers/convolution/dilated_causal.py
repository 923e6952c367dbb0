"""Stack of l causal convolutions whose dilation grows k-fold from level to level.

    y = f_{l-1}(… f_1(f_0(x)))        f_i(x)_t = Σ_j W_ij x_{t − kⁱ·j}, j from 0 to k−1; x is 0 before the start

These are the kernels of the log_k(n) in the paper's Table 1: each output sees the last k^l inputs, each along one path,
so log_k(n) levels connect all pairs that a causal layer can. Nothing non-linear stands between the levels, since counts
and paths do not depend on it.

Source: Kalchbrenner et al., Neural Machine Translation in Linear Time (2016), section 3; Vaswani et al. (2017).
"""

from __future__ import annotations

from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.convolution.conv1d_causal import CausalConvolution


def build(d: int, k: int = 3, l: int = 3) -> nn.Module:  # noqa: E741  the axis is called l
    """`l` kernels of width `k` from `d` to `d` channels, with dilations 1, k, k² and so on."""
    return nn.Sequential(*(CausalConvolution(d, k, dilation=k**level) for level in range(l)))


LAYER = Layer(
    name="conv1d-dilated-causal",
    build=build,
    claims=Claims(
        flops="2*b*k*l*n*d**2", parameters="k*l*d**2", time="k*l*n*d**2", memory="n*d", depth="l", hops="log(n, k)"
    ),
    source="Kalchbrenner et al. 2016, section 3; Vaswani et al. 2017, section 4",
    constraints="k > 1",
    causal=True,
)
