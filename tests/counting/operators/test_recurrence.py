"""Whole recurrences cost what their steps cost, however torch hides them."""

from __future__ import annotations

import itertools
from math import log2
from typing import Any

import pytest
import torch
from torch import nn

from attnbench.counting.operators import elementwise_of, log_depth_of
from attnbench.counting.operators.contract.operator import Call
from attnbench.counting.trace import Way
from tests.counting.calling import Calling, trace_of_module
from tests.counting.operators.stating import B, D, M, N, X, calls_of, costs_of

aten = torch.ops.aten
OPERATIONS = {"RNN_TANH": aten.rnn_tanh.input, "GRU": aten.gru.input, "LSTM": aten.lstm.input}


def fused(module: nn.RNNBase, x: torch.Tensor) -> Call:
    """The one operation that inference sees of a recurrence."""
    directions = 2 if module.bidirectional else 1
    state = torch.zeros(module.num_layers * directions, x.shape[0], module.hidden_size)
    states = [state, state] if module.mode == "LSTM" else state
    flags = (module.bias, module.num_layers, 0.0, False, module.bidirectional, module.batch_first)
    return Call(OPERATIONS[module.mode], (x, states, [*module.parameters()], *flags), {})


# -------------------------------------------------------------------------------------------------- matrix work

RECURRENCES = {
    "rnn-tanh": (nn.RNN, {}, 1),
    "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}, 1),
    "gru": (nn.GRU, {}, 3),
    "lstm": (nn.LSTM, {}, 4),
}
SHAPES_OF_STACKS = list(itertools.product([1, 2], [False, True]))


def recurrent_work(gates: int, layers: int, directions: int, width: int, hidden: int) -> int:
    """Every matrix of every layer and direction meets every position of every sequence once."""
    inputs = [width] + [directions * hidden] * (layers - 1)
    return sum(2 * B * N * directions * gates * hidden * (into + hidden) for into in inputs)


@pytest.mark.parametrize(("layers", "bidirectional"), SHAPES_OF_STACKS)
@pytest.mark.parametrize(("cell", "options", "gates"), RECURRENCES.values(), ids=RECURRENCES)
@pytest.mark.parametrize("onednn", [True, False], ids=["onednn", "step-by-step"])
def test_a_whole_recurrence_counts_what_its_steps_count(
    cell: type[nn.RNNBase], options: dict[str, str], gates: int, layers: int, bidirectional: bool, onednn: bool
) -> None:
    def build() -> nn.Module:
        return cell(5, 7, num_layers=layers, bidirectional=bidirectional, batch_first=True, **options)

    with torch.backends.mkldnn.flags(enabled=onednn, allow_tf32=None):
        whole, steps = trace_of_module(build, (B, N, 5)), trace_of_module(build, (B, N, 5), way=Way.OPENED)

    assert whole.flops == recurrent_work(gates, layers, 1 + bidirectional, 5, 7)
    assert steps.flops == whole.flops
    assert whole.uncounted == steps.uncounted == ()


def test_a_recurrence_over_the_first_dimension_counts_the_same() -> None:
    turned = trace_of_module(lambda: nn.GRU(5, 7), (N, B, 5))

    assert turned.flops == recurrent_work(3, 1, 1, 5, 7)


def test_the_projection_of_an_lstm_is_counted() -> None:
    def build() -> nn.Module:
        return nn.LSTM(5, 7, proj_size=3, batch_first=True)

    expected = 2 * B * N * (4 * 7 * (5 + 3) + 3 * 7)

    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):  # oneDNN has none, and warns
        whole, steps = trace_of_module(build, (B, N, 5)), trace_of_module(build, (B, N, 5), way=Way.OPENED)

    assert whole.flops == steps.flops == expected


def test_a_whole_recurrence_has_the_outputs_of_the_real_one() -> None:
    shapes: list[list[tuple[int, ...]]] = []

    def build() -> nn.Module:
        module = nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True)

        def call(x: torch.Tensor) -> object:
            output, (state, memory) = module(x)
            shapes.append([tuple(output.shape), tuple(state.shape), tuple(memory.shape)])
            return output

        return Calling(call)

    trace_of_module(build, (B, N, 5))
    build()(torch.randn(B, N, 5))

    assert shapes[0] == shapes[1]


