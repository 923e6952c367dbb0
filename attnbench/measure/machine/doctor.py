"""Is this machine fit to measure on? Readings are taken once; what they mean is a pure function of them.

Nothing here decides whether a run may begin: the intervals of a run hold what the machine does to it. The findings say
beforehand how wide these will be, and what would make them narrower.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import stdev
from typing import Any

import torch

from attnbench import units
from attnbench.law import MARGIN
from attnbench.measure.clock import Clock, overhead, resolution
from attnbench.measure.loop import Pace, time_call
from attnbench.measure.machine import system
from attnbench.measure.machine.host import available_bytes, read_host
from attnbench.record import Host

#: Edge of the matrices of the fixed operation: small enough for a cache, long enough for a clock.
_EDGE = 384
#: Visits of the fixed operation: ten rounds of a window of nine sizes.
_VISITS = 90


class Grade(StrEnum):
    """How good something is for measuring; unknown where the system does not tell."""

    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a machine.

    Attributes:
        name: what was looked at.
        found: what it is like, with its unit.
        grade: how good that is.
        advice: what to do about it; empty where there is nothing to do.
    """

    name: str
    found: str
    grade: Grade
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read of a machine.

    Attributes:
        host: its facts, read before anything was timed.
        threads: CPU threads that a run would use.
        available_bytes: memory that can be taken.
        steal: share of processor time that other virtual machines took meanwhile.
        resolution_seconds: smallest step of the clock that was seen.
        overhead_seconds: what one reading of the clock costs.
        visits: seconds of a fixed operation as each visit read it, in the order of time.
    """

    host: Host
    threads: int
    available_bytes: int
    steal: float | None
    resolution_seconds: float
    overhead_seconds: float
    visits: tuple[float, ...]

    @property
    def scatter(self) -> float:
        """Standard deviation of a visit, as a share of what it reads."""
        return stdev(map(math.log, self.visits))


def product() -> Callable[[], Any]:
    """The fixed operation: a matrix product of new matrices, whose place in memory differs from visit to visit."""
    left, right = torch.randn(_EDGE, _EDGE), torch.randn(_EDGE, _EDGE)
    return lambda: left @ right


def take_readings(
    seconds: float, threads: int, clock: Clock, operation: Callable[[], Callable[[], Any]] = product
) -> Readings:
    """Read the machine, and time a fixed operation on the CPU in visits over about `seconds`, as a trial is timed."""
    host = read_host()
    torch.set_num_threads(threads)
    before = system.processor_times()
    visits = _visits(seconds, clock, operation)
    return Readings(
        host=host,
        threads=threads,
        available_bytes=available_bytes(),
        steal=system.stolen_between(before, system.processor_times()),
        resolution_seconds=resolution(clock),
        overhead_seconds=overhead(clock),
        visits=visits,
    )


def _visits(seconds: float, clock: Clock, operation: Callable[[], Callable[[], Any]]) -> tuple[float, ...]:
    """The fastest block of each visit, all of them within about `seconds`."""
    pace = Pace(seconds / _VISITS)
    gc.freeze()  # as measuring processes do: collecting before each visit need not walk through all of torch
    try:
        with torch.inference_mode():
            return tuple(min(time_call(operation(), clock, pace).block_seconds) for _ in range(_VISITS))
    finally:
        gc.unfreeze()


def examine(readings: Readings, half_width: float) -> list[Finding]:
    """All findings; `half_width` is that of an exponent, as the scatter of the visits implies it."""
    return [
        steal(readings.steal),
        load(readings.host),
        governor(readings.host.governor),
        turbo(readings.host.turbo),
        threads(readings.threads, readings.host),
        memory(readings.available_bytes),
        timer(readings.resolution_seconds, readings.overhead_seconds),
        noise(readings.scatter, half_width),
    ]


def steal(share: float | None) -> Finding:
    """Time that other virtual machines took from this one."""
    name = "stolen time"
    if share is None:
        return Finding(name, "not counted by this system", Grade.UNKNOWN)
    found = f"{units.percent(share)} of processor time while this was looking"
    advice = "other virtual machines use the same processor: measure at another hour, or on a machine of its own"
    return _graded(name, found, share, (0.01, 0.05), advice)


def load(host: Host) -> Finding:
    """Programs that want to run, against cores."""
    if not host.load:
        return Finding("load", "not told by this system", Grade.UNKNOWN)
    cores = host.logical_cores or host.cores
    found = f"{units.significant(host.load[0], 2)} over the last minute on {cores} {_plural(cores, 'core')}"
    advice = "other programs are running: end them, or wait for them"
    return _graded("load", found, host.load[0], (cores / 4, cores / 2), advice)


def governor(found: str | None) -> Finding:
    """How the frequency of the cores is chosen."""
    name = "frequency governor"
    if found is None:
        return Finding(name, "not told by this system, as in most virtual machines", Grade.UNKNOWN)
    if found == "performance":
        return Finding(name, found, Grade.GOOD)
    advice = "cores change their frequency on the way: sudo cpupower frequency-set --governor performance"
    return Finding(name, found, Grade.FAIR, advice)


def turbo(on: bool | None) -> Finding:
    """Frequencies above the base frequency, which last as long as heat and power allow."""
    if on is None:
        return Finding("turbo", "not told by this system, as in most virtual machines", Grade.UNKNOWN)
    if not on:
        return Finding("turbo", "off", Grade.GOOD)
    advice = (
        "frequencies follow heat and the number of busy cores: write 0 to /sys/devices/system/cpu/cpufreq/boost, or 1 "
        "to /sys/devices/system/cpu/intel_pstate/no_turbo"
    )
    return Finding("turbo", "on", Grade.FAIR, advice)


def threads(count: int, host: Host) -> Finding:
    """Threads of a run against the cores that it may use."""
    limit = math.inf if host.cpu_limit is None else host.cpu_limit
    cores = min(host.cores, limit)
    within = f", of which the container allows {units.significant(limit)}" if limit < host.cores else ""
    found = f"{count} {_plural(count, 'thread')} on {host.cores} {_plural(host.cores, 'core')}{within}"
    if count > cores:
        advice = f"threads wait for one another: set threads to {max(1, math.floor(cores))} or fewer in the suite"
        return Finding("threads", found, Grade.BAD, advice)
    if host.physical_cores is not None and count > host.physical_cores:
        advice = f"two threads share a core: set threads to {host.physical_cores} or fewer in the suite"
        return Finding("threads", found, Grade.FAIR, advice)
    if count == cores:
        advice = "no core is left for the rest of the system: set fewer threads in the suite"
        return Finding("threads", found, Grade.FAIR, advice if count > 1 else "take a machine with another core")
    return Finding("threads", found, Grade.GOOD)


def memory(available: int) -> Finding:
    """Memory that can be taken; a run uses up to half of it."""
    advice = "large sizes will be left out of every window: end programs that hold memory, or raise the limit"
    found = f"{units.nbytes(available)} available, of which a run uses up to half"
    return _graded("memory", found, -available, (-(2 * 2**30), -(2**29)), advice)


def timer(resolution_seconds: float, overhead_seconds: float) -> Finding:
    """The clock's smallest step and its cost; a block lasts a thousand times as long as a reading."""
    found = f"steps of {units.seconds(resolution_seconds)} or less, a reading costs {units.seconds(overhead_seconds)}"
    advice = (
        "blocks must be long, and short calls cost more of the budget: see the kernel's clock sources in "
        "/sys/devices/system/clocksource/clocksource0"
    )
    return _graded("clock", found, max(resolution_seconds, overhead_seconds), (1e-6, 1e-5), advice)


def noise(scatter: float, half_width: float) -> Finding:
    """What the scatter of visits does to an exponent, against the margin of a verdict."""
    found = (
        f"visits of a fixed operation scatter by {units.percent(scatter)}: an exponent from 3 × 3 octaves and 3 rounds "
        f"gets ±{units.significant(half_width, 2)}; a verdict needs less than {MARGIN:g}"
    )
    advice = "end other programs, or allow more rounds with a larger budget: the interval shrinks with their root"
    return _graded("noise", found, half_width, (MARGIN / 2, MARGIN), advice)


def _graded(name: str, found: str, value: float, limits: Sequence[float], advice: str) -> Finding:
    """Good up to the first limit, fair below the second, bad from there on."""
    good, fair = limits
    grade = Grade.GOOD if value <= good else Grade.FAIR if value < fair else Grade.BAD
    return Finding(name, found, grade, "" if grade is Grade.GOOD else advice)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
