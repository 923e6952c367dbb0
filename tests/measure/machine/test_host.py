"""Facts about a machine, and devices of machines that are not here."""

from __future__ import annotations

import sys
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from attnbench.errors import DeviceError
from attnbench.measure.machine.host import available_bytes, devices, read_host, resolve_device
from attnbench.record import Host
from tests.measure.fake_system import write

if TYPE_CHECKING:
    from pathlib import Path


def with_accelerator(monkeypatch: pytest.MonkeyPatch, kind: str | None, count: int = 1) -> None:
    """A machine with `count` devices of one kind, or with none."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(str(kind)))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)


# ------------------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize(
    ("kind", "count", "names"),
    [
        (None, 0, ("cpu",)),
        ("cuda", 1, ("cpu", "cuda")),
        ("cuda", 2, ("cpu", "cuda:0", "cuda:1")),
        ("mps", 1, ("cpu", "mps")),
        ("xpu", 2, ("cpu", "xpu:0", "xpu:1")),
    ],
)
def test_devices_are_the_cpu_and_what_the_accelerator_offers(
    kind: str | None, count: int, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accelerator(monkeypatch, kind, count)

    assert devices() == names
    assert read_host().devices == names


@pytest.mark.parametrize(
    ("kind", "count", "asked", "device"),
    [
        (None, 0, "auto", "cpu"),
        (None, 0, "cpu", "cpu"),
        ("cuda", 1, "auto", "cuda"),
        ("cuda", 1, "cuda", "cuda"),
        ("cuda", 1, "cuda:0", "cuda"),
        ("cuda", 1, "cpu", "cpu"),
        ("cuda", 2, "auto", "cuda:0"),
        ("cuda", 2, "cuda", "cuda"),
        ("cuda", 2, "cuda:1", "cuda:1"),
        ("mps", 1, "auto", "mps"),
        ("mps", 1, "mps", "mps"),
    ],
)
def test_a_device_is_found_by_its_name(
    kind: str | None, count: int, asked: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accelerator(monkeypatch, kind, count)

    assert resolve_device(asked) == device


@pytest.mark.parametrize(
    ("kind", "count", "asked", "message"),
    [
        (None, 0, "cuda", "device 'cuda' is not on this machine; it has cpu"),
        ("cuda", 1, "cuda:1", "device 'cuda:1' is not on this machine; it has cpu, cuda"),
        ("cuda", 2, "cuda:2", "device 'cuda:2' is not on this machine; it has cpu, cuda:0, cuda:1"),
        ("mps", 1, "cuda", "device 'cuda' is not on this machine; it has cpu, mps"),
        (None, 0, "", "device '' is not on this machine; it has cpu"),
    ],
)
def test_a_device_that_is_absent_is_an_error_that_names_those_present(
    kind: str | None, count: int, asked: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_accelerator(monkeypatch, kind, count)

    with pytest.raises(DeviceError) as caught:
        resolve_device(asked)

    assert str(caught.value) == message


# --------------------------------------------------------------------------------------------------------------- facts


def test_every_fact_of_this_machine_is_there_and_of_its_kind() -> None:
    facts = read_host()

    text = {
        name: value for name, value in asdict(facts).items() if name in {"cpu", "system", "python", "torch", "blas"}
    }
    assert all(isinstance(value, str) and value for value in text.values())
    assert facts.cores >= 1
    assert facts.memory_bytes > 2**20
    assert len(facts.load) == 3
    assert all(level.startswith("L") and size > 0 for level, size in facts.caches.items())
    assert facts.torch == torch.__version__
    assert Host(**asdict(facts)) == facts


def test_the_processor_and_its_caches_are_read_from_the_system(root: Path) -> None:
    write(root, {"proc/cpuinfo": "processor : 0\nmodel name\t: A fine CPU @ 3 GHz\nmodel name : another"})
    for index, facts_of_one in enumerate([("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "9M")]):
        folder = f"sys/devices/system/cpu/cpu0/cache/index{index}"
        write(root, {f"{folder}/{name}": v for name, v in zip(("level", "type", "size"), facts_of_one, strict=True)})

    facts = read_host()

    assert facts.cpu == "A fine CPU @ 3 GHz"
    assert facts.caches == {"L1": 48 * 1024, "L3": 9 * 1024**2}


def test_limits_and_frequencies_are_among_the_facts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=2400.04))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    write(
        root,
        {
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
            "sys/devices/system/cpu/cpufreq/boost": "1",
            "sys/fs/cgroup/cpu.max": "150000 100000",
            "sys/fs/cgroup/memory.max": "700",
            "sys/fs/cgroup/memory.current": "0",
        },
    )

    facts = read_host()

    assert (facts.governor, facts.turbo, facts.frequency_mhz) == ("powersave", True, 2400.0)
    assert (facts.logical_cores, facts.physical_cores) == (8, 4)
    assert (facts.cpu_limit, facts.memory_limit_bytes) == (1.5, 700)
    assert facts.thread_settings["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in facts.thread_settings
    assert facts.thread_settings["torch"] == str(torch.get_num_threads())


def test_what_a_system_does_not_tell_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(_asdict=lambda: {"user": 3.0, "idle": 4.0}))
    write(root, {"proc/cpuinfo": "model name\t: A fine CPU"})

    facts = read_host()

    told = (facts.governor, facts.turbo, facts.frequency_mhz, facts.steal, facts.cpu_limit, facts.memory_limit_bytes)
    assert told == (None,) * 6


def fake_nvml(count: int, as_bytes: bool) -> SimpleNamespace:
    """NVIDIA's library on a machine with `count` GPUs; its older versions answer in bytes."""
    said: list[str] = []

    def text(value: str) -> str | bytes:
        return value.encode() if as_bytes else value

    return SimpleNamespace(
        said=said,
        nvmlInit=lambda: said.append("init"),
        nvmlShutdown=lambda: said.append("shutdown"),
        nvmlSystemGetDriverVersion=lambda: text("550.54.15"),
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: text(f"NVIDIA T{handle}"),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=16 * 2**30),
    )


@pytest.mark.parametrize("as_bytes", [False, True])
def test_gpus_are_told_with_memory_and_driver(as_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    library = fake_nvml(2, as_bytes)
    monkeypatch.setitem(sys.modules, "pynvml", library)

    assert read_host().accelerators == (
        "NVIDIA T0, 16 GiB, driver 550.54.15",
        "NVIDIA T1, 16 GiB, driver 550.54.15",
    )
    assert library.said == ["init", "shutdown"]


def test_without_nvidias_library_torch_is_asked_about_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    properties = SimpleNamespace(name="Some GPU", total_memory=24 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)

    assert read_host().accelerators == ("Some GPU, 24 GiB",)


# -------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 1000),
        ({"memory.max": "max", "memory.current": "900"}, 1000),
        ({"memory.max": "700", "memory.current": "300"}, 400),
        ({"memory.max": "5000", "memory.current": "300"}, 1000),
        ({"memory.max": "700"}, 1000),
        ({"memory.max": "700", "memory.current": "690", "memory.stat": "anon 90\ninactive_file 600\n"}, 610),
        ({"memory.max": "700", "memory.current": "800"}, 0),
        ({"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "300"}, 400),
    ],
    ids=[
        "no container",
        "no limit",
        "a tight limit",
        "a wide limit",
        "half a limit",
        "file cache is not in use",
        "over the limit",
        "the first version of control groups",
    ],
)
def test_memory_is_what_is_free_within_the_limit_of_the_container(
    files: dict[str, str], expected: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    write(root, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})

    assert available_bytes() == expected
