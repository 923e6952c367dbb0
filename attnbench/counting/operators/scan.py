"""Scans, sorts, and choices of the largest.

Element-wise: a scan is 1 per number (2 per complex one, 6 in a running product), a sort n⌈log₂ n⌉ per row, and so is a
choice of the k largest; a search 1 per number given. Depth over m numbers: a scan log₂ m, a sort or a choice (log₂ m)².
"""

from __future__ import annotations

import math

import numpy as np

from attnbench.counting.operators.contract.costs import (
    along_dimension,
    each_given,
    each_multiplied,
    each_taken,
    length,
    log,
    tree,
)
from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Cost, Effect, Operator, nothing
from attnbench.counting.operators.contract.rules import along, dimensions, rows, unless


def _scanned(call: ShadowCall) -> Dependencies:
    """A running sum or maximum: every output reads all up to itself."""
    places, together = call.operands[0].places, rows(call)
    dimension, size = dimensions(call)[0], together.shape[1]
    read = unless(np.triu(np.ones((size, size), np.bool_), 1), places.reshape(-1)[together][:, None, :])
    others = [size for axis, size in enumerate(places.shape) if axis != dimension]
    running = np.moveaxis(read.reshape(*others, size, size), len(others), dimension).reshape(-1, size)
    return Dependencies([running for _ in call.outputs], a_sum=True)


def _comparisons(place: int) -> Cost:
    """Of a merge sort, row by row, along the dimension that the argument at `place` names."""

    def work(call: Call) -> int:
        values = call.args[0]
        return int(values.numel()) * math.ceil(math.log2(max(length(values, call.argument(place, "dim", -1)), 1)))

    return work


def _sort(names: str, place: int) -> Operator:
    depth = along_dimension(lambda length: max(log(length) ** 2, 1.0), place)
    return Operator(names, nothing, _comparisons(place), depth, dependencies=along)


OPERATORS = (
    Operator("cumsum", nothing, each_taken(), along_dimension(tree), Effect.SMOOTH, _scanned),
    Operator("cumprod", nothing, each_multiplied, along_dimension(tree), dependencies=_scanned),
    Operator("cummax cummin logcumsumexp", nothing, each_taken(), along_dimension(tree), dependencies=_scanned),
    Operator("_cummax_helper _cummin_helper", dependencies=_scanned),
    _sort("sort argsort", place=1),
    _sort("topk", place=2),
    Operator("bucketize searchsorted", nothing, each_given),
)
