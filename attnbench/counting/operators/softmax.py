"""Softmaxes and their derivatives.

Element-wise: 5 per number (maximum, subtract, exp, sum, divide), backwards 4. Depth over m numbers: 3 + 2·log₂ m, one
more for a logarithm; backwards 3 + log₂ m, 2 + log₂ m of a log-softmax.
"""

from __future__ import annotations

import numpy as np

from attnbench.counting.operators.contract.costs import along_dimension, each_taken, log, nothing
from attnbench.counting.operators.contract.dependencies import Dependencies, Rule, ShadowCall
from attnbench.counting.operators.contract.operator import Effect, Operator
from attnbench.counting.operators.contract.rules import row_of, rows, unless

#: Element-wise work for each number.
SOFTMAX = 5


def softmax_depth(length: float) -> float:
    """Steps of a softmax over `length` numbers."""
    return 3 + 2 * log(length)


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


def _backward(names: str, steps: int) -> Operator:
    depth = along_dimension(lambda length: steps + log(length), place=2)
    return Operator(names, flops=nothing, elementwise=each_taken(4), log_depth=depth)


OPERATORS = (
    _softmax("_softmax _safe_softmax", Effect.SMOOTH),
    _softmax("softmax"),
    _log_softmax("_log_softmax", Effect.SMOOTH),
    _log_softmax("log_softmax"),
    _backward("_softmax_backward_data", steps=3),
    _backward("_log_softmax_backward_data", steps=2),
)
