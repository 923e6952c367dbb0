"""Facts about this machine, and the devices it has."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from attnbench.errors import DeviceError
from attnbench.measure.machine import system
from attnbench.measure.machine.system import lines
from attnbench.record import Host
from attnbench.spec import AUTO

#: What the libraries behind torch read before they choose their number of threads and where these run.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
)


def read_host() -> Host:
    """What a reader of a timing needs to know of this machine, now."""
    return Host(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
        blas=_blas(),
        devices=devices(),
        load=tuple(round(value, 2) for value in os.getloadavg()),
        caches=_caches(),
        logical_cores=psutil.cpu_count(),
        physical_cores=psutil.cpu_count(logical=False),
        frequency_mhz=_frequency(),
        governor=system.governor(),
        turbo=system.turbo(),
        steal=_steal(),
        cpu_limit=system.cpu_limit(),
        memory_limit_bytes=min((group.limit_bytes for group in system.memory_limits()), default=None),
        thread_settings=_thread_settings(),
        accelerators=_accelerators(),
    )


def devices() -> tuple[str, ...]:
    """Devices a trial can run on: ``cpu``, and what the accelerator offers."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        return ("cpu",)
    count = torch.accelerator.device_count()
    names = [accelerator.type] if count == 1 else [f"{accelerator.type}:{index}" for index in range(count)]
    return ("cpu", *names)


def resolve_device(name: str) -> str:
    """The device that `name` stands for; ``auto`` is the first accelerator, else the CPU.

    Raises:
        DeviceError: this machine does not have it.
    """
    present = devices()
    if name == AUTO:
        return present[1] if len(present) > 1 else "cpu"
    if name in present or any(device.partition(":")[0] == name for device in present):
        return name
    if name.endswith(":0") and name[:-2] in present[1:]:
        return name[:-2]  # the only one of its kind goes without a number
    raise DeviceError(f"device {name!r} is not on this machine; it has {', '.join(present)}")


def available_bytes(device: str = "cpu") -> int:
    """Memory of a device that can be taken now; on the CPU without swapping, within the container's limit."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return system.available_bytes()


def last_cache_bytes() -> float:
    """Size of the last data cache; infinite where the system does not tell."""
    return max(_caches().values(), default=math.inf)


def _blas() -> str:
    """The library behind CPU matrix products, as torch was built."""
    lines = (line.strip(" -") for line in torch.__config__.show().splitlines())
    return next((line for line in lines if "Math Kernel Library Version" in line or "BLAS_INFO" in line), "unknown")[
        :80
    ]


def _cpu_model() -> str:
    for line in lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    import cpuinfo  # asks the system's own tools, which takes a second

    return str(cpuinfo.get_cpu_info().get("brand_raw", platform.processor() or sys.platform))


def _caches() -> dict[str, int]:
    """Bytes of each data cache the first core sees, such as ``{"L2": 1048576}``."""
    units = {"K": 1024, "M": 1024**2}
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ("".join(lines(folder / name)[:1]) for name in ("level", "type", "size"))
        if kind != "Instruction" and size[-1:] in units:
            found[f"L{level}"] = int(size[:-1]) * units[size[-1]]
    return found


def _frequency() -> float | None:
    """Mean of the cores' frequencies now, in MHz; some systems have none to tell."""
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):
        return None
    return round(found.current, 1) if found and found.current else None


def _steal() -> float | None:
    """Share of all processor time since the start of the system that other virtual machines took."""
    times = system.processor_times()
    return round(times.stolen / times.total, 6) if times and times.total else None


def _thread_settings() -> dict[str, str]:
    """Environment variables on threads, which measuring processes inherit, and torch's own choice without a suite's."""
    named = {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ}
    return {"torch": str(torch.get_num_threads()), **named}


def _accelerators() -> tuple[str, ...]:
    """Model, memory and driver of each GPU."""
    try:
        return tuple(_from_nvml())
    except Exception:  # without NVIDIA's library or driver, in whatever way they are missing, torch is asked
        if not torch.cuda.is_available():
            return ()
        found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        return tuple(f"{one.name}, {one.total_memory / 2**30:.0f} GiB" for one in found)


def _from_nvml() -> Iterator[str]:
    import pynvml  # there is no need for it on machines without such a GPU

    pynvml.nvmlInit()
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30
            yield f"{_text(pynvml.nvmlDeviceGetName(handle))}, {memory:.0f} GiB, driver {driver}"
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    """NVML's words, which older versions hand over as bytes."""
    return value.decode() if isinstance(value, bytes) else value