# --------------------------------------------------------------------------------------------- element-wise work


@pytest.mark.parametrize(
    ("kind", "cell", "gates"), [(nn.RNN, 2, 1), (nn.GRU, 10, 3), (nn.LSTM, 13, 4)], ids=["rnn", "gru", "lstm"]
)
@pytest.mark.parametrize(("bias", "layers", "both_ways"), [(False, 1, False), (True, 1, False), (True, 2, True)])
def test_a_fused_recurrence_costs_what_its_steps_cost(
    kind: type[nn.RNNBase], cell: int, gates: int, bias: bool, layers: int, both_ways: bool
) -> None:
    module = kind(D, M, layers, bias=bias, bidirectional=both_ways, batch_first=True, dtype=torch.float64)
    x = torch.randn(X, dtype=torch.float64)  # a precision that oneDNN leaves alone
    with torch.no_grad():
        opened = costs_of(module, x).elementwise

    assert elementwise_of(fused(module, x)) == opened
    assert opened == B * N * layers * (1 + both_ways) * M * (cell + 2 * gates * bias)


@pytest.mark.parametrize("bias", [False, True])
def test_a_recurrence_of_onednn_costs_the_same(bias: bool) -> None:
    module = nn.LSTM(D, M, bias=bias, batch_first=True)
    x = torch.randn(X, requires_grad=True)

    result = module(x)[0]
    backward = costs_of(lambda: torch.autograd.grad(result, [x, *module.parameters()], result))
    assert costs_of(module, x).elementwise == B * N * M * (13 + 8 * bias)
    assert backward.elementwise == B * N * M * (14 + 4 * bias)


# -------------------------------------------------------------------------------------------------------- depth


@pytest.mark.parametrize(("n", "d"), [(4, 4), (11, 4), (4, 64)])
def test_a_recurrence_is_linearly_deep(n: int, d: int) -> None:
    steps = log_depth_of(fused(nn.RNN(d, d, bias=False, batch_first=True), torch.randn(1, n, d)))

    assert steps == pytest.approx(n * (3 + log2(d)))


def longest_chain(module: nn.Module, x: torch.Tensor) -> float:
    """Through the steps that a recurrence is made of; every kernel waits for all it reads, views wait for nothing."""
    behind: dict[int, float] = {}
    with torch.no_grad():
        calls = calls_of(module, x)  # an id is good for as long as its tensor lives
    for call in calls:
        read = [leaf for leaf in torch.utils._pytree.tree_leaves((call.args, call.kwargs)) if _is_tensor(leaf)]
        made = [leaf for leaf in torch.utils._pytree.tree_leaves(call.output) if _is_tensor(leaf)]
        depth = max((behind.get(id(one), 0.0) for one in read), default=0.0)
        depth += log_depth_of(call) if read else 0
        behind.update((id(one), depth) for one in made)
    return max(behind.values())


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("n", "d"), [(1, 4), (5, 4), (6, 7)])
def test_a_fused_recurrence_is_as_deep_as_its_steps(kind: type[nn.RNNBase], bias: bool, n: int, d: int) -> None:
    """Float64 keeps oneDNN away; the last kernel puts the outputs of all steps together."""
    module = kind(d, d, bias=bias, batch_first=True, dtype=torch.float64)
    x = torch.randn(1, n, d, dtype=torch.float64)

    assert log_depth_of(fused(module, x)) == pytest.approx(longest_chain(module, x) - 1)


def test_layers_of_a_recurrence_follow_each_other_and_directions_do_not() -> None:
    x = torch.randn(X)
    one = log_depth_of(fused(nn.GRU(D, D, batch_first=True), x))
    both = log_depth_of(fused(nn.GRU(D, D, batch_first=True, bidirectional=True), x))
    three = log_depth_of(fused(nn.GRU(D, D, 3, batch_first=True), x))
    by_onednn = nn.LSTM(D, D, batch_first=True)

    assert both == one
    assert three == pytest.approx(3 * one)
    with torch.no_grad():
        hidden = [log_depth_of(call) for call in calls_of(by_onednn, x) if "mkldnn" in str(call.operation)]
    assert hidden == [log_depth_of(fused(by_onednn, x))]
