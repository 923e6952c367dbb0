"""What a visit was made under, as machines that are not here would tell it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch

from attnbench.measure.machine import conditions
from attnbench.measure.machine.conditions import Watch
from tests.measure.fake_system import write

if TYPE_CHECKING:
    from pathlib import Path

#: What follows the program's name in /proc/self/stat: the last field here is the core, number 39 in proc(5).
STAT = "71 (a name) with) " + " ".join(["S", *["0"] * 35, "3", "9"])


def spent(steal: float, total: float) -> SimpleNamespace:
    """Seconds of all cores, as psutil has them."""
    values = {"user": total - steal, "idle": 0.0, "steal": steal, "guest": 7.0}
    return SimpleNamespace(_asdict=lambda: values)


@pytest.fixture(autouse=True)
def _nobody_was_asked_before() -> Iterator[None]:
    conditions._nvml.cache_clear()
    yield
    conditions._nvml.cache_clear()


def test_a_visit_says_what_was_stolen_while_it_lasted_and_how_fast_its_core_ran(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([spent(5.0, 100.0), spent(6.0, 120.0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    monkeypatch.setattr(os, "getloadavg", lambda: (1.234, 9.0, 9.0))
    write(root, {"proc/self/stat": STAT, "sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "3400123"})

    assert Watch("cpu").conditions() == {"load": 1.23, "steal": 1 / 20, "frequency_mhz": 3400.123}


def test_what_a_system_does_not_tell_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Any:
        raise OSError

    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(_asdict=lambda: {"user": 1.0}))
    monkeypatch.setattr(os, "getloadavg", nothing)

    assert Watch("cpu").conditions() == {}


class NVMLError(Exception):
    """As in NVIDIA's library."""


def refuse(*_: object) -> int:
    raise NVMLError


def library(**told: Callable[..., int]) -> SimpleNamespace:
    """NVIDIA's library beside a hot card; it knows cards by their UUID."""
    functions = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": {"GPU-11-22": "the card"}.__getitem__,
        "nvmlDeviceGetClockInfo": lambda handle, clock: {("the card", 1): 1410}[handle, clock],
        "nvmlDeviceGetTemperature": lambda handle, sensor: {("the card", 0): 83}[handle, sensor],
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda handle: {"the card": 0x1 | 0x4 | 0x20}[handle],
    }
    return SimpleNamespace(NVMLError=NVMLError, NVML_CLOCK_SM=1, NVML_TEMPERATURE_GPU=0, **{**functions, **told})


def of_gpu(monkeypatch: pytest.MonkeyPatch, nvml: SimpleNamespace | None, uuid: str = "11-22") -> dict[str, Any]:
    """What a visit on the second visible card says of it."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    properties = {"cuda:1": SimpleNamespace(uuid=uuid)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    host = {"load", "steal", "frequency_mhz"}
    return {name: value for name, value in Watch("cuda:1").conditions().items() if name not in host}


def test_a_visit_on_a_gpu_says_its_clock_its_heat_and_what_held_it_down(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_gpu(monkeypatch, library()) == {
        "sm_clock_mhz": 1410.0,
        "temperature_c": 83.0,
        "throttle": ("power limit", "heat, by the driver"),  # idling, the lowest bit, holds nothing down
    }


def test_a_gpu_that_does_not_tell_one_thing_tells_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = library(nvmlDeviceGetTemperature=refuse, nvmlDeviceGetCurrentClocksThrottleReasons=refuse)

    assert of_gpu(monkeypatch, silent) == {"sm_clock_mhz": 1410.0}


@pytest.mark.parametrize("nvml", [None, library(nvmlInit=refuse), library(nvmlDeviceGetHandleByUUID=refuse)])
def test_a_gpu_that_nvidias_library_does_not_know_is_measured_without_it(
    nvml: SimpleNamespace | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of_gpu(monkeypatch, nvml) == {}
