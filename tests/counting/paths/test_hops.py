"""Maximum path length of layers whose length is known in closed form, and of faults that must show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from attnbench.counting.paths.hops import Hops, hop_matrix, hops_at
from attnbench.counting.paths.shadow.hop import Meetings
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from tests.counting.calling import Calling, layer_calling

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = Registry()
BOTH, RIGHT, LEFT = "both", "left to right", "right to left"


def found(name: str, n: int, **sizes: int) -> Hops:
    layer = REGISTRY.get(name)
    return hops_at(layer, layer.complete({"b": 2, "n": n, "d": 2, **sizes}))


def levels(base: int, reach: int) -> int:
    """The smallest L with ``base ** L >= reach``, in whole numbers."""
    height = 0
    while base**height < reach:
        height += 1
    return height


@pytest.mark.parametrize("n", [2, 5, 8, 17])
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("attention-core", {}),
        ("attention-core", {"h": 2}),
        ("attention-core-fused", {"h": 2}),
        ("multi-head-attention", {}),
        ("multi-head-attention", {"h": 2}),
        ("fully-connected", {}),
    ],
)
def test_all_pairs_of_an_attention_are_one_hop_apart(name: str, sizes: dict[str, int], n: int) -> None:
    assert found(name, n, **sizes) == Hops(io=1, rf=1, layers=1, reach=1, direction=BOTH, unknown=())


@pytest.mark.parametrize("n", [2, 5, 8, 17])
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_a_recurrence_is_one_hop_for_each_step_however_many_gates_it_has(name: str, n: int) -> None:
    reach = (n + 1) / (2 * n)

    assert found(name, n) == Hops(io=n - 1, rf=n - 1, layers=1, reach=reach, direction=RIGHT, unknown=())


@pytest.mark.parametrize("n", [2, 5, 8, 17])
def test_the_ends_of_a_bidirectional_recurrence_are_as_far_apart_as_those_of_a_recurrence(n: int) -> None:
    both = found("rnn-bidirectional", n)

    assert (both.io, both.layers, both.reach, both.direction) == (n - 1, 1, 1, BOTH)


@pytest.mark.parametrize("n", [2, 5, 8, 17])
@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("name", ["conv1d", "conv1d-separable"])
def test_a_centred_kernel_goes_half_its_width_in_a_hop_and_two_inputs_meet_halfway(name: str, k: int, n: int) -> None:
    io, rf = math.ceil(2 * (n - 1) / (k - 1)), math.ceil((n - 1) / (k - 1))

    assert found(name, n, k=k) == Hops(io=io, rf=rf, layers=io, reach=1, direction=BOTH, unknown=())


@pytest.mark.parametrize("n", [2, 5, 8, 17])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("conv1d-causal", lambda n, k: math.ceil((n - 1) / (k - 1))),
        ("conv1d-dilated-causal", lambda n, k: levels(k, n)),
        ("conv1d-dilated-doubling", lambda n, k: levels(2, math.ceil((n - 1) / (k - 1)) + 1)),
    ],
)
def test_a_causal_stack_is_as_long_as_its_dilation_makes_it(
    name: str, length: Callable[[int, int], int], n: int, k: int
) -> None:
    stack = found(name, n, k=k)

    assert (stack.io, stack.layers, stack.direction) == (length(n, k), length(n, k), RIGHT)


@pytest.mark.parametrize("n", [5, 8, 17])
def test_centred_dilated_kernels_never_connect_all_pairs_over_zeros(n: int) -> None:
    stack = found("conv1d-dilated-centred", n, k=3)

    assert stack.io == math.inf
    assert 0.5 < stack.reach < 1


@pytest.mark.parametrize("n", [5, 8, 17])
@pytest.mark.parametrize("w", [1, 2, 3])
def test_a_window_of_attention_goes_half_its_width_in_a_hop(w: int, n: int) -> None:
    assert found("attention-restricted", n, w=w).io == math.ceil((n - 1) / w)


def test_what_connects_nothing_has_no_path_and_says_how_far_it_reaches() -> None:
    assert found("feed-forward", 8) == Hops(math.inf, math.inf, 1, 1 / 8, BOTH, ())
    assert found("attention-block-diagonal", 8, c=4) == Hops(math.inf, math.inf, 1, 4 / 8, BOTH, ())


@pytest.mark.parametrize("name", ["attention-core", "rnn", "conv1d", "conv1d-dilated-centred", "feed-forward"])
def test_a_single_position_is_no_hop_away_from_itself(name: str) -> None:
    alone = found(name, 1)

    assert (alone.io, alone.rf, alone.reach) == (0, 0, 1)


class Written(nn.Module):
    """Parts by name, and a function of them and the input."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, **self.parts)


