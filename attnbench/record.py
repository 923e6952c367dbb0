"""What happened to a trial: the lines of the journal and the facts of the host.

The journal is the truth of a run; every table is derived from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from attnbench import units

#: Version of the files in a run folder. History: 1 = first format (0.1.0).
SCHEMA = 1

#: No call takes longer (three years) or less (light goes 0.3 mm) than this; what says so was not measured.
_LONGEST_SECONDS, _SHORTEST_SECONDS = 1e8, 1e-12
#: No run has more rounds, processes or calls in a block than this.
_MOST = 10**12
#: No machine has more bytes than this.
_MOST_BYTES = 10**18
#: A number below this is read as it is.
_SHORT = 10_000
#: What one visit measures: time and memory never come from the same call.
MEASURED_METRICS = ("time", "memory")
#: What a condition may be: no machine has more load or a faster clock, or works when it is colder or hotter.
_POSSIBLE = {
    "load": (0.0, 1e6),
    "steal": (0.0, 1.0),
    "frequency_mhz": (1.0, 1e5),
    "sm_clock_mhz": (0.0, 1e5),
    "temperature_c": (-100.0, 500.0),
}


class Status(StrEnum):
    """How a trial ended; anything but `OK` comes with a one-line reason."""

    OK = "ok"
    OOM = "oom"
    TIMEOUT = "timeout"
    ERROR = "error"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class PathMap:
    """Path length from every input position to every output position of one layer, at the same small n for all layers.

    Attributes:
        sizes: axis → size at which it was counted; empty where the layer refused them.
        rows: one text for each output position: hops from every input position, in order, with a space between;
            ``inf`` where no stack of the layer connects the two.
        refused: why there is no map, in one line; empty where there is one.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What one visit was made under, read outside of what is timed; what a system does not tell is None or empty.

    Attributes:
        load: load average over the last minute.
        steal: share of all cores' time that other virtual machines took while the visit lasted.
        frequency_mhz: of the core that the visit ended on, at its end.
        sm_clock_mhz, temperature_c: of the GPU, just after its last block.
        throttle: what held the GPU's clock down then, in words.
    """

    load: float | None = None
    steal: float | None = None
    frequency_mhz: float | None = None
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    throttle: tuple[str, ...] = ()

    @property
    def flaw(self) -> str:
        """Why this cannot have been read, in words; empty for what a system may have said."""
        for name, (low, high) in _POSSIBLE.items():
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and low <= value <= high):
                return f"{name} cannot be {value!r:.40}"
        if not all(isinstance(word, str) for word in self.throttle):
            return "throttle must be words"
        return ""

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_json` reads back: what is known."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return known | {"throttle": list(self.throttle)} if self.throttle else known

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Conditions:
        """Inverse of `as_json`. Raises TypeError on a foreign mapping."""
        throttle = line.get("throttle", [])
        if not isinstance(throttle, list):
            raise TypeError("throttle must be a list")
        return cls(**{**line, "throttle": tuple(throttle)})


@dataclass(frozen=True, slots=True)
class Visit:
    """One measurement of a trial in one round and one process, for its time or for its memory: a line of the journal.

    Attributes:
        trial: the trial's id.
        process: number of the measuring process within the run, from 0.
        round: number of the round, from 0.
        status: how it ended.
        reason: one line, empty when `status` is ok.
        iterations: calls in each timed block.
        block_seconds: seconds per call, one number for each timed block, in order.
        first_call_seconds: seconds of the very first call after building the layer.
        reference_seconds: the drift reference (a fixed matrix product) timed just before.
        started: seconds since the run began.
        metric: what was measured, of `MEASURED_METRICS`.
        allocated_bytes: largest sum of bytes that torch's allocator handed out during one call; of visits for memory.
        resident_bytes: largest growth of the process (on a GPU: of what torch reserved there) during one call; None
            where the system does not tell.
        conditions: what it was made under; None where nothing was read.
        compile_seconds: seconds of the call that compiled the layer, before the first call; None where none did.
        kernels: names of what one call ran, in the order of first use; told by the first visit of a trial.
    """

    trial: str
    process: int
    round: int
    status: Status = Status.OK
    reason: str = ""
    iterations: int = 0
    block_seconds: tuple[float, ...] = ()
    first_call_seconds: float | None = None
    reference_seconds: float | None = None
    started: float = 0.0
    metric: str = "time"
    allocated_bytes: int | None = None
    resident_bytes: int | None = None
    conditions: Conditions | None = None
    compile_seconds: float | None = None
    kernels: tuple[str, ...] = ()

    @property
    def clock_seconds(self) -> float:
        """Seconds that were timed: the first call, and all blocks."""
        return (self.first_call_seconds or 0.0) + self.iterations * sum(self.block_seconds)

    @property
    def flaw(self) -> str:
        """Why this cannot have happened, in words; empty for what a clock or an allocator may have said."""
        if self.metric not in MEASURED_METRICS:
            return f"metric cannot be {self.metric!r:.40}"
        for name in ("process", "round", "iterations"):
            if not _is_whole(number := getattr(self, name)):
                return f"{name} cannot be {number!r:.40}"
        words: list[Any] = [self.trial, self.reason, *self.kernels]
        if not all(isinstance(word, str) for word in words):
            return "trial, reason and kernels must be words"
        once = [(name, getattr(self, name)) for name in ("first_call_seconds", "reference_seconds", "compile_seconds")]
        times = [("block_seconds", seconds) for seconds in self.block_seconds]
        for name, seconds in times + [(name, seconds) for name, seconds in once if seconds is not None]:
            if not _is_seconds(seconds):
                return f"{name} cannot be {seconds!r:.40}"
        if not (_is_number(self.started) and 0 <= self.started <= _LONGEST_SECONDS):
            return f"started cannot be {self.started!r:.40}"
        if self.conditions and (flaw := self.conditions.flaw):
            return flaw
        return self._flaw_of_memory if self.metric == "memory" else self._flaw_of_time

    @property
    def _flaw_of_time(self) -> str:
        if self.allocated_bytes is not None or self.resident_bytes is not None:
            return "a visit that measures time measures no bytes"
        if self.status is Status.OK and not (self.block_seconds and self.iterations):
            return "status is ok, and no block was timed"
        return ""

    @property
    def _flaw_of_memory(self) -> str:
        if self.block_seconds or self.iterations or (self.first_call_seconds, self.reference_seconds) != (None, None):
            return "a visit that measures memory times nothing"
        for name in ("allocated_bytes", "resident_bytes"):
            if (number := getattr(self, name)) is not None and not _is_whole(number, _MOST_BYTES):
                return f"{name} cannot be {number!r:.40}"
        if self.status is Status.OK and self.allocated_bytes is None:
            return "status is ok, and no bytes were measured"
        return ""

    def failed(self, reason: str) -> Visit:
        """The same visit as an error, without what it said."""
        status = Status.ERROR
        return Visit(self.trial, self.process, self.round, status, reason, started=self.started, metric=self.metric)

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_json` reads back."""
        return {**asdict(self), "conditions": self.conditions and self.conditions.as_json()}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Visit:
        """Inverse of `as_json`. Raises KeyError, TypeError or ValueError on a foreign mapping."""
        values = dict(line)
        values["status"] = Status(values["status"])
        if values.get("conditions") is not None:
            values["conditions"] = Conditions.from_json(values["conditions"])
        values["block_seconds"] = tuple(values["block_seconds"])  # `flaw` says whether they are numbers
        values["kernels"] = tuple(values.get("kernels", ()))
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, most: int = _MOST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _exact(number: int, written: Callable[[float], str]) -> str:
    """``4294967296 (4.29 GFLOP)``; a number that is short as it is stands alone."""
    return str(number) if number < _SHORT else f"{number} ({written(number)})"


