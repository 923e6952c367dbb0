"""Clocks: what reading one costs, and which device is waited for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from attnbench.measure.clock import AcceleratorClock, EventClock, WallClock, clock_for, overhead
from attnbench.measure.loop import Pace, time_block, time_call
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


def test_a_device_without_events_is_drained_before_and_after_a_block(waited_for: list[torch.device]) -> None:
    clock = clock_for("mps")

    assert type(clock) is AcceleratorClock
    assert time_block(lambda: waited_for.append(torch.device("cpu")), 2, clock) >= 0
    assert [str(d) for d in waited_for] == ["mps", "cpu", "cpu", "mps"]


def test_the_cpu_gets_the_wall_clock() -> None:
    assert type(clock_for("cpu")) is WallClock


# ------------------------------------------------------------------------------------------- a device that is not here


class FakeDevice:
    """A GPU that works off what it is handed in order; an event is the device's time when its turn comes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time_ms = 1000.0
        self.done: list[str] = []
        self.buffers: list[tuple[int, torch.dtype, str]] = []
        monkeypatch.setattr(torch, "Event", self.event)
        monkeypatch.setattr(torch, "empty", self.empty)
        monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: self.done.append(f"drain {device}"))
        monkeypatch.setattr(torch.accelerator, "current_stream", lambda device: f"stream of {device}")
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda device: SimpleNamespace(L2_cache_size=40 * 2**20)
        )

    def call(self) -> None:
        self.time_ms += 2.0
        self.done.append("call")

    def event(self, device: torch.device, enable_timing: bool) -> FakeEvent:
        assert enable_timing
        return FakeEvent(self)

    def empty(self, size: int, dtype: torch.dtype, device: torch.device) -> SimpleNamespace:
        self.buffers.append((size, dtype, str(device)))

        def zero() -> None:
            self.time_ms += 32.0
            self.done.append("flush")

        return SimpleNamespace(zero_=zero)


class FakeEvent:
    def __init__(self, device: FakeDevice) -> None:
        self.device, self.at = device, float("nan")

    def record(self, stream: str) -> None:
        self.at = self.device.time_ms
        self.device.done.append(f"mark {stream}")

    def elapsed_time(self, later: FakeEvent) -> float:
        assert self.device.done[-1].startswith("drain"), "asked before the device was done"
        return later.at - self.at


def marked(device: str, *calls: str) -> list[str]:
    return [f"mark stream of {device}", *calls, f"mark stream of {device}"]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_times_each_call_on_its_own_with_its_cache_flushed_before(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = FakeDevice(monkeypatch)

    assert time_block(gpu.call, 3, clock_for(device)) == pytest.approx(3 * 2e-3)
    assert gpu.done == [f"drain {device}", *(["flush", *marked(device, "call")] * 3), f"drain {device}"]


def test_the_buffer_that_flushes_is_larger_than_the_cache_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeDevice(monkeypatch)
    clock = clock_for("cuda")

    assert gpu.buffers == []  # nothing is taken from the device before it is needed
    for _ in range(2):
        time_block(gpu.call, 2, clock)

    assert gpu.buffers == [(2 * 40 * 2**20, torch.int8, "cuda")]


def test_back_to_back_calls_are_one_stretch_that_nothing_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeDevice(monkeypatch)

    assert EventClock("cuda", back_to_back=True).elapsed(gpu.call, 3) == pytest.approx(3 * 2e-3)
    assert gpu.done == ["drain cuda", *marked("cuda", "call", "call", "call"), "drain cuda"]


def test_where_the_cache_is_not_known_calls_are_timed_back_to_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeDevice(monkeypatch)

    assert clock_for("xpu").elapsed(gpu.call, 2) == pytest.approx(2 * 2e-3)
    assert gpu.done == ["drain xpu", *marked("xpu", "call", "call"), "drain xpu"]


def test_a_visit_of_a_gpu_reads_what_its_events_say(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeDevice(monkeypatch)

    timing = time_call(gpu.call, clock_for("cuda"), Pace(seconds=0.0, least_blocks=4))

    assert timing.block_seconds == pytest.approx([2e-3] * len(timing.block_seconds))
    assert len(timing.block_seconds) == 4
