"""Fourier transforms.

FLOPs: the usual 5 N log₂ N for each transform of length N, all transformed dimensions together; not rounded, so that
its law can be recovered. Depth: log₂ N.
"""

from __future__ import annotations

import math

from attnbench.counting.operators.contract.costs import tree
from attnbench.counting.operators.contract.operator import Call, Effect, Operator
from attnbench.counting.operators.contract.rules import along


def _numbers_and_length(call: Call) -> tuple[int, int]:
    """Numbers before or after, whichever are more, and how many of them are transformed together."""
    values, dimensions = call.args[:2]
    larger = values if values.numel() >= call.output.numel() else call.output
    return int(larger.numel()), math.prod(int(larger.shape[dimension]) for dimension in dimensions)


def _flops(call: Call) -> float:
    numbers, length = _numbers_and_length(call)
    return 5 * numbers * math.log2(max(length, 2))


OPERATORS = (
    Operator(
        "_fft_r2c _fft_c2r _fft_c2c",
        flops=_flops,
        log_depth=lambda call: tree(_numbers_and_length(call)[1]),
        effective=Effect.ALL_NEEDED,
        dependencies=along,
    ),
)
