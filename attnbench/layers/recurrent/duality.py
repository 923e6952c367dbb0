"""Structured state space duality: a recurrence with one decay a head, computed as masked products of chunks.

    S_t = a_t S_{t-1} + B_tᵀ x_t;    y_t = C_t S_t        S_0 = 0

Within a chunk, ((C Bᵀ) ⊙ decays) x over all pairs, half of them masked; what came before arrives by the state.

Source: Dao & Gu, Transformers are SSMs: Generalized Models and Efficient Algorithms (2024), section 6.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from attnbench.layers.recurrent.chunks import cut, hand_on, left_over


def mix(*parts: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All y, ``(batch, n, h, p)``, and the state after the last position, ``(batch, m, h, p)``.

    Args:
        *parts: x, ``(batch, n, h, p)``, h heads of width p; log a, ``(batch, n, h)``; B and C, ``(batch, n, m)``.
        length: positions in a chunk.
    """
    x, log_kept, b, c = (cut(part, length) for part in parts)  # (batch, chunks, length, …)
    since = log_kept.cumsum(dim=2)  # (batch, chunks, length, h)
    weights = (c @ b.mT)[:, :, None] * left_over(since.transpose(2, 3))  # (batch, chunks, h, length, length)
    within = (weights @ x.transpose(2, 3)).transpose(2, 3)  # (batch, chunks, length, h, p)
    until_end = (since[:, :, -1:] - since).exp()[..., None]
    news = (b.mT @ (x * until_end).flatten(3)).reshape(*b.shape[:2], -1, *x.shape[3:])  # (batch, chunks, m, h, p)
    states = hand_on(since[:, :, -1, None, :, None].exp(), news)
    before = pad(states[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))  # 0 at first
    across = (c @ before.flatten(3)).view_as(x)
    return torch.addcmul(within, since.exp()[..., None], across).flatten(1, 2)[:, : parts[0].shape[1]], states[:, -1]
