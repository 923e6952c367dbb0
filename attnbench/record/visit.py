"""One visit of a trial: a line of the journal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import msgspec

#: What one visit measures: time and memory never come from the same call.
MEASURED_METRICS = ("time", "memory")
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
