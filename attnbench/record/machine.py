"""The machine that a run was made on: its facts, and what it does at best."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Kinds of devices that tell how much of their memory was in use at most.
_TELLING = ("cpu", "cuda", "xpu")


def tells_memory(device: str) -> bool:
    """Whether a device tells how much of its memory a call took."""
    return device.partition(":")[0] in _TELLING


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a device was seen to do at best, in one kind of numbers; None where it could not be measured.

    Attributes:
        device, dtype, threads: under which choices.
        flops_per_second: operations of a product of square matrices.
        edge: of those matrices.
        bytes_per_second: read and written in a copy beyond every cache.
        copied_bytes: of the buffer that was copied.
        reason: why something is not known; empty when all is.
    """

    device: str
    dtype: str
    threads: int
    flops_per_second: float | None = None
    edge: int | None = None
    bytes_per_second: float | None = None
    copied_bytes: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """Facts about the machine that a reader of a timing needs; what a system does not tell is None or empty.

    Attributes:
        cpu: model of the processor.
        cores: logical cores that the run may use.
        memory_bytes: main memory.
        system, python, torch, blas: names and versions.
        devices: where trials can run.
        load: load averages over 1, 5 and 15 minutes when the facts were read.
        caches: bytes of the data caches of one core, by level.
        logical_cores, physical_cores: of the whole machine; they differ where two logical cores share one.
        frequency_mhz: when the facts were read.
        governor: how the frequency is chosen, such as ``performance``.
        turbo: whether cores may run above their base frequency.
        steal: share of processor time since the system's start that other virtual machines took.
        cpu_limit: cores' worth of time that the container may use.
        memory_limit_bytes: memory that the container may use.
        thread_settings: environment variables on threads, and torch's own number.
        accelerators: model, memory and driver of each GPU.
    """

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    torch: str
    blas: str
    devices: tuple[str, ...] = ()
    load: tuple[float, ...] = ()
    caches: dict[str, int] = field(default_factory=dict)
    logical_cores: int | None = None
    physical_cores: int | None = None
    frequency_mhz: float | None = None
    governor: str | None = None
    turbo: bool | None = None
    steal: float | None = None
    cpu_limit: float | None = None
    memory_limit_bytes: int | None = None
    thread_settings: dict[str, str] = field(default_factory=dict)
    accelerators: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What must agree before two records may be compared."""
        models = (name.partition(", driver ")[0] for name in self.accelerators)
        return " · ".join([self.cpu, f"{self.cores} cores", *models, f"torch {self.torch}"])

    def differences(self, here: Host) -> str:
        """Why what was measured here does not belong to what was measured on this host; empty when it does."""
        facts = [(host.key, f"Python {host.python}", host.blas) for host in (self, here)]
        return next((f"on {one}; this is {other}" for one, other in zip(*facts, strict=True) if one != other), "")
