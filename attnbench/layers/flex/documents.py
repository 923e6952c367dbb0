"""Causal attention within documents by `flex_attention`: blocks between documents are not visited.

    y = concat(softmax(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o        over keys of its document up to the query

Documents of r positions each lie one after the other in a sequence. Of the blocks of c × c pairs, (r/c)(r/c + 1)/2 are
visited in each of n/r documents. No stack of these layers carries anything from one document to another.

Source: Dong et al., Flex Attention: A Programming Model for Generating Optimized Attention Kernels (2024), section 3.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from attnbench.layers.base import Claims, Layer
from attnbench.layers.flex.masked import BlockMaskedAttention


def visible(item: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor, r: int) -> torch.Tensor:
    """No key after its query, and none of another document."""
    return (query >= key) & (query // r == key // r)


def build(d: int, n: int, h: int = 1, r: int = 128, c: int = 128) -> nn.Module:
    """`h` heads of width ``d/h`` over `n` positions in blocks of `c`, in documents of `r`."""
    return BlockMaskedAttention(d, h, n, c, partial(visible, r=r))


LAYER = Layer(
    name="flex-attention-documents",
    build=build,
    claims=Claims(
        flops="8*b*n*d**2 + 2*b*n*(r + c)*d", parameters="4*d**2", time="n*d**2 + n*r*d + n*c*d", depth="1", hops="inf"
    ),
    source="Dong et al. 2024, section 3",
    constraints=("d % h == 0", "r % c == 0", "n % r == 0"),
    modes=("forward",),  # torch has no backward of flex_attention on a CPU
    causal=True,
)