def written(function: Callable[..., torch.Tensor], **parts: Callable[[], nn.Module]) -> Layer:
    return Layer("toy", lambda: Written(function, **{name: make() for name, make in parts.items()}))


def gated(x: torch.Tensor, gates: nn.Module, candidate: nn.Module) -> torch.Tensor:
    """A gated recurrence over joined vectors, as many write it by hand."""
    state, states = x.new_zeros(1, 4), []
    for now in x.unbind(1):
        reset, update = gates(torch.cat([now, state], -1)).sigmoid().chunk(2, -1)
        new = candidate(torch.cat([now, reset * state], -1)).tanh()
        state = (1 - update) * state + update * new
        states.append(state)
    return torch.stack(states, 1)


def linear_attention(x: torch.Tensor) -> torch.Tensor:
    features = functional.elu(x) + 1
    return features @ (features.transpose(1, 2) @ x) / (features @ features.sum(1)[..., None])


def turned(x: torch.Tensor, kernel: nn.Module) -> torch.Tensor:
    return kernel(x.transpose(1, 2)).transpose(1, 2)


WRITTEN: list[Any] = [
    ("gated recurrence by hand", written(gated, gates=lambda: nn.Linear(8, 8), candidate=lambda: nn.Linear(8, 4)), 8),
    ("two recurrences", written(lambda x, r: r(x)[0], r=lambda: nn.GRU(4, 4, 2, batch_first=True)), 8),
    ("linear attention", layer_calling(linear_attention), 1),
    ("mean broadcast", layer_calling(lambda x: x + x.mean(1, keepdim=True)), 1),
    ("running sum", layer_calling(lambda x: x.cumsum(1)), 1),
    ("convolution by transform", layer_calling(lambda x: torch.fft.ifft(torch.fft.fft(x, dim=1) * 2, dim=1).real), 1),
    ("shift", layer_calling(lambda x: x.roll(1, 1)), 8),
    ("sum with a shift", layer_calling(lambda x: x + x.roll(1, 1)), 8),
    ("attention with a gate of zero", written(lambda x, g: x + g(x.mean(1, keepdim=True)), g=lambda: Zero()), 1),
    ("two convolutions", written(lambda x, a, b: turned(turned(x, a), b), a=lambda: wide(), b=lambda: wide()), 8),
    ("convolution and itself", written(lambda x, a: x + turned(x, a), a=lambda: wide()), 8),
    (
        "attention while training",
        written(lambda x, m: m.train()(x, x, x)[0], m=lambda: nn.MultiheadAttention(4, 2, batch_first=True)),
        1,
    ),
]


