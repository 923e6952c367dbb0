"""Modules that are built where shapes have no numbers, and those that can only be built where they have."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from attnbench.counting.trace import Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer

SIZES = {"b": 2, "n": 6, "d": 8}


def clones(d: int) -> nn.Module:
    one = nn.Linear(d, d)
    return nn.Sequential(one, copy.deepcopy(one), copy.deepcopy(one))


def shared(d: int) -> nn.Module:
    one = nn.Linear(d, int(torch.linspace(d, d, 1).item()))
    return nn.Sequential(one, one)


class Scheduled(nn.Module):
    """Stochastic depth as vision models have it: rates that are read while building."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.rates = torch.linspace(0, 0.1, 3).tolist()
        self.mask = torch.tril(torch.ones(4, 4))  # neither a weight nor a buffer
        self.dense = nn.Linear(d, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x) * self.rates[1] + self.mask.sum()


def truncated(d: int) -> nn.Module:
    """`trunc_normal_` draws again until every number fits, which it asks them."""
    dense = nn.Linear(d, d)
    nn.init.trunc_normal_(dense.weight)
    return dense


@pytest.mark.parametrize(
    ("build", "flops", "parameters"),
    [
        (clones, 3 * 2 * 12 * 64, 3 * 72),
        (shared, 2 * 2 * 12 * 64, 72),
        (Scheduled, 2 * 12 * 64, 72),
        (truncated, 2 * 12 * 64, 72),
        (lambda d: copy.deepcopy(nn.Sequential(nn.LayerNorm(d), nn.BatchNorm1d(6), nn.Linear(d, d))), 1536, 100),
    ],
)
@pytest.mark.parametrize("way", [Way.OPENED, Way.KEPT])
def test_copies_and_numbers_that_are_read_while_building_do_not_matter(
    build: object, flops: int, parameters: int, way: Way
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trace(Layer("x", lambda d: build(d)), SIZES, way=way)  # type: ignore[operator]

    assert (found.flops, found.parameters) == (flops, parameters)


def test_a_stack_of_encoder_layers_is_counted() -> None:
    """By hand, for each of two layers: 8·rows·d² of projections, 4bn²d of attention, 4·rows·d·f of dense layers."""
    layer = Layer("x", lambda d: nn.TransformerEncoder(nn.TransformerEncoderLayer(d, 2, 16, batch_first=True), 2))

    assert trace(layer, SIZES).flops == 2 * (8 * 12 * 64 + 4 * 2 * 36 * 8 + 4 * 12 * 8 * 16)


def test_what_cannot_be_built_at_all_says_so_in_its_own_words() -> None:
    with pytest.raises(
        LayerError, match="cannot be built at b=2, n=6, d=8: RuntimeError: Trying to create tensor with"
    ):
        trace(Layer("x", lambda d: nn.Linear(d, -1)), SIZES)
