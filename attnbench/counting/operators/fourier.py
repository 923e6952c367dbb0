"""Fourier transforms.

FLOPs: the usual 5 N log₂ N for each transform of N numbers, all transformed dimensions together; half of it, 2.5 N log₂
N, for one between N real numbers and the half of a spectrum that tells the other half (rfft, irfft, hfft, ihfft). Not
rounded, so that its law can be recovered. What torch makes of several transforms is counted as such: a hfft of two
dimensions is a complex one along the first and a real one along the second, and the gradient of an rfft is a complex
transform of N numbers. Depth: log₂ N.
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
    return (2.5 if _is_of_half_a_spectrum(call) else 5) * numbers * math.log2(max(length, 1))


def _is_of_half_a_spectrum(call: Call) -> bool:
    """``_fft_r2c(self, dim, normalization, onesided)``; ``_fft_c2r`` has no other form."""
    name = call.operation.overloadpacket.__name__
    return name == "_fft_c2r" or (name == "_fft_r2c" and bool(call.argument(3, "onesided")))


OPERATORS = (
    Operator(
        "_fft_r2c _fft_c2r _fft_c2c",
        flops=_flops,
        log_depth=lambda call: tree(_numbers_and_length(call)[1]),
        effective=Effect.ALL_NEEDED,
        dependencies=along,
    ),
)
