"""From a layer and sizes to a module and its inputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs, seed_for

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
