"""What time is it, on this device? The clock is an argument everywhere, so that tests own time."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import Protocol

import torch


class Clock(Protocol):
    """A clock that knows when a device has finished what it was given."""

    def now(self) -> float:
        """Seconds since some fixed moment."""

    def drain(self) -> None:
        """Wait until the device has finished everything handed to it."""


class WallClock:
    """The CPU's monotonic clock: work is done when the call returns."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def drain(self) -> None:
        """Nothing to wait for."""


class AcceleratorClock(WallClock):
    """The same clock beside a device that works on its own: CUDA, MPS or XPU."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def drain(self) -> None:
        """Wait for the device's queue."""
        torch.accelerator.synchronize(self._device)


def clock_for(device: str) -> Clock:
    """The clock that suits a device."""
    return WallClock() if device == "cpu" else AcceleratorClock(device)


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
