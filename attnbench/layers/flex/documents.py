"""Causal attention within documents by `flex_attention`: blocks between documents are not visited.

    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o        over keys of its document up to the query

Documents of c positions lie one after the other in a sequence, each in one block: 4·c·n·d. No stack of these layers
carries anything from one document to another.

Source: Dong et al., Flex Attention: A Programming Model for Generating Optimized Attention Kernels (2024), section 3.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.flex.masked import BlockMaskedAttention


def visible(item: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor, c: int) -> torch.Tensor:
    """No key after its query, and none of another document."""
    return (query >= key) & (query // c == key // c)


def build(d: int, n: int, h: int = 1, c: int = 128) -> nn.Module:
    """`h` heads of width ``d/h`` over `n` positions, in documents of `c`."""
    return BlockMaskedAttention(d, h, n, c, partial(visible, c=c))


LAYER = Layer(
    name="flex-attention-documents",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*c*n*d", parameters="4*d**2", time="n*d**2 + c*n*d", depth="1", hops="inf"),
    source="Dong et al. 2024, section 3",
    constraints=("d % h == 0", "n % c == 0"),
    modes=("forward",),  # torch has no backward of flex_attention on a CPU
    causal=True,
)
