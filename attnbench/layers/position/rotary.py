"""Attention with rotary positions: queries and keys are turned the further, the later they stand.

    q_i, k_j → R(i) q_i, R(j) k_j        R(i) turns features 2m and 2m+1 of each head by i / 10000^(2m/c), c = d/h
    score_ij = q_iᵀ R(j − i) k_j / √c        the product depends on the distance alone

Then multi-head attention as usual. No matrix products are added, only element-wise work: 3 operations for each
feature of queries and keys. The last feature of a head of odd width is not turned.

Source: Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding (2021), section 3.2.
"""

from __future__ import annotations

import torch
from torch import nn

from attnbench.layers.attention.multi_head import MultiHeadAttention
from attnbench.layers.base import Claims, Layer
from attnbench.layers.joining import check_length
from attnbench.layers.position.sinusoidal import angles


class Rotary(nn.Module):
    """A `Position` for heads of `width` features and sequences of up to `max_len` positions."""

    cosines: torch.Tensor
    sines: torch.Tensor
    partners: torch.Tensor

    def __init__(self, width: int, max_len: int = 1000) -> None:
        super().__init__()
        feature, turns = torch.arange(width), angles(max_len, width).repeat_interleave(2, dim=1)[:, :width]
        partner = (feature ^ 1).clamp(max=width - 1)  # of every feature in its pair; the last of an odd width is alone
        sign = torch.where(partner == feature, 0, 2 * (feature % 2) - 1)
        cosines = torch.where(sign == 0, 1, turns.cos())
        for name, table in (("cosines", cosines), ("sines", sign * turns.sin())):
            self.register_buffer(name, table.to(torch.get_default_dtype()), persistent=False)  # (max_len, width)
        self.register_buffer("partners", partner, persistent=False)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Both turned, and no bias. Raises ValueError when there are more than `max_len` keys."""
        n = k.shape[-2]
        check_length(n, len(self.cosines))
        return self._turned(q, n - q.shape[-2], n), self._turned(k, 0, n), None

    def _turned(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        return x * self.cosines[start:stop] + x.index_select(-1, self.partners) * self.sines[start:stop]


def build(d: int, n: int, h: int = 1) -> nn.Module:
    """`h` heads of width ``d/h``, for contexts of `n` positions and one more."""
    return MultiHeadAttention(d, h, position=Rotary(d // h, max_len=n + 1))


LAYER = Layer(
    name="attention-rotary",
    build=build,
    claims=Claims(flops="8*b*n*d**2 + 4*b*n**2*d", parameters="4*d**2", time="n*d**2 + n**2*d", depth="1", hops="1"),
    source="Su et al. 2021, section 3.2",
    constraints="d % h == 0",
    modes=("forward", "train", "decode"),
)
