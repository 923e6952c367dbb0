"""One contract for every registered layer, installed plugins included."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from attnbench.formula import Formula
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.trial import Sizes

REGISTRY = Registry()
LAYERS = [REGISTRY.get(name) for name in REGISTRY.names]


def each(layers: list[Layer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("layer", layers, ids=lambda layer: layer.name)


every_layer = each(LAYERS)
every_causal_layer = each([layer for layer in LAYERS if layer.causal])
every_layer_that_claims_its_parameters = each([layer for layer in LAYERS if layer.claims.parameters])


def sizes_of(layer: Layer) -> Sizes:
    """An odd length and several batch items."""
    return layer.sizes({"b": 3, "n": 11, "d": 8})


def built(layer: Layer, dtype: str = "float32") -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(7)
    return build_module(layer, sizes_of(layer), dtype=dtype), make_inputs(layer, sizes_of(layer), dtype=dtype)[0]


@every_layer
def test_the_output_has_the_shape_of_the_input_and_is_finite(layer: Layer) -> None:
    module, x = built(layer)

    y = module(x)

    assert y.shape == (3, 11, 8)
    assert y.dtype == x.dtype
    assert torch.isfinite(y).all()


@every_layer
def test_the_same_input_gives_the_same_output(layer: Layer) -> None:
    module, x = built(layer)

    assert torch.equal(module(x), module(x))


@every_layer
def test_batch_items_do_not_touch_each_other(layer: Layer) -> None:
    module, x = built(layer, "float64")

    alone = torch.cat([module(item) for item in x.split(1)])

    torch.testing.assert_close(module(x), alone)


@every_causal_layer
def test_a_causal_layer_does_not_look_ahead(layer: Layer) -> None:
    module, x = built(layer, "float64")
    changed = x.clone()
    changed[:, 6:] += 1

    before, after = module(x), module(changed)

    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


@every_layer
def test_every_input_position_gets_a_gradient(layer: Layer) -> None:
    module, x = built(layer, "float64")
    x.requires_grad_()

    module(x).square().sum().backward()

    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum(dim=-1) > 0).all()


@every_layer_that_claims_its_parameters
def test_the_claimed_parameters_are_the_modules(layer: Layer) -> None:
    module, _ = built(layer)

    claimed = Formula(layer.claims.given["parameters"]).evaluate(sizes_of(layer))

    assert claimed == sum(weight.numel() for weight in module.parameters())


@every_layer
def test_the_claims_have_a_value_at_the_default_sizes(layer: Layer) -> None:
    values = {metric: Formula(text).evaluate(layer.sizes({})) for metric, text in layer.claims.given.items()}

    assert all(value > 0 for metric, value in values.items() if metric != "parameters")


@every_layer
def test_a_layer_travels_to_another_process_by_reference(layer: Layer) -> None:
    assert pickle.loads(pickle.dumps(layer)) == layer  # noqa: S301  our own bytes
    assert pickle.loads(pickle.dumps(layer.build)) is layer.build  # noqa: S301


@every_layer
def test_a_layer_says_in_one_line_what_it_is_and_where_it_comes_from(layer: Layer) -> None:
    summary = REGISTRY.summary(layer.name)

    assert summary.endswith(".")
    assert 0 < len(summary) <= 100
    assert layer.source


@every_layer
def test_a_layer_fits_on_one_screen(layer: Layer) -> None:
    lines = Path(inspect.getfile(layer.build)).read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120
