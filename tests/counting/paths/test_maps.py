"""Dependency maps against distances in graphs that are drawn by hand, one edge for each step between two positions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import nn

from attnbench.counting.paths.hops import hops_at, path_map
from attnbench.counting.paths.maps import path_map_of
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from tests.counting.families import REPRESENTATIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

REGISTRY = Registry()
N = 32
FURTHER = np.arange(N)[:, None] - np.arange(N)  # [output, input]: how much later the output is


def fewest_steps(edges: Any) -> NDArray[np.float64]:
    """The first power of the graph that connects two positions; inf where none does."""
    adjacent = np.array(edges, dtype=bool)
    distance, reached = np.full((N, N), math.inf), np.eye(N, dtype=bool)
    for step in range(1, N):
        reached = (adjacent.astype(int) @ reached.astype(int)) > 0
        distance[reached & np.isinf(distance)] = step
    return distance


def levels(base: int) -> Any:
    """Layers of a causal stack with dilations 1, base, base² … until the reach is as far as the output is later."""
    heights = np.array([[math.ceil(round(math.log(max(far, 0) + 1, base), 9)) for far in row] for row in FURTHER])
    return np.where(FURTHER < 0, math.inf, heights)


CASES: dict[str, Callable[[], Any]] = {
    "attention-core": lambda: fewest_steps(np.ones((N, N))),
    "multi-head-attention": lambda: fewest_steps(np.ones((N, N))),
    "multi-head-attention-causal": lambda: fewest_steps(FURTHER >= 0),
    "attention-linear-causal": lambda: fewest_steps(FURTHER >= 0),
    "attention-restricted": lambda: fewest_steps(abs(FURTHER) <= 4),
    "attention-block-diagonal": lambda: fewest_steps(np.kron(np.eye(4), np.ones((8, 8)))),
    "rnn": lambda: fewest_steps(FURTHER == 1),
    "gru": lambda: fewest_steps(FURTHER == 1),
    "lstm": lambda: fewest_steps(FURTHER == 1),
    "sru": lambda: fewest_steps(FURTHER == 1),
    "rnn-bidirectional": lambda: fewest_steps(abs(FURTHER) == 1),
    "conv1d": lambda: fewest_steps(abs(FURTHER) <= 1),
    "conv1d-causal": lambda: fewest_steps((FURTHER >= 0) & (FURTHER <= 2)),
    "conv1d-dilated-causal": lambda: levels(3),
    "feed-forward": lambda: fewest_steps(np.eye(N)),
}
OTHERS = ~np.eye(N, dtype=bool)


def kept(name: str) -> NDArray[np.float64]:
    rows = path_map_of(REGISTRY.get(name)).rows
    return np.array([[float(hops) for hops in row.split()] for row in rows])


@pytest.mark.parametrize("name", CASES)
def test_every_path_is_as_long_as_the_shortest_in_a_graph_drawn_by_hand(name: str) -> None:
    found, expected = kept(name), CASES[name]()

    assert found.shape == (N, N)
    np.testing.assert_array_equal(found[OTHERS], expected[OTHERS])


@pytest.mark.parametrize(
    ("name", "hops"), [("rnn", 0), ("rnn-bidirectional", 0), ("feed-forward", 0), ("conv1d", 1), ("attention-core", 1)]
)
def test_a_position_goes_through_a_layer_that_mixes_to_arrive_where_it_is(name: str, hops: int) -> None:
    assert set(np.diag(kept(name))) == {hops}


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_the_longest_path_on_the_map_is_the_maximum_path_length(name: str) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.complete({"b": 1, "n": 6, "d": 4, **({"c": 3} if "c" in layer.axes else {})})
    hops, found = hops_at(layer, sizes), path_map(layer, sizes)

    one_way = {"both": np.ones((6, 6)), "left to right": np.tri(6, k=-1), "right to left": np.tri(6, k=-1).T}
    possible = one_way[hops.direction].astype(bool) & ~np.eye(6, dtype=bool)
    assert found[possible].max() == hops.io


def test_a_layer_that_refuses_the_common_length_says_so() -> None:
    refused = path_map_of(Layer("odd", lambda: nn.Identity(), constraints="n % 5 == 0"))

    assert refused.rows == []
    assert "needs n % 5 == 0, which b=1, n=32" in refused.refused
