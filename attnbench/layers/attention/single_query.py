"""The module behind the layers of a single query, which looks over the states of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from attnbench.errors import near_miss

SCORINGS = ("dot", "cosine")


class SingleQueryAttention(nn.Module):
    """One query meets n keys, after projections without bias; scores have no scale.

    Args:
        d: hidden size.
        scoring: ``dot``, the product of query and key, or ``cosine``, the product of both at length 1.

    Raises:
        ValueError: the scoring is neither.
    """

    def __init__(self, d: int, scoring: str) -> None:
        super().__init__()
        if scoring not in SCORINGS:
            hint = near_miss(scoring, SCORINGS) or f" Known: {', '.join(SCORINGS)}."
            raise ValueError(f"unknown scoring {scoring!r}.{hint}")
        self.scoring = scoring
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """``(b, d), (b, n, d), (b, n, d) → context (b, 1, d), weights (b, 1, n)``."""
        q, k = self.query(query)[:, None], self.key(keys)  # (b, 1, d), (b, n, d)
        if self.scoring == "cosine":
            q, k = normalize(q, dim=-1), normalize(k, dim=-1)
        weights = (q @ k.transpose(1, 2)).softmax(dim=-1)  # (b, 1, n)
        return weights @ self.value(values), weights


def query_and_states(b: int, n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """A decoder's query, and the states of an encoder as keys and as values."""
    states = torch.randn(b, n, d)
    return torch.randn(b, d), states, states.clone()
