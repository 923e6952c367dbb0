"""Causal multi-head attention by `flex_attention`: blocks that lie in the future are not visited.

    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o        over keys up to the query

Of (n/c)² blocks of c × c pairs, (n/c)(n/c + 1)/2 are visited, those on the diagonal whole: half of 4·n²·d, and 2·c·n·d.

Source: Vaswani et al. (2017), section 3.2.3; blocks: Dong et al., Flex Attention (2024), section 3.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.flex.masked import BlockMaskedAttention


def visible(item: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """No key after its query."""
    return query >= key


def build(d: int, n: int, h: int = 1, c: int = 128) -> nn.Module:
    """`h` heads of width ``d/h`` over `n` positions in blocks of `c`."""
    return BlockMaskedAttention(d, h, n, c, visible)


LAYER = Layer(
    name="flex-attention-causal",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 2*b*n*(n + c)*d", parameters="4*d**2", time="n*d**2 + n**2*d + c*n*d", depth="1", hops="1"
    ),
    source="Vaswani et al. 2017, section 3.2.3; Dong et al. 2024, section 3",
    constraints=("d % h == 0", "n % c == 0"),
    modes=("forward",),  # torch has no backward of flex_attention on a CPU
    causal=True,
)
