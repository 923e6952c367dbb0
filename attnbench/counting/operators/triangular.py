"""Triangular systems, solved by substitution.

FLOPs: m² for each column of m unknowns, as linear algebra counts it, whether the diagonal is ones or not. No
element-wise work. Depth: a product and a sum for each unknown, one after the other.
"""

from __future__ import annotations

import numpy as np

from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall
from attnbench.counting.operators.contract.operator import Call, Effect, Operator, nothing
from attnbench.counting.operators.contract.rules import unless


def _unknowns(call: Call) -> int:
    return int(call.args[0].shape[-1])


def _flops(call: Call) -> int:
    """``linalg_solve_triangular(self, B, *, upper, left=True, unitriangular=False)``."""
    return int(call.output.numel()) * _unknowns(call)


def _substituted(call: ShadowCall) -> Dependencies:
    """An unknown reads its own row of the system, its own given number, and all of both that was solved before it."""
    system, given = call.operand("self").places, call.operand("B").places
    if not call.named["left"]:
        system, given = np.swapaxes(system, -1, -2), np.swapaxes(given, -1, -2)
    size, columns = given.shape[-2:]
    of_lower = call.named["upper"] != call.named["left"]
    known = np.tri(size, dtype=np.bool_) if of_lower else np.tri(size, dtype=np.bool_).T  # [unknown, solved before it]
    in_row = known & ~np.eye(size, dtype=np.bool_) if call.named["unitriangular"] else known
    batch = np.broadcast_shapes(system.shape[:-2], given.shape[:-2])
    shape = (*batch, size, columns)
    rows = unless(~(known[:, :, None] & in_row), system[..., None, :, :]).reshape(*system.shape[:-2], size, 1, -1)
    beside = unless(~known[:, None, :], np.swapaxes(given, -1, -2)[..., None, :, :])
    reads = np.concatenate([np.broadcast_to(part, (*shape, part.shape[-1])) for part in (rows, beside)], axis=-1)
    if not call.named["left"]:
        reads = np.swapaxes(reads, -2, -3)
    return Dependencies([reads.reshape(-1, reads.shape[-1])], a_sum=True)


OPERATORS = (
    Operator(
        "linalg_solve_triangular",
        _flops,
        nothing,
        lambda call: 2.0 * _unknowns(call),
        Effect.ALL_NEEDED,
        dependencies=_substituted,
    ),
)
