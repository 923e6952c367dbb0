"""Every layer computes what its definition says, at several sizes, in float64, against `tests.oracles`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.trial import slug
from tests.oracles import ORACLES, table1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet

    from attnbench.trial import Sizes

#: Odd and even lengths, one position alone, kernels and windows wider than the sequence, one head, level or block and
#: several. A layer is called at the sizes of its axes that its constraints allow.
SIZES: dict[str, tuple[Sizes, ...]] = {
    "": ({"b": 1, "n": 1, "d": 4}, {"b": 3, "n": 7, "d": 6}, {"b": 2, "n": 12, "d": 5}),
    "h": ({"b": 1, "n": 9, "d": 6, "h": 1}, {"b": 2, "n": 5, "d": 6, "h": 3}, {"b": 3, "n": 8, "d": 4, "h": 4}),
    "k": ({"b": 2, "n": 6, "d": 3, "k": 1}, {"b": 1, "n": 11, "d": 4, "k": 5}, {"b": 2, "n": 3, "d": 2, "k": 9}),
    "l": (
        {"b": 2, "n": 6, "d": 3, "l": 1},
        {"b": 1, "n": 29, "d": 2, "l": 4},
        {"b": 2, "n": 5, "d": 2, "k": 5, "l": 2},
    ),
    "m": ({"b": 2, "n": 6, "d": 4, "m": 1}, {"b": 1, "n": 11, "d": 8, "m": 5}, {"b": 3, "n": 5, "d": 4, "m": 12}),
    "w": (
        {"b": 2, "n": 13, "d": 3, "w": 1},
        {"b": 3, "n": 8, "d": 5, "w": 3},
        {"b": 1, "n": 4, "d": 2, "w": 9},
        {"b": 2, "n": 12, "d": 4, "w": 4},
        {"b": 1, "n": 6, "d": 2, "w": 6},
    ),
    "c": (
        {"b": 2, "n": 7, "d": 3, "c": 1},
        {"b": 3, "n": 12, "d": 5, "c": 4},
        {"b": 1, "n": 9, "d": 2, "c": 9},
        {"b": 2, "n": 6, "d": 3, "c": 2},
        {"b": 1, "n": 35, "d": 2, "c": 5},
    ),
    "g": (
        {"b": 2, "n": 5, "d": 8, "h": 4, "g": 2},
        {"b": 1, "n": 7, "d": 6, "h": 6, "g": 3},
        {"b": 3, "n": 4, "d": 4, "h": 2, "g": 1},
        {"b": 2, "n": 6, "d": 3, "g": 1},
        {"b": 1, "n": 11, "d": 6, "g": 2},
        {"b": 2, "n": 7, "d": 5, "g": 5},
    ),
    "s": ({"b": 2, "n": 13, "d": 3, "w": 2, "s": 3}, {"b": 3, "n": 8, "d": 5, "w": 1, "s": 7}),
}

# Four words, and the projections of each to query, key and value: a worked example whose numbers were published.
WORDS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float64)
TO_QUERY = np.array([[2, 0, 2], [2, 0, 0], [2, 1, 2]], dtype=np.float64)
TO_KEY = np.array([[2, 2, 2], [0, 2, 1], [0, 1, 1]], dtype=np.float64)
TO_VALUE = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float64)
GOLDEN_WEIGHTS = [
    [0.236089863, 0.00738987555, 0.749130386, 0.00738987555],
    [0.454826323, 0.0451736775, 0.454826323, 0.0451736775],
    [0.239275049, 0.000743870015, 0.759237211, 0.000743870015],
    [0.0899501754, 0.00281554063, 0.905653685, 0.00158059922],
]
GOLDEN_OUTPUT = [
    [0.98522025, 1.74174051, 0.75652026],
    [0.90965265, 1.40965265, 0.5],
    [0.99851226, 1.75849334, 0.75998108],
    [0.99560386, 1.90407309, 0.90846923],
]


def cases() -> Iterator[ParameterSet]:
    for name in BUILT_IN:
        layer = Registry().get(name)
        defaults = {axis: default for axis, default in layer.axes.items() if default}
        for axis in SIZES:
            for sizes in SIZES[axis] if not axis or axis in layer.axes else ():
                if sizes.keys() <= layer.axes.keys() and not layer.broken_constraint(defaults | sizes):
                    yield pytest.param(name, sizes, id=f"{name}-{slug(sizes)}")


CASES = list(cases())


@pytest.mark.parametrize(("name", "sizes"), CASES)
def test_a_layer_computes_its_definition(name: str, sizes: Sizes) -> None:
    torch.manual_seed(20)
    layer = Registry().get(name)
    sizes = layer.complete(sizes)
    module = build_module(layer, sizes, dtype="float64")
    inputs = make_inputs(layer, sizes, dtype="float64")
    weights = {key: value.numpy() for key, value in module.state_dict().items()}
    own_axes = {axis: size for axis, size in sizes.items() if axis not in ("b", "n", "d")}

    items = zip(*(each.numpy() for each in inputs), strict=True)
    results = [tree_leaves(ORACLES[name](*item, weights, **own_axes)) for item in items]

    with torch.no_grad():
        outputs = tree_leaves(module(*inputs))
    for found, expected in zip(outputs, zip(*results, strict=True), strict=True):
        np.testing.assert_allclose(found.numpy(), np.stack(expected), rtol=1e-9, atol=1e-12)


def test_every_built_in_layer_has_an_oracle() -> None:
    assert set(ORACLES) == set(BUILT_IN)
    assert min(Counter(case.values[0] for case in CASES)[name] for name in BUILT_IN) >= 3


def test_the_attention_oracle_reproduces_the_golden_numbers() -> None:
    queries, keys, values = WORDS @ TO_QUERY, WORDS @ TO_KEY, WORDS @ TO_VALUE

    np.testing.assert_array_equal(queries @ keys.T, [[8, 2, 10, 2], [4, 0, 4, 0], [12, 2, 14, 2], [10, 4, 14, 3]])
    np.testing.assert_allclose(table1.attention_weights(queries, keys), GOLDEN_WEIGHTS, rtol=5e-9)
    np.testing.assert_allclose(table1.attention(queries, keys, values), GOLDEN_OUTPUT, rtol=0, atol=5e-9)


def test_multi_head_attention_with_the_golden_projections_gives_the_golden_output() -> None:
    layer = Registry().get("multi-head-attention")
    module = build_module(layer, layer.complete({"d": 3}), dtype="float64")
    projections = np.concatenate([TO_QUERY.T, TO_KEY.T, TO_VALUE.T])
    module.load_state_dict({"project.weight": torch.tensor(projections), "output.weight": torch.eye(3)})

    output = module(torch.tensor(WORDS)[None])

    np.testing.assert_allclose(output[0].detach().numpy(), GOLDEN_OUTPUT, rtol=0, atol=5e-9)
