"""Moves of numbers: views, copies, joins, rearrangements and padding.

They cost nothing. A view has no depth either; a copy is one step.
"""

from __future__ import annotations

from attnbench.counting.operators.contract.costs import each_taken
from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall
from attnbench.counting.operators.contract.operator import Effect, Operator, costless, nothing
from attnbench.counting.operators.contract.rules import merged, moved, side_by_side


def _copied(call: ShadowCall) -> Dependencies:
    """``copy_(self, src)`` and ``fill_(self, value)``: only the second operand is left."""
    return side_by_side(call, [call.operands[1].places])


OPERATORS = (
    # Views that do not say so, or that are made in place.
    Operator(
        "_unsafe_view unsafe_split unsafe_split_with_sizes transpose t squeeze unsqueeze detach",
        nothing,
        effective=Effect.SMOOTH,
        is_view=True,
    ),
    Operator("unsafe_chunk swapaxes swapdims as_strided", nothing, is_view=True),
    # Other memory for the same numbers; to move them there is no step of the layer.
    Operator("set resize resize_as", nothing, is_view=True),
    costless("copy fill", Effect.SMOOTH, _copied),
    costless("_to_copy", Effect.SMOOTH, merged),
    costless("clone cat stack constant_pad_nd roll flip repeat tril triu", Effect.SMOOTH, dependencies=moved),
    costless(
        """
        contiguous reflection_pad1d replication_pad1d select_scatter slice_scatter diagonal_scatter as_strided_scatter
        diag_embed
        """,
        dependencies=moved,
    ),
    Operator("reflection_pad2d replication_pad2d", dependencies=moved),
    costless("lift_fresh", Effect.SMOOTH),
    costless("""
        pad rot90 block_diag unfold split_with_sizes_copy split_copy unbind_copy lift_fresh_copy is_same_size
        _local_scalar_dense select_backward slice_backward
        """),
    Operator("unfold_backward", nothing, each_taken()),
)
