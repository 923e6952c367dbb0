"""Whole recurrences in one kernel, and single fused cells.

FLOPs: every matrix of every layer and direction meets every position once; backwards twice that. Element-wise: a step
is 2 per number of the state for a plain cell (add, tanh), 10 for a GRU (add and sigmoid for each of two gates;
multiply, add, tanh; subtract, multiply, add) and 13 for an LSTM (an add and an activation for each of four gates; two
multiplies and an add; tanh and multiply); its derivative 1, 9 and 13, and 1 to add the gradient that comes from the
output. Depth over n steps: the first product of the input, n − 1 products of the state, and n times the cell (2 for a
plain cell, 8 for a GRU, 6 for an LSTM), layer after layer, directions side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attnbench.counting.operators.contract.costs import number_given
from attnbench.counting.operators.contract.operator import Call, Cost, Operator, nothing
from attnbench.counting.operators.matmul import product_depth

#: Element-wise work for each number of a state, by the gates of the cell: one (plain), three (GRU) or four (LSTM).
_CELL = {1: 2, 3: 10, 4: 13}
_CELL_BACKWARD = {1: 1, 3: 9, 4: 13}
#: Steps between two products of a state.
_CELL_DEPTH = {1: 2, 3: 8, 4: 6}


@dataclass(frozen=True, slots=True)
class _Layer:
    """Matrices of one direction of one layer: input to gates, state to gates, and cell to state in a projected LSTM."""

    inputs: Tensor
    states: Tensor
    projection: Tensor | None

    @property
    def hidden(self) -> int:
        """Width of the cell."""
        return int((self.states if self.projection is None else self.projection).shape[1])

    @property
    def gates(self) -> int:
        """Gates of the cell: 1, 3 or 4."""
        return int(self.states.shape[0]) // self.hidden

    def depth(self, length: int, bias: bool) -> float:
        """Of `length` steps."""
        width, state = int(self.inputs.shape[1]), int(self.states.shape[1])
        cell = _CELL_DEPTH[self.gates] + (0.0 if self.projection is None else product_depth(self.hidden))
        first, others = product_depth(max(width, state), bias), product_depth(state, bias)
        return first + (length - 1) * others + length * cell


def _layers(parameters: Iterable[Any]) -> list[_Layer]:
    """The matrices among `parameters`, layer by layer and direction by direction."""
    matrices = [one for one in parameters if isinstance(one, Tensor) and one.ndim == 2]
    layers = []
    while matrices:
        inputs, states, *matrices = matrices
        projected = bool(matrices) and states.shape[1] == matrices[0].shape[0] < states.shape[0]
        layers.append(_Layer(inputs, states, matrices.pop(0) if projected else None))
    return layers


def _recurrence(
    names: str,
    parameters: Callable[[Call], Sequence[Any]],
    log_depth: Cost | None = None,
    outputs: Callable[[Call], tuple[Tensor, ...]] | None = None,
    *,
    has_workspace: bool = False,
) -> Operator:
    """All but its depth is known by the parameters; biases among them are vectors."""
    return Operator(
        names,
        flops=lambda call: _products(call, parameters(call)),
        elementwise=lambda call: _cells(call, parameters(call), _CELL),
        log_depth=log_depth,
        outputs=outputs,
        has_workspace=has_workspace,
    )


def _backward(
    names: str, weights: Callable[[Call], Sequence[Any]], parameters: Callable[[Call], Sequence[Any]]
) -> Operator:
    return Operator(
        names,
        flops=lambda call: 2 * _products(call, weights(call)),
        elementwise=lambda call: _cells(call, parameters(call), _CELL_BACKWARD, extra=1),
    )


def _products(call: Call, parameters: Sequence[Any]) -> int:
    return 2 * _positions(call) * _numbers(parameters, dimensions=2)


def _cells(call: Call, parameters: Sequence[Any], cell: dict[int, int], extra: int = 0) -> int:
    work = sum(layer.hidden * (cell[layer.gates] + extra) for layer in _layers(parameters))
    return _positions(call) * (work + _numbers(parameters, dimensions=1))


def _numbers(parameters: Sequence[Any], dimensions: int) -> int:
    """In the matrices, or in the biases."""
    return sum(int(one.numel()) for one in parameters if isinstance(one, Tensor) and one.ndim == dimensions)


def _positions(call: Call) -> int:
    """Batch and length come first, in either order."""
    return int(call.args[0].shape[0] * call.args[0].shape[1])


def _depth(length: int, parameters: Sequence[Any], directions: int = 1) -> float:
    """All layers in sequence, directions side by side."""
    bias = any(isinstance(one, Tensor) and one.ndim == 1 for one in parameters)
    return sum(layer.depth(length, bias) for layer in _layers(parameters)[::directions])


def _whole_depth(call: Call) -> float:
    """``rnn_tanh/gru/lstm.input(input, state, parameters, …, bidirectional at 7, batch_first)``."""
    return _depth(int(call.args[0].shape[1 if call.args[8] else 0]), call.args[2], 2 if call.args[7] else 1)


def _whole_outputs(call: Call) -> tuple[Tensor, ...]:
    values, state, *_, bidirectional, _ = call.args
    states = tuple(state) if isinstance(state, list | tuple) else (state,)
    hidden = int(states[0].shape[-1]) * (2 if bidirectional else 1)
    output = values.new_empty((*values.shape[:2], hidden))
    return (output, *(one.new_empty(one.shape) for one in states))


def _onednn(call: Call) -> Sequence[Any]:
    """``mkldnn_rnn_layer(input (n, b, d), w_ih, w_hh, b_ih, b_hh, …, has_biases at 12, …)``."""
    return call.args[1 : 5 if call.args[12] else 3]


def _onednn_backward(call: Call) -> Sequence[Any]:
    """``mkldnn_rnn_layer_backward(input, w_ih, w_hh, b_ih, b_hh, …, has_biases at 17, …)``; one sum for both biases."""
    return call.args[1 : 4 if call.args[17] else 3]


def _cell(gates: int) -> Cost:
    """``_thnn_fused_…_cell(input_gates, hidden_gates, state, input_bias, hidden_bias)``: products come before."""
    return lambda call: int(call.args[2].numel()) * (_CELL[gates] + gates * number_given(call.args[3:5]))


def _cell_backward(gates: int, state: int, has_bias: int) -> Cost:
    """Places of one of the numbers of the state, and of whether there are biases."""
    work = _CELL_BACKWARD[gates]
    return lambda call: int(call.args[state].numel()) * (work + gates * bool(call.args[has_bias]))


OPERATORS = (
    _recurrence(
        "rnn_tanh.input rnn_relu.input gru.input lstm.input", lambda call: call.args[2], _whole_depth, _whole_outputs
    ),
    _recurrence(
        "mkldnn_rnn_layer",
        _onednn,
        log_depth=lambda call: _depth(int(call.args[0].shape[0]), _onednn(call)),
        has_workspace=True,
    ),
    _backward("mkldnn_rnn_layer_backward", lambda call: call.args[1:3], _onednn_backward),
    _recurrence("_cudnn_rnn", lambda call: call.args[1], has_workspace=True),
    _backward("_cudnn_rnn_backward", lambda call: call.args[1], lambda call: call.args[1]),
    Operator("_thnn_fused_gru_cell", nothing, _cell(3)),
    Operator("_thnn_fused_lstm_cell", nothing, _cell(4)),
    # (grad_hy, workspace, has_bias) and (grad_hy, grad_cy, cx, …, has_bias)
    Operator("_thnn_fused_gru_cell_backward", nothing, _cell_backward(3, state=0, has_bias=2)),
    Operator("_thnn_fused_lstm_cell_backward_impl", nothing, _cell_backward(4, state=2, has_bias=5)),
)
