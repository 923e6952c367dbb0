"""The gated delta rule in chunks: corrections within a chunk by a triangular system, a state between chunks.

    S_t = α_t (I − β_t k_tᵀ k_t) S_{t-1} + β_t k_tᵀ v_t;    y_t = q_t S_t        S_0 = 0

With γ_i the product of α up to position i of a chunk and S the state before it, position i writes row i of U in

    (I + tril(β (K Kᵀ) ⊙ decays, −1)) U = β (V − γ K S)

and the system is solved for V and for K before any state is known.

Source: Yang et al., Gated Delta Networks: Improving Mamba2 with Delta Rule (2025), section 3.3.
"""

from __future__ import annotations

import torch
from torch.linalg import solve_triangular

from attnbench.layers.recurrent.chunks import cut, left_over


def correct(*parts: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All y, ``(b, n, h, p)``, and the state after the last position, ``(b, h, p, p)``.

    Args:
        *parts: q, k, v, ``(b, n, h, p)``; log α and β, ``(b, n, h, 1)``.
        length: positions in a chunk.
    """
    n = parts[0].shape[1]
    in_chunks = (cut(part, length).permute(1, 0, 3, 2, 4).contiguous() for part in parts)
    q, k, v, log_kept, strength = in_chunks  # (chunks, b, h, length, p or 1)
    since = log_kept.cumsum(dim=-2)
    decays = left_over(since.squeeze(-1))  # (chunks, b, h, length, length)
    own, of_state = _solved(k, v, strength, since, decays)
    entering, kept = k * (since[..., -1:, :] - since).exp(), since[..., -1:, :].exp()
    state = k.new_zeros(*k.shape[1:3], k.shape[-1], v.shape[-1])
    before, written = [], []
    for i in range(len(k)):
        before.append(state)
        written.append(own[i] - of_state[i] @ state)  # (b, h, length, p)
        state = torch.addcmul(entering[i].mT @ written[i], kept[i], state)
    mixed = (q * since.exp()) @ torch.stack(before) + (q @ k.mT * decays) @ torch.stack(written)
    return mixed.permute(1, 0, 3, 2, 4).flatten(1, 2)[:, :n], state


def _solved(
    k: torch.Tensor, v: torch.Tensor, strength: torch.Tensor, since: torch.Tensor, decays: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What each position writes if the state before the chunk is 0, and the key by which it reads that state."""
    system = (strength * k) @ k.mT * decays  # its diagonal is taken for ones, and what is above it for zeros
    asked = torch.cat([strength * v, strength * since.exp() * k], dim=-1)
    solved: torch.Tensor = solve_triangular(system, asked, upper=False, unitriangular=True)
    return solved.chunk(2, dim=-1)
