"""What files of the kernel say, on machines that are not here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from attnbench.measure.machine import system
from attnbench.measure.machine.system import MemoryLimit, ProcessorTimes
from tests.measure.fake_system import write

if TYPE_CHECKING:
    from pathlib import Path

GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({f"{GROUPS}/cpu.max": "max 100000"}, None),
        ({f"{GROUPS}/cpu.max": "50000 100000"}, 0.5),
        ({f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, None),
        ({f"{GROUPS}/cpu/cpu.cfs_quota_us": "250000", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"}, 2.5),
        (
            {
                "proc/self/cgroup": "0::/user/mine",
                f"{GROUPS}/user/cpu.max": "200000 100000",
                f"{GROUPS}/user/mine/cpu.max": "300000 100000",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/elsewhere\n2:cpu,cpuacct:/mine",
                f"{GROUPS}/cpu/mine/cpu.cfs_quota_us": "100000",
                f"{GROUPS}/cpu/mine/cpu.cfs_period_us": "100000",
            },
            1.0,
        ),
        ({"proc/self/cgroup": "nonsense", f"{GROUPS}/cpu.max": "garbage"}, None),
    ],
    ids=["none", "v2, no limit", "v2", "v1, no limit", "v1", "the tighter of nested groups", "v1, nested", "garbage"],
)
def test_the_limit_of_a_container_is_the_tightest_of_its_groups(
    files: dict[str, str], cores: float | None, root: Path
) -> None:
    write(root, files)

    assert system.cpu_limit() == cores


def test_limits_of_memory_leave_out_what_the_kernel_gives_back(root: Path) -> None:
    write(
        root,
        {
            "proc/self/cgroup": "4:memory:/mine",
            f"{GROUPS}/memory/memory.limit_in_bytes": "9223372036854771712",
            f"{GROUPS}/memory/memory.usage_in_bytes": "5",
            f"{GROUPS}/memory/mine/memory.limit_in_bytes": "700",
            f"{GROUPS}/memory/mine/memory.usage_in_bytes": "500",
            f"{GROUPS}/memory/mine/memory.stat": "cache 80\ntotal_inactive_file 60",
        },
    )

    assert list(system.memory_limits()) == [MemoryLimit(700, 440)]


@pytest.mark.parametrize(
    ("file", "text", "on"),
    [
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
        ("intel_pstate/no_turbo", "0", True),
        ("intel_pstate/no_turbo", "1", False),
    ],
)
def test_turbo_is_read_from_either_driver(file: str, text: str, on: bool, root: Path) -> None:
    write(root, {f"sys/devices/system/cpu/{file}": text})

    assert system.turbo() is on


def test_time_of_guests_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = {"user": 60.0, "idle": 30.0, "steal": 10.0, "guest": 50.0, "guest_nice": 0.0}
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(_asdict=lambda: spent))

    assert system.processor_times() == ProcessorTimes(stolen=10.0, total=100.0)
