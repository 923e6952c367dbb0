"""Gathers and scatters: an index says which numbers are read, or where they are written.

A choice is a move and costs nothing. Sums at an index cost 1 per number added; of their depth, log₂ m, all m numbers
may meet in one place.
"""

from __future__ import annotations

from attnbench.counting.operators.contract.costs import each_of, each_taken, length, tree
from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import everything, moved_by_index, side_by_side, tried_by_index


def _does_accumulate(call: Call) -> bool:
    """``index_put(self, indices, values, accumulate=False)``."""
    return bool(call.argument(3, "accumulate", False))


def _put(call: Call) -> int:
    """An addition where values accumulate, else a copy."""
    return int(call.args[2].numel()) if _does_accumulate(call) else 0


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
    chosen = call.operand("indices").places
    if not call.operand("weight").constant.all():
        return moved_by_index(call) if (chosen < 0).all() else everything(call)
    return side_by_side(call, [chosen[..., None]])


def _placed(call: ShadowCall) -> Dependencies:
    """``index_put`` and ``scatter``, which write, or add where they are told to."""
    adds = call.named.get("accumulate") or call.named.get("reduce")
    return tried_by_index(call) if adds else moved_by_index(call)


OPERATORS = (
    costless(
        "index index_select gather take masked_select masked_scatter repeat_interleave", dependencies=moved_by_index
    ),
    Operator("index_copy", dependencies=moved_by_index),
    costless("embedding", dependencies=_looked_up),
    Operator("embedding_dense_backward", nothing, each_taken(), _looked_up_depth_backward),
    costless("scatter", dependencies=_placed),
    Operator("index_put", nothing, _put, _put_depth, dependencies=_placed),
    Operator("_index_put_impl", nothing, _put, dependencies=_placed),
    Operator("index_add scatter_add", nothing, each_of(3), _added_depth, dependencies=tried_by_index),
    Operator("scatter_reduce", nothing, each_of(3)),
    costless("_unsafe_index index_fill one_hot nonzero"),
)
