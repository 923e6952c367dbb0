"""What the operating system tells about processors and the limits of a container.

All of it is read from files of the kernel, which other systems and many virtual machines do not have: what cannot be
read is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_CPU = "/sys/devices/system/cpu"
_GROUPS = "/sys/fs/cgroup"
#: The first version of control groups writes "no limit" as the largest number of whole pages.
_NO_LIMIT = 2**60
#: Where /proc/self/stat names the core, counted from what follows the program's name (proc(5), field 39).
_CORE_FIELD = 36


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The memory of one control group.

    Attributes:
        limit_bytes: what its processes may use together.
        used_bytes: what they use, without file cache that the kernel gives back when asked.
    """

    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Seconds of all cores since the system's start: what other virtual machines took of them, and all."""

    stolen: float
    total: float


def processor_times() -> ProcessorTimes | None:
    """How processor time was spent so far; None where the system does not count what is stolen."""
    times = psutil.cpu_times()._asdict()
    inside = {"guest", "guest_nice"}  # these are part of user and nice already
    if "steal" not in times:
        return None
    return ProcessorTimes(times["steal"], sum(value for name, value in times.items() if name not in inside))


def stolen_between(before: ProcessorTimes | None, after: ProcessorTimes | None) -> float | None:
    """Share of processor time that other virtual machines took; None where it is not counted, or none went by."""
    if before is None or after is None or after.total <= before.total:
        return None
    return min(max(0.0, after.stolen - before.stolen) / (after.total - before.total), 1.0)


def lines(path: str | Path) -> list[str]:
    """Lines of a small text file; none when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def word(path: str | Path) -> str:
    """The first line of a file, stripped; empty when it cannot be read."""
    return "".join(lines(path)[:1]).strip()


def governor() -> str | None:
    """How the first core's frequency is chosen, such as ``performance``."""
    return word(f"{_CPU}/cpu0/cpufreq/scaling_governor") or None


def turbo() -> bool | None:
    """Whether cores may run above their base frequency for as long as heat and power allow."""
    for path, on in ((f"{_CPU}/cpufreq/boost", "1"), (f"{_CPU}/intel_pstate/no_turbo", "0")):
        if found := word(path):
            return found == on
    return None


def frequency_here() -> float | None:
    """Frequency of the core that this process was last seen on, in MHz; None where the system does not tell."""
    fields = word("/proc/self/stat").rpartition(")")[2].split()
    core = fields[_CORE_FIELD] if len(fields) > _CORE_FIELD else "0"
    kilohertz = word(f"{_CPU}/cpu{core}/cpufreq/scaling_cur_freq")
    return int(kilohertz) / 1000 if kilohertz.isdecimal() and int(kilohertz) else None


def cpu_limit() -> float | None:
    """Cores' worth of time that the container may use; None without a limit."""
    limits = [quota / period for quota, period in map(_quota, _groups("cpu")) if quota > 0 and period > 0]
    return min(limits, default=None)


def memory_limits() -> Iterator[MemoryLimit]:
    """Every limit of memory that holds for this process."""
    for folder in _groups("memory"):
        v2 = (folder / "memory.max").exists()
        names = (
            ("max", "current", "inactive_file") if v2 else ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
        )
        limit, used = (word(folder / f"memory.{name}") for name in names[:2])
        if limit.isdecimal() and used.isdecimal() and int(limit) < _NO_LIMIT:
            stated = (line.split() for line in lines(folder / "memory.stat"))
            cache = next((int(parts[1]) for parts in stated if parts[:1] == [names[2]]), 0)
            yield MemoryLimit(int(limit), int(used) - cache)


def available_bytes() -> int:
    """Main memory that can be taken now without swapping, within the container's limit."""
    free = [group.limit_bytes - group.used_bytes for group in memory_limits()]
    return max(0, min([int(psutil.virtual_memory().available), *free]))


def _quota(folder: Path) -> tuple[int, int]:
    """Microseconds of processor time in each period of so many; zero where there is no limit."""
    if not (parts := word(folder / "cpu.max").split()):
        parts = [word(folder / "cpu.cfs_quota_us"), word(folder / "cpu.cfs_period_us")]
    return (int(parts[0]), int(parts[1])) if all(part.isdecimal() for part in parts) and len(parts) == 2 else (0, 0)


def _groups(controller: str) -> list[Path]:
    """Folders of the control groups that this process is in, of either version, the root's first."""
    found = [Path(_GROUPS), Path(_GROUPS) / controller]
    for line in lines("/proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        folder = found[1] if controllers else found[0]
        for name in path.split("/"):
            folder = folder / name
            found.append(folder)
    return list(dict.fromkeys(found))
