"""Facts about this machine, and the devices it has."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path

import psutil
import torch

from attnbench.errors import DeviceError
from attnbench.record import Host
from attnbench.spec import AUTO


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
    available = int(psutil.virtual_memory().available)
    limit = Path("/sys/fs/cgroup/memory.max")
    current = Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and current.exists() and (text := limit.read_text().strip()).isdecimal():
        used = int(current.read_text()) - _reclaimable_bytes()
        return max(0, min(available, int(text) - used))
    return available


def _reclaimable_bytes() -> int:
    """File cache that the container's count of used memory holds, and that the kernel gives back when asked."""
    lines = _lines("/sys/fs/cgroup/memory.stat")
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


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
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    import cpuinfo  # asks the system's own tools, which takes a second

    return str(cpuinfo.get_cpu_info().get("brand_raw", platform.processor() or sys.platform))


def _caches() -> dict[str, int]:
    """Bytes of each data cache the first core sees, such as ``{"L2": 1048576}``."""
    units = {"K": 1024, "M": 1024**2}
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ("".join(_lines(folder / name)[:1]) for name in ("level", "type", "size"))
        if kind != "Instruction" and size[-1:] in units:
            found[f"L{level}"] = int(size[:-1]) * units[size[-1]]
    return found


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
