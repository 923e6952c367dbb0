"""The states of a linear recurrence at all positions, by a scan that halves the sequence.

    s_t = a_t ⊙ s_{t-1} + u_t        s_0 = 0

Neighbours are joined into one step, the states of the half as long sequence are those at every second position, and one
more step gives the states between them. That is 2·n element-wise work for a chain of 2·log₂ n, where a loop needs n for
a chain of n, and the scan by doubling of ``min-gru`` n·log₂ n for log₂ n.

Source: Blelloch, Prefix Sums and Their Applications (1990), section 1.4.
"""

from __future__ import annotations

import torch


def states(kept: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """s_1 … s_n along the second dimension, for factors a and summands u: ``(b, n, …)`` each, and so is the result."""
    n = added.shape[1]
    if n == 1:
        return added
    first, second, between = slice(0, n - n % 2, 2), slice(1, None, 2), slice(2, None, 2)
    joined = torch.addcmul(added[:, second], kept[:, second], added[:, first])  # (b, ⌊n/2⌋, …)
    seconds = states(kept[:, first] * kept[:, second], joined)
    step = torch.addcmul(added[:, between], kept[:, between], seconds[:, : (n - 1) // 2])
    firsts = torch.cat([added[:, :1], step], dim=1)  # (b, ⌈n/2⌉, …)
    pairs = torch.stack([firsts[:, : n // 2], seconds], dim=2).flatten(1, 2)
    return pairs if n % 2 == 0 else torch.cat([pairs, firsts[:, -1:]], dim=1)
