"""What is inside a timed call in each mode, seen by modules that write down how they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from attnbench.errors import LayerError, UnsupportedError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry
from attnbench.measure.call import ready

SIZES = {"b": 2, "n": 5, "d": 4}


class Cubes(torch.autograd.Function):
    """x³, which writes down both directions; `slope` spoils the gradient."""

    said: list[str]
    slope = 3.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Cubes.said.append("forward")
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Tensor:
        Cubes.said.append("backward")
        return above[0] * Cubes.slope * ctx.saved_tensors[0] ** 2


class Remembers(nn.Module):
    """Writes down its calls; what a step does to the state that it is given is for each test to say."""

    def __init__(self, spoil: Any = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 2.0))
        self.said: list[str] = []
        self.modes: set[tuple[bool, bool]] = set()
        self.spoil = spoil or (lambda state: None)

    def forward(self, x: Tensor) -> Tensor:
        self.said.append("forward")
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return Cubes.apply(self.weight * x)

    def prefill(self, context: Tensor) -> list[Tensor]:
        self.said.append("prefill")
        return [context.sum(1, keepdim=True)]

    def step(self, token: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        self.said.append("step")
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        output = state[0] + token
        self.spoil(state)
        return output, [output]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cubes, "said", [], raising=False)


def layer(**more: Any) -> Layer:
    return Layer("mine", lambda d: nn.Identity(), **more)


def called(module: nn.Module, x: Any, mode: str, times: int = 3, **more: Any) -> list[Any]:
    with ready(layer(**more), module.eval(), x if isinstance(x, dict) else (x,), mode) as (call, examine):
        outputs = [call() for _ in range(times)]
        examine(outputs[0])
    return outputs


def test_a_forward_call_is_the_module_in_inference() -> None:
    module = Remembers()

    outputs = called(module, torch.ones(2, 5, 4), "forward")

    assert module.said == ["forward"] * 3
    assert module.modes == {(False, True)}
    assert all(torch.equal(output, torch.full((2, 5, 4), 8.0)) for output in outputs)


def test_a_training_call_is_one_forward_and_one_backward_pass_each_time() -> None:
    module = Remembers()

    called(module, torch.ones(2, 5, 4), "train")

    assert Cubes.said == ["forward", "backward"] * 3
    assert module.modes == {(True, False)}


def test_training_gives_the_gradients_of_inputs_and_weights_and_adds_them_up_nowhere() -> None:
    module, x = Remembers(), torch.randn(2, 5, 4)

    (first, of_first), *_, (_, of_last) = called(module, x, "train")

    # y = (w x)³: the gradients by x and w are a·3 w³ x² and Σ a·3 w² x³ for the same a
    above = of_first[0] / (3 * 8 * x.detach() ** 2)
    assert above.std() > 0.3
    assert torch.allclose(of_first[1], (above * 3 * 4 * x.detach() ** 3).sum().reshape(1), rtol=1e-4)
    assert all(map(torch.equal, of_first, of_last))
    assert (x.grad, module.weight.grad) == (None, None)
    assert torch.allclose(first, 8 * x**3)


def test_a_gradient_that_is_not_finite_is_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cubes, "slope", float("nan"))

    with pytest.raises(LayerError, match="not finite"):
        called(Remembers(), torch.ones(2, 5, 4), "train")


def test_decoding_fills_the_context_once_and_takes_the_same_step_from_the_same_state_again_and_again() -> None:
    module, x = Remembers(), torch.randn(2, 5, 4)

    outputs = called(module, x, "decode")

    assert module.said == ["prefill", "step", "step", "step"]
    assert module.modes == {(False, True)}
    assert all(torch.equal(output, x.sum(1, keepdim=True) + x[:, :1]) for output, _ in outputs)


@pytest.mark.parametrize(
    "spoil", [lambda state: state[0].add_(1), lambda state: state.append(state[0]), lambda state: state.clear()]
)
def test_a_step_that_changes_the_state_it_is_given_is_refused(spoil: Any) -> None:
    with pytest.raises(LayerError, match=r"step\(\) changes the state"):
        called(Remembers(spoil), torch.ones(2, 5, 4), "decode", times=1)


@pytest.mark.parametrize(
    ("mode", "reason"), [("train", "cannot be trained: no gradient flows"), ("decode", "cannot decode: its module has")]
)
def test_a_module_that_cannot_do_it_is_unsupported(mode: str, reason: str) -> None:
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach()

    with pytest.raises(UnsupportedError, match=reason):
        called(Detached(), torch.ones(2, 5, 4), mode)


@pytest.mark.parametrize("name", [n for n in Registry().names if "decode" in Registry().get(n).modes])
def test_a_step_of_each_layer_that_decodes_is_what_the_whole_sequence_would_have_given(name: str) -> None:
    found = Registry().get(name)
    sizes = found.complete(SIZES | ({"c": 1} if "c" in found.axes else {}))
    module, (x,) = build_module(found, sizes), make_inputs(found, sizes)

    with ready(found, module, (x,), "decode") as (call, examine):
        first, again = call(), call()
        examine(first)

    with torch.inference_mode():
        whole = module(torch.cat([x, x[:, :1]], dim=1))[:, -1:]
    assert torch.allclose(first[0], whole, atol=1e-5)
    assert torch.equal(first[0], again[0])


# ---------------------------------------------------------------------------------- tokens, names and what is returned


@dataclass
class Returned:
    """As libraries of models return what they know."""

    chosen: Tensor
    mask: Tensor
    states: Tensor


class Reads(nn.Module):
    """Looks tokens up; a mask of minus infinity is among what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)

    def forward(self, *, tokens: Tensor) -> Returned:
        states = self.table(tokens)
        return Returned(states.argmax(-1), torch.full((5, 5), -torch.inf).triu(1), states)

    def prefill(self, context: Tensor) -> Tensor:
        return self.table(context).sum(1, keepdim=True)

    def step(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return state + self.table(token), state


TOKENS = {"tokens": torch.arange(10).view(2, 5) % 7}


def test_tokens_are_given_by_name_and_what_is_picked_is_examined() -> None:
    (first, *_) = called(Reads(), TOKENS, "forward", output=lambda returned: returned.states)

    assert first.states.shape == (2, 5, 4)
    with pytest.raises(LayerError, match="not finite"):
        called(Reads(), TOKENS, "forward")


def test_training_on_tokens_gives_the_gradients_of_weights_alone() -> None:
    module = Reads()

    _, (first, *_) = called(module, TOKENS, "train", output=lambda returned: returned.states)[0]

    assert first.shape == (7, 4)
    assert module.table.weight.grad is None


def test_decoding_goes_from_a_context_of_tokens() -> None:
    module = Reads()

    ((output, _), *_) = called(module, TOKENS, "decode")

    rows = module.table(TOKENS["tokens"])
    assert torch.allclose(output, rows.sum(1, keepdim=True) + rows[:, :1])


def test_a_layer_of_several_inputs_cannot_decode() -> None:
    with pytest.raises(UnsupportedError, match=r"^layer 'mine' cannot decode: it has 2 inputs, and one is a context$"):
        called(Reads(), {**TOKENS, "mask": torch.ones(2, 5)}, "decode")


def test_numbers_that_a_cache_was_never_given_may_be_any() -> None:
    class Allocates(Reads):
        def prefill(self, context: Tensor) -> Tensor:
            return torch.full((2, 1, 4), torch.nan)

        def step(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            return self.table(token), state

    assert len(called(Allocates(), TOKENS, "decode")) == 3


def test_a_checkpoint_that_is_entered_anew_is_trained_like_any_other() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.map, x, use_reentrant=True)

    module, x = Again(), torch.randn(2, 5, 4)

    (output, (of_x, of_weight, of_bias)), *_ = called(module, x, "train")

    # y = x W' + c: the gradients for a random a are a W, a'x and Σ a
    above = torch.linalg.solve(module.map.weight.mT, of_x.mT).mT
    assert torch.allclose(of_weight, (above.mT @ x.detach()).sum(0), atol=1e-4)
    assert torch.allclose(of_bias, above.sum((0, 1)), atol=1e-4)
    assert output.shape == x.shape
    assert (x.grad, module.map.weight.grad) == (None, None)
