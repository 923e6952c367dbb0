"""One contract for every registered layer, installed plugins included."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attnbench.check.contract import checks_of, look
from attnbench.check.outcome import Mark
from attnbench.counting.trace import Way, trace
from attnbench.formula import Formula
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.trial import slug

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.trial import Sizes

REGISTRY = Registry()
LAYERS = [REGISTRY.get(name) for name in REGISTRY.names]


def each(layers: list[Layer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("layer", layers, ids=name_of)


def name_of(layer_or_check: Layer | str) -> str:
    return layer_or_check if isinstance(layer_or_check, str) else layer_or_check.name


every_layer = each(LAYERS)

#: Layer → work of one new position after n others, by its definition: no position but the new one is mapped again.
WORK_OF_A_STEP = {
    "attention-core": "4*b*(n + 1)*d",
    "attention-core-fused": "4*b*(n + 1)*d",
    "multi-head-attention": "8*b*d**2 + 4*b*(n + 1)*d",
    "multi-head-attention-causal": "8*b*d**2 + 4*b*(n + 1)*d",
    "attention-grouped-query": "4*b*d**2 + 4*b*d**2*g/h + 4*b*(n + 1)*d",
    "attention-multi-query": "4*b*d**2 + 4*b*d**2/h + 4*b*(n + 1)*d",
    "rnn": "4*b*d**2",
    "gru": "12*b*d**2",
    "lstm": "16*b*d**2",
    "sru": "6*b*d**2",
    "min-gru": "4*b*d**2",
    "state-space-diagonal": "4*b*m*d",
    "rg-lru": "4*b*d**2",
    "mamba-2": "12*b*d**2 + 4*b*d*m + 2*b*d*h + 4*b*m*d",
    "gated-delta-rule": "8*b*d**2 + 4*b*d*h + 4*b*d**2/h",
    "conv1d-causal": "2*b*k*d**2",
    "conv1d-gated": "4*b*k*d**2",
    "feed-forward": "16*b*d**2",
    "attention-rotary": "8*b*d**2 + 4*b*(n + 1)*d",
    "attention-alibi": "8*b*d**2 + 4*b*(n + 1)*d",
    "identity": "0",
    "attention-linear-causal": "12*b*d**2",
}


@pytest.mark.parametrize(
    ("layer", "check"), [(layer, check) for layer in LAYERS for check in checks_of(layer)], ids=name_of
)
def test_a_registered_layer_passes_every_check(layer: Layer, check: str) -> None:
    """The checks of ``attnbench check``; tests/check shows for each of them a layer that fails it."""
    wrong = [outcome for outcome in look(layer, check) if outcome.mark is Mark.FAILED]

    assert wrong == []


@every_layer
def test_a_layer_of_ours_leaves_no_input_position_out_and_counts_all_its_work(layer: Layer) -> None:
    hints = [outcome for check in ("gradients", "fake tensors") for outcome in look(layer, check)]

    assert {outcome.mark for outcome in hints} == {Mark.PASSED}


@pytest.mark.parametrize("sizes", [{"b": 3, "n": 15, "d": 7}, {"b": 1, "n": 64, "d": 12}], ids=slug)
@pytest.mark.parametrize("name", WORK_OF_A_STEP)
def test_decoding_does_the_work_of_one_position(name: str, sizes: Sizes) -> None:
    layer = REGISTRY.get(name)
    parts = {"h": sizes["d"], "g": 1, "c": 1}
    sizes = layer.complete(sizes | {axis: size for axis, size in parts.items() if axis in layer.axes})

    found = trace(layer, sizes, way=Way.DECODE)

    assert found.flops == Formula(WORK_OF_A_STEP[name]).evaluate(sizes)


def test_the_work_of_a_step_is_known_for_every_built_in_layer_that_decodes() -> None:
    assert set(WORK_OF_A_STEP) == {name for name in BUILT_IN if "decode" in REGISTRY.get(name).modes}


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
