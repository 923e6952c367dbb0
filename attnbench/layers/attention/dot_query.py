"""Dot-product attention of a single query: one decoder state looks over n encoder states.

    weights = softmax_i(W_q x · W_k s_i)        no bias, no scale
    context = Σ_i weights_i W_v s_i

One query costs n·d beside the 2·n·d² of projecting keys and values: the projections are the law.

Source: Luong et al., Effective Approaches to Attention-based Neural Machine Translation (2015), section 3.1, score dot,
with the projections of Vaswani et al. (2017), section 3.2.2.
"""

from __future__ import annotations

from torch import nn

from attnbench.layers.attention.single_query import SingleQueryAttention, query_and_states
from attnbench.layers.base import Claims, Layer


def build(d: int) -> nn.Module:
    """Three projections without bias, scores without a scale."""
    return SingleQueryAttention(d, "dot")


LAYER = Layer(
    name="attention-dot-query",
    build=build,
    inputs=query_and_states,
    claims=Claims(flops="4*b*n*d**2 + 2*b*d**2 + 4*b*n*d", parameters="3*d**2", time="n*d**2", depth="1", hops="1"),
    source="Luong et al. 2015, section 3.1, with projections",
)
