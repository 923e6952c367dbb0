"""Point-wise operations: each number is made of numbers in the same place, after broadcasting.

Element-wise: 1 per number given; an exponential or a tanh is one operation, and so is a comparison, a choice or the
derivative of an activation; a complex number is one number. Depth: 1. Torch marks most of them, and those need no
entry unless more is known of them.

A constant may leave the other operands nothing to say: a product with a constant 0 is 0, a sum with a constant
infinity is infinite, and a choice by a constant condition takes one side and never looks at the other.
"""

from __future__ import annotations

import numpy as np

from attnbench.counting.operators.contract.costs import each_given, each_taken
from attnbench.counting.operators.contract.dependencies import Dependencies, Operand, Reads, ShadowCall
from attnbench.counting.operators.contract.operator import Effect, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import merged, merging, side_by_side, unless


def _product(operands: list[Operand]) -> list[Reads]:
    dead = operands[0].equals(0) | operands[1].equals(0)
    return [unless(dead, operand.places) for operand in operands]


def _quotient(operands: list[Operand]) -> list[Reads]:
    return [unless(operands[0].equals(0), operand.places) for operand in operands]


def _sum(operands: list[Operand]) -> list[Reads]:
    dead = np.zeros((), np.bool_)
    for operand in operands[:2]:
        dead = dead | operand.equals(np.inf) | operand.equals(-np.inf)
    return [unless(dead, operand.places) for operand in operands]


def _choice(operands: list[Operand]) -> list[Reads]:
    """``where(condition, a, b)``."""
    condition, yes, no = operands[:3]
    return [condition.places, unless(condition.equals(0), yes.places), unless(condition.equals(1), no.places)]


def _fill(operands: list[Operand]) -> list[Reads]:
    """``masked_fill(self, mask, value)``."""
    kept, mask, value = operands[:3]
    return _choice([mask, value, kept])


def _added_product(operands: list[Operand]) -> list[Reads]:
    """``addcmul(self, a, b)``."""
    return [operands[0].places, *_product(operands[1:3])]


def _halved(call: ShadowCall) -> Dependencies:
    """``glu(self, dim)``: one half of the numbers gates the other half."""
    return side_by_side(call, np.split(call.operands[0].places, 2, axis=call.named["dim"] or 0))


OPERATORS = (
    Operator("mul", effective=Effect.SMOOTH, pointwise_dependencies=merging(_product)),
    Operator("bitwise_and logical_and", pointwise_dependencies=merging(_product)),
    Operator("div", effective=Effect.SMOOTH, pointwise_dependencies=merging(_quotient)),
    Operator("add sub rsub", effective=Effect.SMOOTH, pointwise_dependencies=merging(_sum)),
    Operator("addcmul", effective=Effect.SMOOTH, pointwise_dependencies=merging(_added_product)),
    Operator("where", nothing, each_given, effective=Effect.SMOOTH, pointwise_dependencies=merging(_choice)),
    Operator("masked_fill", nothing, each_given, effective=Effect.SMOOTH, dependencies=merging(_fill)),
    Operator(
        """
        neg reciprocal square pow sqrt rsqrt exp expm1 exp2 log log1p log2 sin cos tanh sigmoid erf gelu silu softplus
        elu mish addcdiv lerp
        """,
        effective=Effect.SMOOTH,
    ),
    Operator(
        """
        floor_divide hardswish_backward log_sigmoid_backward _prelu_kernel _prelu_kernel_backward elu_backward
        leaky_relu_backward hardsigmoid_backward hardtanh_backward softplus_backward glu_backward
        """,
        nothing,
        each_given,
    ),
    Operator("hardswish polar", nothing, each_given, dependencies=merged),
    Operator("log_sigmoid_forward", nothing, each_taken(), dependencies=merged),
    Operator("glu", nothing, each_taken(), dependencies=_halved),
    costless("complex", dependencies=merged),
)
