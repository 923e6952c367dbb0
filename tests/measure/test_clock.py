"""Clocks: what reading one costs, and which device is waited for."""

from __future__ import annotations

import pytest
import torch

from attnbench.measure.clock import AcceleratorClock, WallClock, clock_for, overhead
from attnbench.measure.loop import time_block
from tests.measure.fake_clock import FakeClock


@pytest.fixture
def waited_for(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Devices that were waited for, in order, in place of waiting."""
    devices: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", devices.append)
    return devices


def test_the_overhead_is_what_one_reading_costs() -> None:
    assert overhead(FakeClock(reading=2.0**-20)) == 2.0**-20


def test_one_interrupted_reading_does_not_change_the_overhead() -> None:
    clock = FakeClock(reading=2.0**-20)
    readings = iter([2.0**-20] * 9 + [1.0] + [2.0**-20] * 100)

    def interrupted() -> float:
        clock.time += next(readings)
        return clock.time

    clock.now = interrupted  # type: ignore[method-assign]

    assert overhead(clock, readings=11) == 2.0**-20


def test_the_wall_clock_goes_forward_and_has_nothing_to_wait_for(waited_for: list[torch.device]) -> None:
    clock = WallClock()
    before = clock.now()
    clock.drain()

    assert clock.now() >= before
    assert waited_for == []


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "xpu"])
def test_an_accelerator_is_drained_before_and_after_a_block(device: str, waited_for: list[torch.device]) -> None:
    clock = clock_for(device)

    assert isinstance(clock, AcceleratorClock)
    assert time_block(lambda: waited_for.append(torch.device("cpu")), 2, clock) >= 0
    assert [str(d) for d in waited_for] == [device, "cpu", "cpu", device]


def test_the_cpu_gets_the_wall_clock() -> None:
    assert type(clock_for("cpu")) is WallClock
