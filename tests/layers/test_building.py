"""From a layer and sizes to a module and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import apply, build_module, make_inputs, output_of, results_of, seed_for

SIZES = {"b": 2, "n": 5, "d": 4}
LINEAR = Layer("linear", lambda d: nn.Linear(d, d))


def test_a_module_comes_in_evaluation_mode_with_weights_of_the_dtype_asked_for() -> None:
    module = build_module(LINEAR, SIZES, dtype="bfloat16")

    assert not module.training
    assert {weight.dtype for weight in module.parameters()} == {torch.bfloat16}
    assert torch.get_default_dtype() == torch.float32


def test_a_module_is_built_on_the_device_asked_for() -> None:
    module = build_module(LINEAR, SIZES, device="meta")

    assert {weight.device.type for weight in module.parameters()} == {"meta"}


def test_inputs_are_one_normal_tensor_unless_the_layer_makes_its_own() -> None:
    torch.manual_seed(1)

    (x,) = make_inputs(LINEAR, {"b": 40, "n": 50, "d": 20}, dtype="float64")

    assert x.shape == (40, 50, 20)
    assert x.dtype == torch.float64
    assert abs(x.mean().item()) < 0.02
    assert abs(x.std().item() - 1) < 0.02


@pytest.mark.parametrize("as_tuple", [False, True])
def test_a_layer_may_make_its_own_inputs(as_tuple: bool) -> None:
    def inputs(b: int, d: int) -> object:
        query = torch.ones(b, 1, d)
        return (query,) if as_tuple else query

    (query,) = make_inputs(Layer("single-query", lambda d: nn.Identity(), inputs=inputs), SIZES)

    assert query.shape == (2, 1, 4)


def test_inputs_in_a_dict_are_passed_by_name() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> torch.Tensor:
            return x * scale

    layer = Layer("named", lambda d: Scaled(), inputs=lambda d: {"scale": torch.tensor(3.0), "x": torch.ones(2, d)})

    assert apply(build_module(layer, SIZES), make_inputs(layer, SIZES)).tolist() == [[3.0] * 4] * 2


@dataclass
class Returned:
    """As libraries of models return what they know, and much that is no tensor."""

    loss: torch.Tensor | None
    hidden: tuple[torch.Tensor, ...]


TOKENS, POOLED, STATES = torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 4), torch.ones(2, 5, 4)


@pytest.mark.parametrize(
    "returned",
    [
        STATES,
        (STATES, POOLED),
        (TOKENS, POOLED, [STATES]),
        {"tokens": TOKENS, "states": STATES},
        Returned(None, (POOLED, STATES)),
        [3, "text", Returned(POOLED, (STATES,))],
    ],
)
def test_the_output_is_the_first_floating_tensor_with_a_length(returned: Any) -> None:
    assert output_of(LINEAR, SIZES, returned) is STATES


@pytest.mark.parametrize(("returned", "found"), [((TOKENS, POOLED), POOLED), ([TOKENS], TOKENS)])
def test_without_a_length_the_first_floating_tensor_is_the_output(returned: Any, found: torch.Tensor) -> None:
    assert output_of(LINEAR, SIZES, returned) is found


def test_a_layer_may_pick_its_output_and_gradients_start_from_it_alone() -> None:
    pooled, states = POOLED.clone().requires_grad_(), STATES.clone().requires_grad_()
    layer = Layer("picks", lambda d: nn.Identity(), output=lambda returned: returned[1])

    assert output_of(layer, SIZES, (states, pooled)) is pooled
    assert results_of(layer, (states, pooled)) == [pooled]
    assert results_of(LINEAR, (states, POOLED, pooled)) == [states, pooled]


def test_an_output_that_cannot_be_picked_is_one_line() -> None:
    layer = Layer("picks", lambda d: nn.Identity(), output=lambda returned: returned.logits)

    with pytest.raises(LayerError, match=r"^layer 'picks': output\(\) failed on the Tensor returned: AttributeError: "):
        output_of(layer, SIZES, STATES)


def fails(d: int) -> nn.Module:
    raise ValueError(f"{d} is\ntoo small")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (fails, "layer 'x' cannot be built at b=2, n=5, d=4: ValueError: 4 is too small"),
        (lambda d: d, "layer 'x': build() must return a torch module, not int"),
    ],
)
def test_a_factory_that_fails_is_one_sentence(build: object, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        build_module(Layer("x", build), SIZES)

    assert str(caught.value) == message
    assert torch.get_default_dtype() == torch.float32


def test_inputs_that_fail_are_one_sentence() -> None:
    with pytest.raises(LayerError) as caught:
        make_inputs(Layer("x", lambda d: nn.Identity(), inputs=fails), SIZES, dtype="float64")

    assert str(caught.value) == "layer 'x': inputs() failed at b=2, n=5, d=4: ValueError: 4 is too small"
    assert torch.get_default_dtype() == torch.float32


def test_a_trials_seed_follows_the_trial_and_the_run_and_nothing_else() -> None:
    seeds = {seed_for(trial, seed) for trial in ("rnn-n64", "rnn-n128") for seed in (0, 1)}

    assert len(seeds) == 4
    assert seed_for("rnn-n64", 0) == 1071396491
