"""Table 1 as this tool measures it: one run of the suite, and every row held against what was worked out by hand."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.formula import Formula
from attnbench.law import COUNTED_METRICS
from attnbench.layers.registry import Registry
from tests.by_hand import BY_HAND

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.trial import Sizes

Laws = dict[tuple[str, str], dict[str, Any]]

REGISTRY = Registry()
EXACT = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth", "elementwise", "flops_needed")
#: Metrics that are a formula only where some sizes are held, as the reason says then.
AT_HELD = ("peak_bytes", "saved_bytes", "depth")
#: What has no formula, and the beginning of the reason: the last words on a number must not be a guess.
WITHOUT = {
    ("lstm", "saved_bytes"): "a lower bound: fake tensors do not show the workspace of aten.mkldnn_rnn_layer.default",
    ("conv1d-dilated-causal", "flops_needed"): "no polynomial",
    ("conv1d-dilated-centred", "flops_needed"): "no polynomial",
    ("conv1d-dilated-doubling", "flops_needed"): "no polynomial",
}
#: Depth as a class: what it grows with, if anything.
GROWS_WITH = {
    **dict.fromkeys(("rnn", "rnn-bidirectional", "gru", "lstm"), "n"),
    **dict.fromkeys(("conv1d-dilated-causal", "conv1d-dilated-centred", "conv1d-dilated-doubling"), "l"),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command prints; it counts every layer in every way, once for all tests."""
    folder = tmp_path_factory.mktemp("table1")
    line = ["run", "--suite", "table1", "--json", "--results", f"{folder}/results", "--reports", f"{folder}/reports"]
    result = CliRunner().invoke(main, line)

    assert result.exit_code == 0, result.output
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@pytest.fixture(scope="module")
def laws(document: dict[str, Any]) -> Laws:
    return {(law["layer"], law["metric"]): law for law in document["laws"]}


def drawn_sizes(layer: Layer, **held: int) -> list[Sizes]:
    """Twenty sizes that the layer accepts, of whole kernels, windows and blocks, half of them of odd length."""
    draw = random.Random(layer.name)
    ranges = {"b": (2, 9), "n": (40, 400), "d": (1, 700), "h": (1, 16), "k": (3, 13), "l": (1, 5), "w": (1, 19)}
    found: list[Sizes] = []
    while len(found) < 20:
        sizes = {axis: draw.randint(*ranges.get(axis, (2, 15))) for axis in layer.axes} | held
        if sizes["n"] % 2 == len(found) % 2 and not layer.broken_constraint(sizes):
            found.append(sizes)
    return found


def test_every_layer_of_the_suite_has_a_law_for_everything_that_is_counted(laws: Laws) -> None:
    assert set(laws) == {(layer, metric) for layer in BY_HAND for metric in COUNTED_METRICS}


def test_every_claim_of_a_layer_is_confirmed(laws: Laws) -> None:
    claimed = {
        (name, metric): claim
        for name in BY_HAND
        for metric, claim in REGISTRY.get(name).claims.given.items()
        if metric in COUNTED_METRICS
    }

    assert {key: law["claim"] for key, law in laws.items() if law["claim"]} == claimed
    assert {laws[key]["verdict"] for key in claimed} == {"CONFIRMED"}


def test_only_what_nobody_can_say_has_no_formula(laws: Laws) -> None:
    undecided = {key: law["reason"] for key, law in laws.items() if law["verdict"] == "INCONCLUSIVE"}

    assert set(undecided) == set(WITHOUT)
    for key, beginning in WITHOUT.items():
        assert undecided[key].startswith(beginning)


@pytest.mark.parametrize("metric", EXACT)
@pytest.mark.parametrize("name", BY_HAND)
def test_the_formula_is_equal_to_the_one_worked_out_by_hand(name: str, metric: str, laws: Laws) -> None:
    by_hand, law, layer = getattr(BY_HAND[name], metric), laws[name, metric], REGISTRY.get(name)
    if by_hand is None:
        assert (name, metric) in WITHOUT
        return
    held = dict(BY_HAND[name].held) if metric in AT_HELD else {}
    found, expected = Formula(law["formula"]), Formula(by_hand)

    for sizes in drawn_sizes(layer, **held):
        assert found.evaluate(sizes) == expected.evaluate(sizes), sizes
    assert law["uncounted"] == []


@pytest.mark.parametrize("metric", ["hops", "hops_rf"])
@pytest.mark.parametrize("name", BY_HAND)
def test_the_path_length_is_the_one_found_step_by_step(name: str, metric: str, laws: Laws) -> None:
    found, by_hand = Formula(laws[name, metric]["formula"]), getattr(BY_HAND[name], metric)

    for sizes in drawn_sizes(REGISTRY.get(name)):
        assert found.evaluate(sizes) == by_hand(**sizes), sizes


@pytest.mark.parametrize("name", BY_HAND)
def test_depth_grows_with_the_recurrence_or_the_stack_and_with_nothing_else(name: str, laws: Laws) -> None:
    formula, axis = Formula(laws[name, "depth"]["formula"]), GROWS_WITH.get(name)
    if axis is None:
        assert formula.axes == set()
        return
    few, more, most = (formula.evaluate({axis: size}) for size in (10, 20, 30))

    assert formula.axes == {axis}
    assert more - few == most - more > 0


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "conv1d-causal", "conv1d-dilated-causal"])
def test_a_causal_layer_says_that_its_paths_lead_one_way(name: str, laws: Laws) -> None:
    assert laws[name, "hops"]["reason"].endswith("; left to right only")


@pytest.mark.parametrize("name", ["feed-forward", "attention-block-diagonal", "conv1d-dilated-centred"])
def test_what_never_connects_says_how_far_it_reaches(name: str, laws: Laws) -> None:
    law = laws[name, "hops"]

    assert law["formula"] == "inf"
    assert "no stack connects more than " in law["reason"]


@pytest.mark.parametrize("name", BY_HAND)
def test_work_bytes_and_weights_are_proved_at_a_million_positions(name: str, laws: Laws) -> None:
    assert laws[name, "flops"]["window"]["n"][1] == 2**20
    assert laws[name, "parameters"]["window"]["n"][1] == 2**20
