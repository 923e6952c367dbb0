"""Causal multi-head self-attention: each position attends to itself and to those before it.

    q, k, v = x W_q, x W_k, x W_v        W_q, W_k, W_v, W_o are d × d, side by side in one product for q, k and v
    y = concat(softmax_{j ≤ i}(q_i k_iᵀ / √(d/h)) v_i  for i in 1 … h) W_o

Half of the scores are masked out. They are counted in the FLOPs all the same; a kernel may leave whole tiles of them
out, and then it takes up to half the time of ``multi-head-attention``.

Source: Vaswani et al., Attention Is All You Need (2017), section 3.2.3, the decoder's self-attention.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.base import Claims, Layer


class CausalMultiHeadAttention(MultiHeadAttention):
    """The projections of multi-head attention, around attention that does not look ahead."""

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        q, k, bias = self.position(q, k)
        m, n = q.shape[2], k.shape[2]  # a single query is the newest position: it may look at every key there is
        if bias is not None:
            bias = bias + torch.full_like(bias[0, 0], -torch.inf).triu(n - m + 1)
        causal = bias is None and m > 1
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=causal)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged


def build(d: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``."""
    return CausalMultiHeadAttention(d, h)


LAYER = Layer(
    name="multi-head-attention-causal",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Vaswani et al. 2017, section 3.2.3",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
    causal=True,
)
