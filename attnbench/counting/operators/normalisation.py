"""Normalisations of layers, groups and batches, and by the root of the mean square; softmaxes.

A normalisation, element-wise: 5 per number (mean, subtract, square, sum, divide), 3 without the mean, 2 with stored
statistics, and 1 more for each of weight and bias; backwards 9, 3 more for a weight and 1 for a bias. Depth over m
numbers: 6 + 2·log₂ m, 1 more for each of weight and bias; 4 + log₂ m without the mean.

A softmax, element-wise: 5 per number (maximum, subtract, exp, sum, divide), backwards 4. Depth: 3 + 2·log₂ m, one more
for a logarithm; backwards 3 + log₂ m, 2 + log₂ m of a log-softmax.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from attnbench.counting.operators.contract.costs import along_dimension, each_taken, log, number_given
from attnbench.counting.operators.contract.dependencies import Dependencies, Rule, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Effect, Operator, nothing
from attnbench.counting.operators.contract.rules import everything, row_of, rows, unless

#: Element-wise work for each number; weight and bias come on top.
NORMALISE = SOFTMAX = 5


def normalise_depth(length: float, factors: int) -> float:
    """Steps of a normalisation over `length` numbers, with so many of weight and bias."""
    return 6 + 2 * log(length) + factors


def _normalisation(
    names: str, length: Callable[[Call], float], factors: slice, dependencies: Rule | None = None
) -> Operator:
    """Over `length` numbers; `factors` are the places of weight and bias."""

    def elementwise(call: Call) -> int:
        return int(call.args[0].numel()) * (NORMALISE + number_given(call.args[factors]))

    def depth(call: Call) -> float:
        return normalise_depth(length(call), number_given(call.args[factors]))

    return Operator(names, nothing, elementwise, depth, Effect.SMOOTH, dependencies)


def _is_training(call: Call) -> bool:
    """``native_batch_norm(input, weight, bias, …, training, …)``; the first truth value among them is `training`."""
    return next((value for value in call.args[3:] if isinstance(value, bool)), False)


def _batch(call: Call) -> int:
    work = NORMALISE if _is_training(call) else 2
    return int(call.args[0].numel()) * (work + number_given(call.args[1:3]))


def _batch_depth(call: Call) -> float:
    """Stored statistics need no tree."""
    values, factors = call.args[0], number_given(call.args[1:3])
    return normalise_depth(values.numel() / values.shape[1], factors) if _is_training(call) else 2.0 + factors


def _root_mean_square(call: Call) -> int:
    """``rms_norm(input, shape, weight, eps)``: square, sum, divide."""
    return int(call.args[0].numel()) * (3 + number_given([call.argument(2, "weight")]))


def _root_mean_square_depth(call: Call) -> float:
    """Square, mean, root, divide."""
    return 4 + log(math.prod(call.args[1])) + number_given([call.argument(2, "weight")])


def _backward(call: Call) -> int:
    """``…_norm_backward(grad, …, output_mask)``: of the input always; a mask says whether of weight and bias."""
    weight, bias = (*call.args[-1][1:], False)[:2]
    return int(call.args[0].numel()) * (9 + 3 * bool(weight) + bool(bias))


def _backward_depth(call: Call) -> float:
    """``…_norm_backward(grad, input, …)``: the gradients of the input (within a row) and of the weight (over rows)."""
    shape = call.args[2] if isinstance(call.args[2], list | tuple) else call.args[1].shape[1:]
    row = math.prod(shape)
    return max(8 + log(row), 3 + log(call.args[0].numel() / row))


def softmax_depth(length: float) -> float:
    """Steps of a softmax over `length` numbers."""
    return 3 + 2 * log(length)


def _normalised(call: ShadowCall) -> Dependencies:
    """``native_layer_norm(input, shape, weight, bias, eps)`` → numbers, means, deviations: each of its whole row."""
    factors = [value for value in (call.named["weight"], call.named["bias"]) if value is not None]
    if not all(call.operand(factor).constant.all() for factor in factors):
        return everything(call)
    size = math.prod(call.named["normalized_shape"])
    together = call.operand("input").places.reshape(-1, size)
    return Dependencies(
        [together.repeat(output.numel() // len(together), axis=0) for output in call.outputs], a_sum=True
    )


def _weighed(masked: float) -> Rule:
    """A weight of exactly `masked` was masked out, and neither knows anything nor counts."""

    def rule(call: ShadowCall) -> Dependencies:
        dead = (call.outputs[0].detach() == masked).numpy().reshape(-1)
        positions = rows(call)
        read = unless(dead[positions], call.operands[0].places.reshape(-1)[positions])
        return Dependencies([unless(dead[:, None], read[row_of(call, call.outputs[0])])], a_sum=True)

    return rule


def _softmax(names: str, effective: Effect | None = None) -> Operator:
    depth = along_dimension(softmax_depth)
    return Operator(names, nothing, each_taken(SOFTMAX), depth, effective, dependencies=_weighed(0))


def _log_softmax(names: str, effective: Effect | None = None) -> Operator:
    depth = along_dimension(lambda length: 1 + softmax_depth(length))
    return Operator(names, nothing, each_taken(SOFTMAX), depth, effective, dependencies=_weighed(-np.inf))


def _softmax_backward(names: str, steps: int) -> Operator:
    depth = along_dimension(lambda length: steps + log(length), place=2)
    return Operator(names, nothing, each_taken(4), depth)


OPERATORS = (
    # (input, shape, weight, bias, eps) and (input, weight, bias, N, C, HxW, group, eps)
    _normalisation("native_layer_norm", lambda call: math.prod(call.args[1]), slice(2, 4), _normalised),
    _normalisation("native_group_norm", lambda call: call.args[4] * call.args[5] / call.args[6], slice(1, 3)),
    Operator(
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training", nothing, _batch, _batch_depth
    ),
    Operator("_fused_rms_norm", nothing, _root_mean_square, _root_mean_square_depth, Effect.SMOOTH),
    Operator("rms_norm", nothing, _root_mean_square, _root_mean_square_depth),
    Operator(
        "native_layer_norm_backward native_group_norm_backward native_batch_norm_backward _fused_rms_norm_backward",
        nothing,
        _backward,
        _backward_depth,
    ),
    _softmax("_softmax _safe_softmax", Effect.SMOOTH),
    _softmax("softmax"),
    _log_softmax("_log_softmax", Effect.SMOOTH),
    _log_softmax("log_softmax"),
    _softmax_backward("_softmax_backward_data", steps=3),
    _softmax_backward("_log_softmax_backward_data", steps=2),
)