def _is_seconds(value: Any) -> bool:
    return _is_number(value) and _SHORTEST_SECONDS <= value <= _LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts of one trial.

    Attributes:
        flops: matrix and convolution work of one call (1 multiply-add = 2).
        parameters: trainable numbers.
        peak_bytes: largest sum of live tensor bytes beyond inputs and parameters; scratch inside a kernel is not seen.
        uncounted: operations that were executed and have no formula; with any, `flops` is a lower bound.
        saved_bytes: bytes that a forward pass keeps for the backward pass; None where it was not asked for or has no
            formula, as for the next two.
        depth: kernels in the longest dependent chain.
        hops: maximum path length from an input position to an output position; infinite where nothing connects them.
    """

    flops: int
    parameters: int
    peak_bytes: int
    uncounted: tuple[str, ...] = ()
    saved_bytes: int | None = None
    depth: int | None = None
    hops: float | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What was counted, for a person: pairs of a name and a text."""
        least = "≥ " if self.uncounted else ""
        told = (
            ("flops", f"{least}{_exact(self.flops, units.flops)}"),
            ("parameters", _exact(self.parameters, units.count)),
            ("peak_bytes", _exact(self.peak_bytes, units.nbytes)),
            ("saved_bytes", "" if self.saved_bytes is None else _exact(self.saved_bytes, units.nbytes)),
            ("depth", "" if self.depth is None else str(self.depth)),
            ("hops", "" if self.hops is None else f"{self.hops:g}"),
            ("uncounted", ", ".join(self.uncounted)),
        )
        return tuple((label, text) for label, text in told if text)

    def __repr__(self) -> str:
        return f"<Counted {', '.join(f'{label}={text}' for label, text in self.facts)}>"

    def _repr_html_(self) -> str:
        from attnbench.html_tables import card

        return str(card("Counted: a lower bound" if self.uncounted else "Counted", self.facts))

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_json` reads back; JSON has no infinity, so it is a word."""
        return {**asdict(self), "hops": "inf" if self.hops == math.inf else self.hops}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Counted:
        """Inverse of `as_json`. Raises KeyError, TypeError or ValueError on a foreign mapping."""
        values = {**line, "uncounted": tuple(line["uncounted"])}
        if line.get("hops") is not None:
            values["hops"] = float(line["hops"])
        return cls(**values)


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
