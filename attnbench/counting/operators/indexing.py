"""Gathers and scatters: an index says which numbers are read, or where they are written.

A choice is a move and costs nothing. Sums at an index cost 1 per number added; of their depth, log₂ m, all m numbers
may meet in one place.
"""

from __future__ import annotations

import numpy as np
import torch

from attnbench.counting.operators.contract.costs import each_of, each_taken, length, numbers, tree
from attnbench.counting.operators.contract.dependencies import Dependencies, Reads, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import moved_by_index, tried_by_index


def _does_accumulate(call: Call) -> bool:
    """``index_put(self, indices, values, accumulate=False)``."""
    return bool(call.argument(3, "accumulate", False))


def _put(call: Call) -> int:
    """An addition where values accumulate, else a copy."""
    return numbers(call.args[2]) if _does_accumulate(call) else 0


def _put_depth(call: Call) -> float:
    places = max(int(index.numel()) for index in call.args[1] if index is not None)
    return tree(places) if _does_accumulate(call) else 1.0


def _added_depth(call: Call) -> float:
    """``index_add(self, dim, index, source)``, ``scatter_add``."""
    return tree(length(call.args[3], call.args[1]))


def _looked_up_depth_backward(call: Call) -> float:
    """``embedding_dense_backward(grad, indices, …)``."""
    return tree(call.args[1].numel())


def _looked_up(call: ShadowCall) -> Dependencies:
    """``embedding(weight, indices)``: a row of the table, chosen by an index."""
    table, index = call.operand("weight").places, call.operand("indices").places
    return _chosen(call, index[..., None, None], table.T)


def _indexed(call: ShadowCall) -> Dependencies:
    """``index(self, indices)``, one for a dimension or None: what they choose stands in place of these dimensions."""
    values = call.operand("self").places
    given = {axis: call.operand(index).places for axis, index in enumerate(call.named["indices"]) if index is not None}
    axes, chosen = list(given), np.broadcast_arrays(*given.values())
    if any(index.dtype == torch.bool for index in call.named["indices"] if index is not None):
        return moved_by_index(call)
    first = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0
    kept = np.moveaxis(values, axes, range(-len(axes), 0)).reshape(*np.delete(values.shape, axes), -1)
    shape = chosen[0].shape
    after = (1,) * (kept.ndim - 1 - first)
    lines = kept.reshape(*kept.shape[:first], *(1,) * len(shape), *kept.shape[first:])
    return _chosen(call, np.stack(chosen, axis=-1).reshape(*shape, *after, len(axes)), lines)


def _selected(call: ShadowCall) -> Dependencies:
    """``index_select(self, dim, index)``."""
    values, axis = call.operand("self").places, call.named["dim"] % max(call.operand("self").places.ndim, 1)
    after = (1,) * (values.ndim - 1 - axis)
    return _chosen(
        call, call.operand("index").places.reshape(-1, *after, 1), np.expand_dims(_lines(values, axis), axis)
    )


def _gathered(call: ShadowCall) -> Dependencies:
    """``gather(self, dim, index)``: of the line of each number of the index."""
    values, index = call.operand("self").places, call.operand("index").places
    axis = call.named["dim"] % max(values.ndim, 1)
    lines = np.expand_dims(_lines(values, axis), axis)
    return _chosen(
        call,
        index[..., None],
        lines[tuple(slice(size) for size in np.where(np.arange(index.ndim) == axis, 1, index.shape))],
    )


def _lines(places: Reads, axis: int) -> Reads:
    """All that lies along an axis, as the last one."""
    return np.moveaxis(places, axis, -1)


def _chosen(call: ShadowCall, index: Reads, values: Reads) -> Dependencies:
    """Numbers chosen out of `values` by an `index` that may depend on the input: any of the values may be read then.

    Args:
        call: the operation.
        index: ``[…, k]``, the indices that choose each number of the output; broadcast to its shape.
        values: ``[…, m]``, the numbers that each is chosen from, likewise.
    """
    if (index < 0).all():
        return moved_by_index(call)
    shape = tuple(call.outputs[0].shape)
    sides = [np.broadcast_to(side, (*shape, side.shape[-1])) for side in (index, values) if (side >= 0).any()]
    reads = np.concatenate(sides, axis=-1).reshape(call.outputs[0].numel(), -1)
    return Dependencies([reads], a_sum=bool((values >= 0).any()))


def _placed(call: ShadowCall) -> Dependencies:
    """``index_put`` and ``scatter``, which write, or add where they are told to."""
    adds = call.named.get("accumulate") or call.named.get("reduce")
    return tried_by_index(call) if adds else moved_by_index(call)


def _scattered(call: ShadowCall) -> Dependencies:
    """``scatter(self, dim, index, src or value)``: any number of a line may end anywhere in it."""
    values, index = call.operand("self").places, call.operand("index").places
    given = call.operand("src" if "src" in call.named else "value").places
    axis = call.named["dim"] % max(values.ndim, 1)
    others = [size for place, size in enumerate(values.shape) if place != axis]
    if call.named.get("reduce") or (index < 0).all() or np.delete(index.shape, axis).tolist() != others:
        return _placed(call)
    sides = [_lines(side, axis) for side in (index, np.broadcast_to(given, index.shape) if given.ndim == 0 else given)]
    lines = np.expand_dims(np.concatenate(sides, axis=-1), axis)
    read = np.concatenate([values[..., None], np.broadcast_to(lines, (*values.shape, lines.shape[-1]))], axis=-1)
    return Dependencies([read.reshape(values.size, -1)], a_sum=False)


OPERATORS = (
    costless("index", dependencies=_indexed),
    costless("index_select", dependencies=_selected),
    costless("gather", dependencies=_gathered),
    costless("take masked_select masked_scatter repeat_interleave", dependencies=moved_by_index),
    Operator("index_copy", dependencies=moved_by_index),
    costless("embedding", dependencies=_looked_up),
    Operator("embedding_dense_backward", nothing, each_taken(), _looked_up_depth_backward),
    costless("scatter", dependencies=_scattered),
    Operator("index_put", nothing, _put, _put_depth, dependencies=_placed),
    Operator("_index_put_impl", nothing, _put, dependencies=_placed),
    Operator("index_add scatter_add", nothing, each_of(3), _added_depth, dependencies=tried_by_index),
    Operator("scatter_reduce", nothing, each_of(3)),
    costless("_unsafe_index index_fill one_hot nonzero"),
)
