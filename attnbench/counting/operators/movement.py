"""Moves of numbers: views, copies, joins, rearrangements and padding.

They cost nothing. A view has no depth either; a copy is one step.
"""

from __future__ import annotations

from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall
from attnbench.counting.operators.contract.operator import Effect, Operator, each_taken, nothing
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
    Operator("copy fill", nothing, nothing, effective=Effect.SMOOTH, dependencies=_copied),
    Operator("_to_copy", nothing, nothing, effective=Effect.SMOOTH, dependencies=merged),
    Operator(
        "clone cat stack constant_pad_nd roll flip repeat tril triu",
        nothing,
        nothing,
        effective=Effect.SMOOTH,
        dependencies=moved,
    ),
    Operator(
        """
        contiguous reflection_pad1d replication_pad1d select_scatter slice_scatter diagonal_scatter as_strided_scatter
        diag_embed
        """,
        nothing,
        nothing,
        dependencies=moved,
    ),
    Operator("reflection_pad2d replication_pad2d", dependencies=moved),
    Operator("lift_fresh", nothing, nothing, effective=Effect.SMOOTH),
    Operator(
        """
        pad rot90 block_diag unfold split_with_sizes_copy split_copy unbind_copy lift_fresh_copy set resize is_same_size
        _local_scalar_dense select_backward slice_backward
        """,
        nothing,
        nothing,
    ),
    Operator("unfold_backward", nothing, each_taken()),
)
