"""Cosine attention of a single query: as the dot product, of vectors of length one.

    weights = softmax_i(cos(W_q x, W_k s_i))        no bias, no scale
    context = Σ_i weights_i W_v s_i

Scores lie between −1 and 1, so that no weight is more than e² times another.

Source: Graves et al., Neural Turing Machines (2014), section 3.3.1, with β = 1 and the projections of dot attention.
"""

from __future__ import annotations

from torch import nn

from attnbench.layers.attention.single_query import SingleQueryAttention, query_and_states
from attnbench.layers.base import Claims, Layer


def build(d: int) -> nn.Module:
    """Three projections without bias, scores of normalised queries and keys."""
    return SingleQueryAttention(d, "cosine")


LAYER = Layer(
    name="attention-cosine-query",
    build=build,
    inputs=query_and_states,
    claims=Claims(flops="4*b*n*d**2 + 2*b*d**2 + 4*b*n*d", parameters="3*d**2", time="n*d**2", depth="1", hops="1"),
    source="Graves et al. 2014, section 3.3.1, with projections",
)
