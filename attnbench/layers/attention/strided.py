"""Strided sparse attention, causal: the last c positions, and before them every c-th one.

    y_i = Σ_j softmax_j(x_i · x_j / √d) x_j        over 0 ≤ i − j < c, and over i − j = c, 2c, 3c, … within the sequence

One softmax over the union of a window and a column: a column reaches to within c of any earlier position, a window does
the rest. With c = √n the whole takes n·√n·d. Keys beyond the sequence or the query have a score of −∞; products with
them are counted. Positions come before batch items in memory, so that windows and columns are strided views.

Source: Child et al., Generating Long Sequences with Sparse Transformers (2019), section 4.3, the strided pattern.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad

from attnbench.layers.base import Claims, Layer


class StridedAttention(nn.Module):
    """Every position attends to a window and to a column; query, key and value are the input itself."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.c = c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(b, n, d) → (b, n, d)``."""
        b, n, d = x.shape
        c, r = self.c, n // self.c
        padded = pad(x.transpose(0, 1), (0, 0, 0, 0, c - 1, 0))  # (c-1+n, b, d)
        windows = padded.unfold(0, c, 1).flatten(0, 1)  # (n·b, d, c), a view
        columns = padded[c - 1 :].view(r, c * b, d).transpose(0, 1)  # (c·b, r, d), a view
        queries = padded[c - 1 :] / math.sqrt(d)  # (n, b, d)

        beyond = pad(x.new_zeros(n), (c - 1, 0), value=-math.inf).unfold(0, c, 1)  # (n, c), a view
        near = (queries.view(n * b, 1, d) @ windows).view(n, b, c) + beyond[:, None]
        far = queries.view(r, c * b, d).transpose(0, 1) @ columns.transpose(1, 2)  # (c·b, r, r)
        earlier = (far + far.new_full((r, r), -math.inf).triu()).transpose(0, 1).reshape(n, b, r)
        weights = torch.cat([near, earlier], dim=-1).softmax(dim=-1)  # (n, b, c + r)

        of_window = weights[..., :c].reshape(n * b, 1, c) @ windows.transpose(1, 2)  # (n·b, 1, d)
        of_column = weights[..., c:].reshape(r, c * b, r).transpose(0, 1) @ columns  # (c·b, r, d)
        return (of_window.view(n, b, d) + of_column.transpose(0, 1).reshape(n, b, d)).transpose(0, 1)


def build(d: int, c: int = 16) -> nn.Module:
    """Windows of `c` positions and a stride of `c`."""
    return StridedAttention(c)


LAYER = Layer(
    name="attention-strided",
    build=build,
    scope="core",
    claims=Claims(flops="4*b*n*c*d + 4*b*n**2*d/c", parameters="0", time="n*c*d + n**2*d/c", depth="1", hops="1"),
    source="Child et al. 2019, section 4.3",
    constraints=("n % c == 0", "c > 1", "n > c"),
    causal=True,
)
