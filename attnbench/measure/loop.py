"""The timing loop.

The timed region is, exactly::

    elapsed(block) = one clock reading + iterations × (loop step + call) + drain of the device

On CUDA and XPU the device times its blocks itself, with events (`attnbench.measure.clock.EventClock`). Inputs and
weights are made before the timed region, the garbage collector is off inside it, and nothing is printed, allocated or
decided within. A block is long enough that the clock reading is less than a thousandth of it.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attnbench.measure.clock import Clock, overhead

#: A block lasts at least this many clock readings, so that reading the clock is below 0.1 % of it.
_READINGS_PER_BLOCK = 1000
_SHORTEST_BLOCK_SECONDS = 2e-4
_SHORT_CALL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of the clock one visit may take.

    Attributes:
        seconds: aim for the whole visit; blocks are added until it is spent.
        least_blocks: blocks that are timed even when `seconds` is spent.
        most_blocks: more blocks than these teach nothing; short calls share blocks until these fill the visit.
    """

    seconds: float
    least_blocks: int = 2
    most_blocks: int = 40


@dataclass(frozen=True, slots=True)
class Timing:
    """What one visit saw: the first call apart, then blocks, in seconds per call."""

    first_call_seconds: float
    iterations: int
    block_seconds: tuple[float, ...]


def time_block(call: Callable[[], Any], iterations: int, clock: Clock) -> float:
    """Seconds of `iterations` calls, by whatever times blocks best on this device."""
    return clock.elapsed(call, iterations)


def time_call(
    call: Callable[[], Any], clock: Clock, pace: Pace, examine: Callable[[Any], None] | None = None
) -> Timing:
    """Time one callable: the first call apart, a warm-up where calls are short, then blocks until the pace is spent.

    Args:
        call: what is timed.
        clock: what times it.
        pace: how much of the clock to take.
        examine: is shown what the first call returned, outside of any timed region; what it raises ends the visit.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begun = clock.now()
        first = _first_call(call, clock, examine)
        second = time_block(call, 1, clock)
        reading = overhead(clock, readings=21)
        left = begun + pace.seconds - clock.now()
        iterations = block_iterations(min(first, second) - reading, reading, left / pace.most_blocks)
        # A long call has warmed itself up in the first one, so that its second can be a block like those after it.
        warm = second >= _SHORT_CALL_SECONDS
        blocks = [second] if warm and iterations == 1 else []
        if iterations > 1 and not warm:
            time_block(call, iterations, clock)
        while len(blocks) < pace.least_blocks or (
            len(blocks) < pace.most_blocks and clock.now() - begun < pace.seconds
        ):
            blocks.append(time_block(call, iterations, clock) / iterations)
        return Timing(first, iterations, tuple(blocks))
    finally:
        if collecting:
            gc.enable()


def _first_call(call: Callable[[], Any], clock: Clock, examine: Callable[[Any], None] | None) -> float:
    """Seconds of one call, whose output is shown to `examine` and then let go."""
    clock.drain()
    start = clock.now()
    output = call()
    clock.drain()
    seconds = clock.now() - start
    if examine is not None:
        examine(output)
    return seconds


def block_iterations(call_seconds: float, overhead_seconds: float, least_seconds: float = 0.0) -> int:
    """Calls in a block, so that it outlasts the clock's own cost a thousandfold, and lasts `least_seconds`."""
    shortest = max(_READINGS_PER_BLOCK * overhead_seconds, _SHORTEST_BLOCK_SECONDS, least_seconds)
    return max(1, math.ceil(shortest / max(call_seconds, 1e-9)))
