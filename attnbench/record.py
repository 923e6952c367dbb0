"""What happened to a trial: the lines of the journal and the facts of the host.

The journal is the truth of a run; every table is derived from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from attnbench import units

#: Version of the files in a run folder. History: 1 = first format (0.1.0).
SCHEMA = 1

#: What one visit measures: time and memory never come from the same call.
MEASURED_METRICS = ("time", "memory")
#: A number below this is read as it is.
_SHORT = 10_000
#: No call takes longer (three years) or less (light goes 0.3 mm) than this; what says so was not measured.
_MIN_SECONDS, _MAX_SECONDS = 1e-12, 1e8
#: No run has more rounds, processes or calls in a block than this.
_MAX_NUMBER = 10**12
#: No machine has more bytes than this.
_MAX_BYTES = 10**18
#: What the numbers of a visit may be.
_POSSIBLE: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("process", "round", "iterations"), (0, _MAX_NUMBER)),
    **dict.fromkeys(
        ("block_seconds", "first_call_seconds", "reference_seconds", "compile_seconds"), (_MIN_SECONDS, _MAX_SECONDS)
    ),
    "started": (0.0, _MAX_SECONDS),
    **dict.fromkeys(("allocated_bytes", "resident_bytes"), (0, _MAX_BYTES)),
}
#: What a condition may be: no machine has more load or a faster clock, or works when it is colder or hotter.
_POSSIBLE_CONDITIONS: dict[str, tuple[float, float]] = {
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
class Observations:
    """What was seen of layers beside their counts, where a suite asked for it.

    Attributes:
        reach: layer → pairs of distance and mean gradient norm at it, the largest being 1: how far inputs really act.
        paths: layer → path lengths between all its positions, or why there are none.
        weights: layer → head, query, key → attention weight, on the same few random tokens for every layer.
        fading: layer → way of stacking it → what a read-out still tells of the position after 0, 1, 2 … layers, one
            list for each draw.
    """

    reach: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    paths: dict[str, PathMap] = field(default_factory=dict)
    weights: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    fading: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)


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

    def as_json(self) -> dict[str, Any]:
        """A mapping of what is known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


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
        conditions = self.conditions or Conditions()
        if flaw := _impossible(self, _POSSIBLE) or _impossible(conditions, _POSSIBLE_CONDITIONS):
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
        if self.status is Status.OK and self.allocated_bytes is None:
            return "status is ok, and no bytes were measured"
        return ""

    def answered(self, answer: dict[str, Any]) -> Visit:
        """The visit with what the measuring process said of it; an error where that cannot be."""
        try:
            visit = Visit.from_json({**self.as_json(), **answer})
            flaw = visit.flaw
        except msgspec.ValidationError as error:  # a layer may reach for the clock
            flaw = str(error)
        return self._failed(f"the measuring process said what cannot be: {flaw}") if flaw else visit

    def _failed(self, reason: str) -> Visit:
        status = Status.ERROR
        return Visit(self.trial, self.process, self.round, status, reason, started=self.started, metric=self.metric)

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_json` reads back."""
        return {**asdict(self), "conditions": self.conditions and self.conditions.as_json()}

    @classmethod
    def from_json(cls, line: Any) -> Visit:
        """Inverse of `as_json`; `flaw` says whether its numbers can be.

        Raises:
            msgspec.ValidationError: it is something else.
        """
        return msgspec.convert(line, cls)


def _impossible(record: Visit | Conditions, possible: dict[str, tuple[float, float]]) -> str:
    """Which number of a record lies outside of what it may be; empty where none does."""
    for name, (least, most) in possible.items():
        value = getattr(record, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not least <= number <= most:
                return f"{name} cannot be {number!r:.40}"
    return ""


def _exact(number: int, written: Callable[[float], str]) -> str:
    """``4294967296 (4.29 GFLOP)``; a number that is short as it is stands alone."""
    return str(number) if number < _SHORT else f"{number} ({written(number)})"


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
        """Inverse of `as_json`.

        Raises:
            msgspec.ValidationError: it is something else.
        """
        hops = line.get("hops")
        return msgspec.convert({**line, "hops": math.inf if hops == "inf" else hops}, cls)


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
