"""Products of matrices and vectors, and distances between rows.

FLOPs: one multiply-add is two, so ``(…, m, k) @ (…, k, p)`` is 2·k for each number given; of complex numbers it is
eight, four products and four sums of real ones. The bias that is added is element-wise work, 1 per number (2 per
complex one), so that a fused bias and one added afterwards cost the same; nothing where beta is 0. Depth: 1 + log₂ k,
and one more for the bias; a step may be one of complex numbers.
"""

from __future__ import annotations

import math

import numpy as np

from attnbench.counting.operators.contract.costs import log, multiply_add, numbers
from attnbench.counting.operators.contract.dependencies import Dependencies, Operand, Reads, Rule, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Cost, Factors, Operator
from attnbench.counting.operators.contract.rules import tried, unless


def product_depth(inner: float, bias: bool = False) -> float:
    """Steps of a product with inner length `inner`."""
    return 1 + log(inner) + bias


def _product(names: str, first: str, second: str) -> Operator:
    return Operator(
        names,
        flops=_flops(place=0),
        log_depth=lambda call: product_depth(_inner(call, place=0)),
        effective=Factors(0, 1),
        dependencies=_multiplied(first, second),
    )


def _added_product(names: str, first: str, second: str) -> Operator:
    """``addmm(self, mat1, mat2, *, beta=1, …)``: the bias comes first."""
    return Operator(
        names,
        flops=_flops(place=1),
        elementwise=lambda call: numbers(call.output) if _has_bias(call) else 0,
        log_depth=lambda call: product_depth(_inner(call, place=1), bias=_has_bias(call)),
        effective=Factors(1, 2),
        dependencies=_multiplied(first, second, bias="self"),
    )


def _flops(place: int) -> Cost:
    return lambda call: multiply_add(*call.args[place : place + 2]) * int(call.output.numel()) * _inner(call, place)


def _inner(call: Call, place: int) -> int:
    """Products behind every number given, by the first factor."""
    return int(call.args[place].shape[-1])


def _has_bias(call: Call) -> bool:
    return bool(call.kwargs.get("beta", 1) != 0)


def _multiplied(first: str, second: str, bias: str = "") -> Rule:
    """A matrix product, and the bias merged in afterwards."""

    def rule(call: ShadowCall) -> Dependencies:
        a, b = call.operand(first), call.operand(second)
        rows = a if a.places.ndim > 1 else a.viewed(lambda values: values[None, :])
        columns = b.viewed(lambda values: np.swapaxes(values if values.ndim > 1 else values[:, None], -1, -2))
        return Dependencies([_pairs(rows, columns)], a_sum=True, added=_bias(call, bias))

    return rule


def _compared(call: ShadowCall) -> Dependencies:
    """Distances between all rows of one operand and all rows of another."""
    return Dependencies([_pairs(*call.operands[:2], cut=False)], a_sum=True)


def _pairs(rows: Operand, columns: Operand, *, cut: bool = True) -> Reads:
    """``[…, m, k]`` and ``[…, p, k]`` → ``[… m p, 2k]``; a constant factor of 0 cuts a pair, if `cut`."""
    left = rows.viewed(lambda values: values[..., :, None, :])
    right = columns.viewed(lambda values: values[..., None, :, :])
    dead = left.equals(0) | right.equals(0) if cut else np.zeros((), np.bool_)
    shape = np.broadcast_shapes(left.places.shape, right.places.shape)
    sides = [np.broadcast_to(unless(dead, side.places), shape) for side in (left, right) if not side.constant.all()]
    if not sides:  # nothing but constants, or no numbers at all
        return np.empty((math.prod(shape[:-1]), 0), np.int64)
    return np.concatenate(sides, axis=-1).reshape(-1, len(sides) * shape[-1])


def _bias(call: ShadowCall, name: str) -> Reads | None:
    if not name or call.named.get("beta") == 0 or call.operand(name).constant.all():
        return None
    return np.broadcast_to(call.operand(name).places, call.outputs[0].shape).reshape(-1, 1)


OPERATORS = (
    _product("mm bmm", "self", "mat2"),
    _product("mv", "self", "vec"),
    _product("dot", "self", "tensor"),
    _product("vdot", "self", "other"),
    _added_product("addmm", "mat1", "mat2"),
    _added_product("baddbmm", "batch1", "batch2"),
    _added_product("addmv", "mat", "vec"),
    Operator("_cdist_forward", dependencies=_compared),
    Operator("_trilinear", dependencies=tried),
)
