"""Time that passes only when a test says so."""

from __future__ import annotations

from attnbench.measure.clock import WallClock


class FakeClock(WallClock):
    """A reading costs `reading` seconds; what was handed to the device costs its time when it is drained."""

    def __init__(self, reading: float = 0.0) -> None:
        self.time, self.reading, self.handed_over = 0.0, reading, 0.0

    def now(self) -> float:
        self.time += self.reading
        return self.time

    def drain(self) -> None:
        self.time, self.handed_over = self.time + self.handed_over, 0.0

    def work(self, seconds: float) -> None:
        self.time += seconds
