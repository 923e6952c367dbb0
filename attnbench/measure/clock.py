"""What time is it, on this device? The clock is an argument everywhere, so that tests own time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from statistics import median
from typing import Any, Protocol

import torch

#: Devices whose streams carry events that can be timed.
_WITH_EVENTS = ("cuda", "xpu")
#: Caches do not replace exactly what is oldest, so that writing their size once need not empty them.
_FLUSHES = 2


class Clock(Protocol):
    """A clock that knows when a device has finished what it was given."""

    def now(self) -> float:
        """Seconds since some fixed moment."""

    def drain(self) -> None:
        """Wait until the device has finished everything handed to it."""

    def elapsed(self, call: Callable[[], Any], iterations: int) -> float:
        """Seconds of `iterations` calls, the device drained before and after."""


class WallClock:
    """The CPU's monotonic clock: work is done when the call returns."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def drain(self) -> None:
        """Nothing to wait for."""

    def elapsed(self, call: Callable[[], Any], iterations: int) -> float:
        """Seconds of `iterations` calls between two readings of this clock."""
        self.drain()
        start = self.now()
        for _ in range(iterations):
            call()
        self.drain()
        return self.now() - start


class AcceleratorClock(WallClock):
    """The same clock beside a device that works on its own."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def drain(self) -> None:
        """Wait for the device's queue."""
        torch.accelerator.synchronize(self._device)


class EventClock(AcceleratorClock):
    """Blocks are timed by the device itself, with events on its current stream: CUDA and XPU.

    Before each call the last cache is flushed, outside of what is timed, so that every call finds it as empty as the
    first one in a program would, however small its tensors. Back to back, a block is one stretch of calls that find in
    the cache what the call before left there.

    Args:
        device: whose stream.
        back_to_back: leave the cache as it is. So it is anyway where the size of the cache is not known.
    """

    def __init__(self, device: str, *, back_to_back: bool = False) -> None:
        super().__init__(device)
        self._back_to_back = back_to_back

    def elapsed(self, call: Callable[[], Any], iterations: int) -> float:
        """Seconds of `iterations` calls as the device counts them; with a flush before each, without the flushes."""
        self.drain()
        if self._flusher is None:
            stretches = [self._stretch(call, iterations)]
        else:
            stretches = [self._stretch(call, 1) for _ in range(iterations)]
        self.drain()
        return sum(start.elapsed_time(stop) for start, stop in stretches) / 1e3

    def _stretch(self, call: Callable[[], Any], calls: int) -> tuple[torch.Event, torch.Event]:
        """Hand some calls over between two events."""
        start, stop = (torch.Event(device=self._device, enable_timing=True) for _ in range(2))
        stream = torch.accelerator.current_stream(self._device)
        if self._flusher is not None:
            with torch.inference_mode():  # whether or not the caller is in it, which decides what may be written to
                self._flusher.zero_()
        start.record(stream)
        for _ in range(calls):
            call()
        stop.record(stream)
        return start, stop

    @cached_property
    def _flusher(self) -> torch.Tensor | None:
        """What is written to empty the cache; made when it is first needed."""
        if self._back_to_back or not (size := last_cache(self._device)):
            return None
        with torch.inference_mode():
            return torch.empty(_FLUSHES * size, dtype=torch.int8, device=self._device)


def clock_for(device: str) -> Clock:
    """The clock that suits a device."""
    if device == "cpu":
        return WallClock()
    return EventClock(device) if torch.device(device).type in _WITH_EVENTS else AcceleratorClock(device)


def last_cache(device: torch.device) -> int:
    """Bytes of a GPU's last cache; zero where they are not told."""
    if device.type != "cuda":
        return 0
    return int(torch.cuda.get_device_properties(device).L2_cache_size)


def overhead(clock: Clock, readings: int = 201) -> float:
    """Seconds that it costs to read the clock: the median difference of two readings in a row."""
    return median(-(clock.now() - clock.now()) for _ in range(readings))


def resolution(clock: Clock, steps: int = 21) -> float:
    """Seconds of the clock's smallest step: the least difference of readings that differ."""
    least, before = math.inf, clock.now()
    for _ in range(steps):
        while (after := clock.now()) == before:
            pass
        least, before = min(least, after - before), after
    return least
