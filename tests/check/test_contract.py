"""Every check notices a layer that breaks its promise, says so in one line, and says what to do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attnbench.check.case import points
from attnbench.check.contract import check_layer, checks_of
from attnbench.check.outcome import Mark, Outcome
from attnbench.layers.base import Claims, Layer
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.trial import INPUT_AXES
from tests.check.bad_layers import BAD, HINTED, LAYERS


def not_passed(layer: Layer) -> list[Outcome]:
    return [outcome for outcome in check_layer(layer) if outcome.mark is not Mark.PASSED and outcome.check != "travels"]


@pytest.mark.parametrize("name", BAD)
def test_a_layer_that_breaks_a_promise_is_told_which_and_what_to_do(name: str) -> None:
    layer, check, found, fix = BAD[name]

    (wrong,) = (outcome for outcome in not_passed(layer) if outcome.mark is Mark.FAILED)

    assert wrong.check == check
    assert wrong.found.startswith(found)
    assert wrong.fix.startswith(fix)
    assert "\n" not in wrong.found + wrong.fix


@pytest.mark.parametrize("name", HINTED)
def test_what_an_author_may_want_to_know_is_a_hint_and_fails_nothing(name: str) -> None:
    layer, check, found = HINTED[name]

    outcomes = {outcome.check: outcome for outcome in check_layer(layer)}

    assert outcomes[check].mark is Mark.HINT
    assert outcomes[check].found.startswith(found)
    assert outcomes[check].fix
    assert not any(outcome.mark is Mark.FAILED for outcome in outcomes.values())


def test_every_check_has_a_layer_that_fails_it_or_is_hinted_at() -> None:
    known = {check for _, check, *_ in BAD.values()} | {check for _, check, _ in HINTED.values()}
    every = Layer("every", LAYERS[0].build, claims=LAYERS[0].claims, modes=("forward", "train", "decode"))

    assert {*checks_of(every)} - {"claims"} <= known
    assert {f"claim of {metric}" for metric in Claims.__dataclass_fields__} <= known


def test_a_decent_layer_passes_every_check_that_applies_to_it() -> None:
    outcomes = check_layer(LAYERS[0])

    assert {outcome.mark for outcome in outcomes} == {Mark.PASSED}
    claims = [outcome.check for outcome in outcomes if outcome.check.startswith("claim")]
    assert claims == ["claim of flops", "claim of parameters", "claim of time", "claim of hops"]
    assert "decode" not in [outcome.check for outcome in outcomes]


def test_a_normalisation_does_not_hide_what_an_output_depends_on() -> None:
    class Normalised(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.layer_norm(x, x.shape[-1:]).roll(-1, 1)

    (wrong,) = not_passed(Layer("normalised", lambda d: Normalised(), causal=True))

    assert wrong.found.startswith("it says causal, but output 0 depends on input 1 at")


def test_a_layer_with_inputs_and_constraints_of_its_own_is_checked_with_them() -> None:
    class Attends(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            scores = (x @ x.mT).masked_fill(mask[:, None], -torch.inf)
            return scores.softmax(-1) @ x

    def inputs(b: int, n: int, d: int) -> tuple[Tensor, Tensor]:
        return torch.randn(b, n, d), torch.arange(n).expand(b, n) >= torch.arange(n, n - b, -1)[:, None]

    layer = Layer(
        "masked",
        lambda d, q=4: Attends(),
        inputs=inputs,
        constraints=("n % q == 0", "d % 2 == 0", "q > 1"),
        claims=Claims(flops="4*b*n**2*d", hops="1"),
    )

    assert not_passed(layer) == []
    assert points(layer) == [{"b": 3, "n": 15, "d": 8, "q": 5}, {"b": 2, "n": 45, "d": 6, "q": 5}]


def test_sizes_are_odd_wherever_a_built_in_layer_allows_it() -> None:
    registry = Registry()
    for layer in map(registry.get, BUILT_IN):
        for sizes in points(layer):
            assert sizes["b"] > 1
            assert sizes["n"] % 2 == 1
            assert set(sizes) == {*INPUT_AXES, *layer.axes}
