"""What a device can do at best: operations a second in a product of matrices, bytes a second in a copy.

They are the roof of a roofline: nothing that has to compute and to move more than these can be faster, unless what it
moves never leaves a cache. Both are timed by the clock and the loop that time trials, under the same threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from attnbench.errors import UnsupportedError, words_of
from attnbench.measure.clock import Clock, last_cache
from attnbench.measure.loop import Pace, time_call
from attnbench.measure.machine.host import available_bytes, last_cache_bytes
from attnbench.units import seconds as told

#: Edges of the square matrices: the best rate over all that the time allows counts.
EDGES = (128, 256, 512, 1024, 2048, 4096, 8192)
#: A call at the smallest size that takes longer than this is done by no kernel worth a roof.
_TOO_SLOW_SECONDS = 1.0
#: Calls that one size costs at least: the first, the second, and a block.
_CALLS = 4
#: Each of the two buffers of a copy is this many times as large as the last cache, and never smaller than the least.
_CACHES, _MIN_COPY = 2, 2**26
#: Share of the available memory that a buffer may take.
_MEMORY_SHARE = 1 / 8
#: Share of the time that the product gets.
_PRODUCT_SHARE = 0.6
#: Of the time for all sizes, so many parts are kept for large ones, whose few calls take what they take.
_SPARE_PARTS = 3


def measure_peaks(device: str, dtype: str, seconds: float, clock: Clock) -> dict[str, Any]:
    """Best rates of `device` in numbers of `dtype`, within about `seconds`; what cannot be measured is None.

    Returns:
        ``flops_per_second`` and the ``edge`` of the matrices it was reached with; ``bytes_per_second``, bytes read and
        written, and ``copied_bytes``, the bytes of the buffer; a ``reason`` for each that is None; and
        ``clock_seconds``, what measuring took.
    """
    begun, found, reasons = clock.now(), dict[str, Any](), []
    for keys, measure, share in (
        (("flops_per_second", "edge"), _products, _PRODUCT_SHARE),
        (("bytes_per_second", "copied_bytes"), _copies, 1 - _PRODUCT_SHARE),
    ):
        try:
            found |= zip(keys, measure(device, dtype, share * seconds, clock), strict=True)
        except Exception as error:  # a peak that cannot be measured is unknown, and never ends a run
            found |= dict.fromkeys(keys)
            reasons.append(words_of(error)[:200])
    return {**found, "reason": "; ".join(reasons), "clock_seconds": clock.now() - begun}


class Operation(NamedTuple):
    """What is timed at several sizes.

    Attributes:
        make: the call at a size, everything it needs allocated.
        work: how much such a call does.
    """

    make: Callable[[int], Callable[[], Any]]
    work: Callable[[int], float]


def best_rate(operation: Operation, sizes: Sequence[int], clock: Clock, seconds: float) -> tuple[float, int]:
    """The best rate over `sizes`, and the size that reached it; from the smallest on, as far as the time goes.

    Raises:
        UnsupportedError: one call at the smallest size takes so long that no trial would be measured like it.
    """
    begun, best, pace = clock.now(), (0.0, 0), Pace(seconds / (len(sizes) + _SPARE_PARTS))
    for size in sizes:
        left, work = begun + seconds - clock.now(), operation.work(size)
        if best[1] and _CALLS * work / best[0] > left:
            break
        fastest = min(time_call(operation.make(size), clock, pace).block_seconds)
        if not best[1] and fastest > _TOO_SLOW_SECONDS:
            raise UnsupportedError(f"one call takes {told(fastest)} at the smallest size, {size}: no fast one is here")
        best = max(best, (work / fastest, size))
    return best


def _products(device: str, dtype: str, seconds: float, clock: Clock) -> tuple[float, int]:
    """The product of two square matrices into a third."""

    def make(edge: int) -> Callable[[], Any]:
        left, right, result = (torch.randn(edge, edge, device=device, dtype=getattr(torch, dtype)) for _ in range(3))
        return partial(torch.mm, left, right, out=result)

    with torch.inference_mode():
        return best_rate(Operation(make, lambda edge: 2.0 * edge**3), EDGES, clock, seconds)


def _copies(device: str, dtype: str, seconds: float, clock: Clock) -> tuple[float, int]:
    """A copy from one buffer to another, neither of which fits a cache; each byte is read once and written once."""

    def make(size: int) -> Callable[[], Any]:
        number = getattr(torch, dtype)
        source, target = (torch.ones(size // number.itemsize, device=device, dtype=number) for _ in range(2))
        return partial(target.copy_, source)

    with torch.inference_mode():
        return best_rate(Operation(make, lambda size: 2.0 * size), [_buffer(device)], clock, seconds)


def _buffer(device: str) -> int:
    """Bytes of a buffer well beyond the last cache, rounded to whole numbers of any kind."""
    cache = last_cache_bytes() if device == "cpu" else last_cache(torch.device(device))
    wanted = max(_MIN_COPY, _CACHES * cache if math.isfinite(cache) else 0)
    return int(min(wanted, _MEMORY_SHARE * available_bytes(device))) // 64 * 64
