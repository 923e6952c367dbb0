"""Point-wise operations: each number is made of numbers in the same place, after broadcasting.

Element-wise: 1 per number given; an exponential or a tanh is one operation, and so is a comparison, a choice or the
derivative of an activation. Depth: 1. Torch marks most of them, and those need no entry unless more is known of them.

A complex number is two numbers, so that a sum, a choice or a function is 2. More is what mixes its two halves: a
product is 6 (four products, two sums), and 2 with a real factor; a square or a power is a product; a quotient 11 (a
product by the conjugate, a square of the divisor's size, two divisions), 7 of a real by a complex number, 2 the other
way round; an absolute value 4 (two squares, a sum, a root), a sign 6, an exponential 5 (exp, cos, sin, two products), a
number from its size and angle 4. A conjugate is 1.

A constant may leave the other operands nothing to say: a product with a constant 0 is 0, a sum with a constant infinity
is infinite, and a choice by a constant condition takes one side and never looks at the other.
"""

from __future__ import annotations

import numpy as np

from attnbench.counting.operators.contract.costs import complex_among, each_given, each_taken
from attnbench.counting.operators.contract.dependencies import Dependencies, Operand, Reads, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Cost, Effect, Operator, costless, nothing
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


def _of_parts(*work: int) -> Cost:
    """So much for each number given where none, one or both operands are complex."""

    def cost(call: Call) -> int:
        return work[complex_among(call.args[: len(work) - 1])] * _places(call)

    return cost


def _places(call: Call) -> int:
    """Numbers given, where a complex one is one."""
    return int(call.output.numel())


def _quotients(call: Call) -> int:
    """``div(self, other)``: what is divided, and by what."""
    above, below = (complex_among([value]) for value in call.args[:2])
    return (11 if above and below else 7 if below else 2 if above else 1) * _places(call)


OPERATORS = (
    Operator("mul", None, _of_parts(1, 2, 6), effective=Effect.SMOOTH, pointwise_dependencies=merging(_product)),
    Operator("bitwise_and logical_and", pointwise_dependencies=merging(_product)),
    Operator("div", None, _quotients, effective=Effect.SMOOTH, pointwise_dependencies=merging(_quotient)),
    Operator("add sub rsub", effective=Effect.SMOOTH, pointwise_dependencies=merging(_sum)),
    Operator(
        "addcmul", None, _of_parts(1, 4, 8), effective=Effect.SMOOTH, pointwise_dependencies=merging(_added_product)
    ),
    Operator("where", nothing, each_given, effective=Effect.SMOOTH, pointwise_dependencies=merging(_choice)),
    Operator("masked_fill", nothing, each_given, effective=Effect.SMOOTH, dependencies=merging(_fill)),
    Operator(
        """
        neg sqrt rsqrt expm1 exp2 log log1p log2 sin cos tanh sigmoid erf gelu silu softplus elu mish addcdiv lerp
        """,
        effective=Effect.SMOOTH,
    ),
    Operator("pow", None, _of_parts(1, 6, 6), effective=Effect.SMOOTH),
    Operator("square reciprocal", None, _of_parts(1, 6), effective=Effect.SMOOTH),
    Operator("exp", None, _of_parts(1, 5), effective=Effect.SMOOTH),
    Operator("abs", None, _of_parts(1, 4)),
    Operator("sgn", None, _of_parts(1, 6)),
    Operator("conj_physical _conj_physical", nothing, _places, dependencies=merged),
    Operator(
        """
        floor_divide hardswish_backward log_sigmoid_backward _prelu_kernel _prelu_kernel_backward elu_backward
        leaky_relu_backward hardsigmoid_backward hardtanh_backward softplus_backward glu_backward
        """,
        nothing,
        each_given,
    ),
    Operator("hardswish", nothing, each_given, dependencies=merged),
    Operator("polar", nothing, lambda call: 4 * _places(call), dependencies=merged),
    Operator("log_sigmoid_forward", nothing, each_taken(), dependencies=merged),
    Operator("glu", nothing, each_taken(), dependencies=_halved),
    costless("complex", dependencies=merged),
)
