"""One contract for every registered layer, installed plugins included."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from attnbench.count.trace import Way, trace
from attnbench.formula import Formula
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.trial import slug

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.trial import Sizes

REGISTRY = Registry()
LAYERS = [REGISTRY.get(name) for name in REGISTRY.names]


def each(layers: list[Layer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("layer", layers, ids=lambda layer: layer.name)


every_layer = each(LAYERS)
every_causal_layer = each([layer for layer in LAYERS if layer.causal])
every_decoding_layer = each([layer for layer in LAYERS if "decode" in layer.modes])
every_layer_that_claims_its_parameters = each([layer for layer in LAYERS if layer.claims.parameters])
every_layer_that_claims_its_work = each([layer for layer in LAYERS if layer.claims.flops])

#: Layer → work of one new position after n others, by its definition: no position but the new one is mapped again.
WORK_OF_A_STEP = {
    "attention-core": "4*b*(n + 1)*d",
    "attention-core-fused": "4*b*(n + 1)*d",
    "multi-head-attention": "8*b*d**2 + 4*b*(n + 1)*d",
    "rnn": "4*b*d**2",
    "gru": "12*b*d**2",
    "lstm": "16*b*d**2",
    "sru": "6*b*d**2",
    "min-gru": "4*b*d**2",
    "state-space-diagonal": "4*b*m*d",
    "conv1d-causal": "2*b*k*d**2",
    "conv1d-gated": "4*b*k*d**2",
    "feed-forward": "16*b*d**2",
    "identity": "0",
    "attention-linear-causal": "12*b*d**2",
}


def sizes_of(layer: Layer) -> Sizes:
    """An odd length, that blocks divide, and several batch items."""
    return layer.sizes({"b": 3, "n": 15, "d": 8} | ({"c": 5} if "c" in layer.axes else {}))


def built(layer: Layer, dtype: str = "float32") -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(7)
    return build_module(layer, sizes_of(layer), dtype=dtype), make_inputs(layer, sizes_of(layer), dtype=dtype)[0]


@every_layer
def test_the_output_has_the_shape_of_the_input_and_is_finite(layer: Layer) -> None:
    module, x = built(layer)

    y = module(x)

    assert y.shape == (3, 15, 8)
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

    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-12)  # a Fourier transform rounds
    assert not torch.allclose(before[:, 6:], after[:, 6:])


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


@every_layer_that_claims_its_work
@pytest.mark.parametrize("sizes", [{"b": 3, "n": 15, "d": 7}, {"b": 1, "n": 35, "d": 11}], ids=slug)
def test_the_claimed_work_is_what_is_executed(layer: Layer, sizes: Sizes) -> None:
    own = {"k": 5, "l": 2, "w": 3, "c": 5, "m": 4, "g": sizes["d"]}
    own = {axis: size for axis, size in own.items() if axis in layer.axes}
    sizes = layer.sizes(sizes | own)

    found = trace(layer, sizes)

    claimed = Formula(layer.claims.given["flops"]).evaluate(sizes)
    assert found.flops == (pytest.approx(claimed, rel=1e-12) if isinstance(claimed, float) else claimed)
    assert found.uncounted == ()


@every_decoding_layer
@pytest.mark.parametrize("known", [1, 14])
def test_decoding_gives_the_last_output_of_the_sequence_so_far(layer: Layer, known: int) -> None:
    module, x = built(layer, "float64")
    state = module.prefill(x[:, :known])

    for position in range(known, x.shape[1]):
        output, state = module.step(x[:, position : position + 1], state)

        if not layer.broken_constraint({**sizes_of(layer), "n": position + 1}):
            torch.testing.assert_close(output, module(x[:, : position + 1])[:, -1:])


@pytest.mark.parametrize("sizes", [{"b": 3, "n": 15, "d": 7}, {"b": 1, "n": 64, "d": 12}], ids=slug)
@pytest.mark.parametrize("name", WORK_OF_A_STEP)
def test_decoding_does_the_work_of_one_position(name: str, sizes: Sizes) -> None:
    layer = REGISTRY.get(name)
    sizes = layer.sizes(sizes | ({"c": 1} if "c" in layer.axes else {}))

    found = trace(layer, sizes, way=Way.DECODE)

    assert found.flops == Formula(WORK_OF_A_STEP[name]).evaluate(sizes)


def test_the_work_of_a_step_is_known_for_every_built_in_layer_that_decodes() -> None:
    assert list(WORK_OF_A_STEP) == [name for name in BUILT_IN if "decode" in REGISTRY.get(name).modes]


@every_layer
def test_the_claims_have_a_value_at_the_default_sizes(layer: Layer) -> None:
    values = {metric: Formula(text).evaluate(layer.sizes({})) for metric, text in layer.claims.given.items()}

    nothing = {metric for metric, value in values.items() if value == 0}
    assert all(value >= 0 for value in values.values())
    assert nothing <= ({"parameters"} if layer.name != "identity" else set(values) - {"hops"})


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

    assert len(lines) <= 70
    assert max(map(len, lines)) <= 120
