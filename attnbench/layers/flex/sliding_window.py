"""Sliding-window attention by `flex_attention`: blocks further back than w positions are not visited.

    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o        over keys up to w places before the query

Blocks are as long as the window: each but the first visits its own and the one before it, both whole. That is
4·w·(2n − w)·d, of which the window needs half.

Source: Jiang et al., Mistral 7B (2023), section 2; blocks: Dong et al., Flex Attention (2024), section 3.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.flex.masked import BlockMaskedAttention


def visible(item: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor, w: int) -> torch.Tensor:
    """No key after its query, and none further back than `w`."""
    return (query >= key) & (query - key <= w)


def build(d: int, n: int, h: int = 1, w: int = 128) -> nn.Module:
    """`h` heads of width ``d/h`` over `n` positions, each with the `w` before it."""
    return BlockMaskedAttention(d, h, n, w, partial(visible, w=w))


LAYER = Layer(
    name="flex-attention-sliding-window",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 4*b*w*(2*n - w)*d", parameters="4*d**2", time="n*d**2 + n*w*d", depth="1", hops="n/w"
    ),
    source="Jiang et al. 2023, section 2; Dong et al. 2024, section 3",
    constraints=("d % h == 0", "n % w == 0"),
    modes=("forward",),  # torch has no backward of flex_attention on a CPU
    causal=True,
)
