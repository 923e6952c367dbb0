"""Multi-head self-attention under a block mask, by `flex_attention`: what its layers share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from attnbench.layers.attention.multi_head import MultiHeadAttention

#: ``(item, head, query, key)``, indices → whether the query attends to the key.
Visible = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class BlockMaskedAttention(MultiHeadAttention):
    """The projections of multi-head attention, around attention that passes over blocks without a visible pair.

    The mask of n positions is made here and not in a call. As long as it is not compiled, torch writes all scores out.
    """

    def __init__(self, d: int, h: int, n: int, c: int, visible: Visible) -> None:
        super().__init__(d, h)
        device = str(self.output.weight.device)
        self.mask = create_block_mask(visible, None, None, n, n, device=device, BLOCK_SIZE=c)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        mixed = flex_attention(q, k, v, block_mask=self.mask)  # (b, h, n, d/h)
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (b, n, d)
        return merged
