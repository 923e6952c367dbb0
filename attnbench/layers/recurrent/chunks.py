"""Decays that the input chooses, and sequences cut in chunks: what is left within one, and the state between them."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad, softplus


class Decay(nn.Module):
    """Time steps Δ = softplus(x + bias) of `h` heads, and the logarithms −Δ·rate of the decays that they make."""

    def __init__(self, h: int) -> None:
        super().__init__()
        self.log_rate = nn.Parameter(torch.empty(h).uniform_(1, 16).log())
        self.bias = nn.Parameter(torch.empty(h).uniform_(1e-3, 1e-1).expm1().log())  # softplus gives the step

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(…, h)`` → steps and log decays, ``(…, h)`` each."""
        steps = softplus(x + self.bias)
        return steps, -steps * self.log_rate.exp()


def cut(part: torch.Tensor, c: int) -> torch.Tensor:
    """``(b, n, …) → (b, ⌈n/c⌉, c, …)``: chunks of c positions, the last one filled up with zeros."""
    whole = pad(part, (0, 0) * (part.ndim - 2) + (0, -part.shape[1] % c))
    return whole.reshape(len(part), -1, c, *part.shape[2:])


def left_over(since: torch.Tensor) -> torch.Tensor:
    """``(…, c) → (…, c, c)``: the share that is left at position i of what came in at j; 0 for j after i.

    `since` holds the logarithm of what is left at each position of the state before the chunk. Later positions are
    hidden before the exponential, which would be infinite there under strong decay, and its gradient no number.
    """
    later = torch.ones(since.shape[-1], since.shape[-1], dtype=torch.bool, device=since.device).triu(1)
    return (since[..., :, None] - since[..., None, :]).masked_fill(later, -math.inf).exp()


def hand_on(kept: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """The state after each chunk, ``(b, n/c, …)``, from its decay and what it adds: a loop over chunks."""
    state, states = torch.zeros_like(added[:, 0]), []
    for factor, new in zip(kept.unbind(1), added.unbind(1), strict=True):
        state = torch.addcmul(new, factor, state)
        states.append(state)
    return torch.stack(states, dim=1)
