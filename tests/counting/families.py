"""A few layers in which nearly every kernel of the catalogue occurs, forward and backward; each family has some.

What counting knows is proved of these; that a layer keeps its own promises is proved of every layer in
``tests/layers``.
"""

from __future__ import annotations

#: Name → what only few others have.
REPRESENTATIVES = {
    "multi-head-attention-causal": "fused attention with a mask",
    "attention-cosine": "norms and choices",
    "attention-logarithmic": "reads and writes at an index",
    "attention-restricted": "windows",
    "attention-strided": "triangles, and a length cut in lines",
    "attention-rotary": "halves that change places",
    "attention-linear-causal": "running sums in chunks",
    "fourier-mixing": "transforms in two dimensions",
    "token-mlp": "weights over positions",
    "gru": "steps of a recurrence",
    "lstm": "a recurrence of oneDNN",
    "min-gru": "a scan by doubling",
    "state-space-diagonal": "complex numbers and transforms in one",
    "conv1d-dilated-causal": "a stack of convolutions",
    "cbam": "pooling and extremes",
    "kernel-regression": "distances",
    "feed-forward": "products alone",
}
