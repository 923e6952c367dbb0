"""What a visit is made under: load, stolen time and frequency of the host, clock and heat of the GPU.

It is read once for each visit and outside of what is timed, so that a slow spell can be told from a slow layer. On the
host it takes about a tenth of a millisecond, most of it for the times of all cores (`/proc/stat`).
"""

from __future__ import annotations

import contextlib
import os
from functools import cache
from typing import Any

import torch

from attnbench.measure.machine import system
from attnbench.record import Conditions

#: Bits by which NVIDIA's library says what holds a clock down, in words. Idling and a clock that somebody chose are not
#: among them.
_THROTTLE = {
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x10: "the clock of another GPU",
    0x20: "heat, by the driver",
    0x40: "heat, by the hardware",
    0x80: "power brake",
}


class Watch:
    """Looks at the machine from where it is made until `conditions` is asked for."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = system.processor_times()

    def conditions(self) -> dict[str, Any]:
        """What the visit was made under, as JSON."""
        graphics = _of_gpu(self._device) if self._device.startswith("cuda") else {}  # at once: an idle GPU cools down
        steal = system.stolen_between(self._before, system.processor_times())
        return Conditions(_load(), steal, system.frequency_here(), **graphics).as_json()


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _of_gpu(device: str) -> dict[str, Any]:
    """Clock, temperature and what holds the clock down; what the library does not tell is left out."""
    library, handle = _nvml(device)
    if handle is None:
        return {}
    found: dict[str, Any] = {}
    with contextlib.suppress(library.NVMLError):
        found["sm_clock_mhz"] = float(library.nvmlDeviceGetClockInfo(handle, library.NVML_CLOCK_SM))
    with contextlib.suppress(library.NVMLError):
        found["temperature_c"] = float(library.nvmlDeviceGetTemperature(handle, library.NVML_TEMPERATURE_GPU))
    with contextlib.suppress(library.NVMLError):
        bits = int(library.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        found["throttle"] = tuple(words for bit, words in _THROTTLE.items() if bits & bit)
    return found


@cache
def _nvml(device: str) -> tuple[Any, Any]:
    """NVIDIA's library and its name for a device of ours; twice None where either is missing.

    They number devices differently where some are hidden from a program, so that the device is found by its UUID.
    """
    try:
        import pynvml  # there is no need for it on machines without such a GPU

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception:  # the library, the driver or the device's name is missing, in whatever way: nobody tells
        return None, None