class Zero(nn.Module):
    """A factor that starts at zero and may be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def wide() -> nn.Module:
    return nn.Conv1d(4, 4, 3, padding=1)


@pytest.mark.parametrize(("layer", "io"), [case[1:] for case in WRITTEN], ids=[case[0] for case in WRITTEN])
def test_a_layer_written_in_another_way_is_as_long_as_it_is(layer: Layer, io: int) -> None:
    measured = hops_at(layer, {"b": 1, "n": 9, "d": 4})

    assert (measured.io, measured.unknown) == (io, ())


def test_a_layer_that_looks_ahead_only_is_complete_from_right_to_left() -> None:
    backwards = hops_at(layer_calling(lambda x: x.flip(1).cumsum(1).flip(1)), {"b": 1, "n": 4, "d": 2})

    assert (backwards.io, backwards.reach, backwards.direction) == (1, 10 / 16, LEFT)


def test_two_inputs_that_never_meet_have_no_common_receptive_field() -> None:
    assert hops_at(layer_calling(lambda x: x.roll(1, 1)), {"b": 1, "n": 5, "d": 2}).rf == math.inf


def test_inputs_of_its_own_are_followed_where_they_have_positions() -> None:
    def read(values: torch.Tensor, mask: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return (values @ values.transpose(1, 2)).masked_fill(mask, -torch.inf).softmax(-1) @ values * scale

    layer = Layer(
        "x",
        lambda: Calling(read),
        inputs=lambda n: (torch.randn(1, n, 2), torch.ones(n, n).triu(1).bool(), torch.ones(())),
    )

    assert hops_at(layer, {"b": 1, "n": 5, "d": 2}).direction == RIGHT


def test_words_are_followed_through_their_embedding() -> None:
    layer = Layer(
        "x",
        lambda: nn.Sequential(nn.Embedding(10, 2), Calling(lambda x: x.cumsum(1))),
        inputs=lambda n: torch.arange(n)[None],
    )

    assert hops_at(layer, {"b": 1, "n": 5, "d": 2}).io == 1


def refuse(x: torch.Tensor) -> torch.Tensor:
    raise ValueError("not\ntoday")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            Layer("x", lambda: nn.Identity(), inputs=lambda: torch.randn(2, 3)),
            "layer 'x' has no input with a dimension of n = 5; no path to follow",
        ),
        (
            layer_calling(lambda x: x.sum()),
            "layer 'x' at b=1, n=5, d=2 returns no tensor with a dimension of n = 5",
        ),
        (
            layer_calling(refuse),
            "layer 'x' at b=1, n=5, d=2 raised ValueError in float64: not today",
        ),
    ],
)
def test_a_layer_without_paths_is_refused_in_one_line(layer: Layer, message: str) -> None:
    with pytest.raises(LayerError) as raised:
        hops_at(layer, {"b": 1, "n": 5, "d": 2})

    assert str(raised.value) == message


BY_HAND = written(gated, gates=lambda: nn.Linear(8, 8), candidate=lambda: nn.Linear(8, 4))


@pytest.mark.parametrize("layer", [REGISTRY.get("rnn"), BY_HAND], ids=["rnn", "gated by hand"])
def test_a_recurrence_hands_every_input_on_once_for_each_step(layer: Layer) -> None:
    hops = hop_matrix(layer, {"b": 1, "n": 4, "d": 4})

    inf = math.inf
    assert (hops == np.array([[0, inf, inf, inf], [1, 0, inf, inf], [2, 1, 0, inf], [3, 2, 1, 0]])).all()


def test_a_rule_that_ignores_where_numbers_come_from_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meetings, "at", lambda self, position: 1)

    assert (found("rnn", 8).io, found("gru", 8).io, found("conv1d-dilated-causal", 8, k=2).io) == (1, 1, 1)


@torch.library.custom_op("attnbench_test::whole_recurrence", mutates_args=())
def whole_recurrence(x: torch.Tensor) -> torch.Tensor:
    return nn.RNN(4, 4, batch_first=True, dtype=x.dtype)(x)[0].detach()


def test_a_recurrence_hidden_in_one_operation_looks_short_and_is_named() -> None:
    hidden = hops_at(layer_calling(whole_recurrence), {"b": 1, "n": 8, "d": 4})

    assert (hidden.io, hidden.unknown) == (1, ("attnbench_test.whole_recurrence.default",))
