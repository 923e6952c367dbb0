"""A machine that answers at once: it stands in for measuring processes, and its times follow a known law."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.execute.machine import Machine
from attnbench.formula import Formula
from attnbench.layers.registry import Registry
from attnbench.record import Peaks, Status
from attnbench.session import run as session
from attnbench.session.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import Result

    from attnbench.execute.setup import Setup
    from attnbench.session.reading import Run
    from attnbench.spec import Suite
    from attnbench.trial import Trial

#: A product of matrices runs at this rate here.
RATE = 1e10

Failure = tuple[Status, str]


@dataclass(eq=False)
class FakeMachine(Machine):
    """Takes the place of real processes, and of the clock that times visits from outside.

    Attributes:
        seconds: of one call of a trial.
        noise: by which part blocks are slower, at random but the same in each test.
        failures: of trials that cannot be run.
        memory: of trials, bytes allocated and resident.
        memory_asked: (number of the process, trial, timeout) of each question about memory.
        interrupt_at: number of the visit at which the user presses Ctrl-C, counted from 1 and without probes.
        asked: (number of the process, trial, pace, timeout) of each question.
        time: seconds that went by while it measured.
        peaks_seconds: clock that each measurement of its best rates takes.
    """

    seconds: Callable[[Trial], float] = lambda _: 0.25
    noise: float = 0.0
    failures: Callable[[Trial], Failure | None] = lambda _: None
    memory: Callable[[Trial], tuple[int, int | None]] = lambda trial: (8 * trial.sizes["n"] * trial.sizes["d"], None)
    memory_asked: list[tuple[int, Trial, float]] = field(default_factory=list)
    interrupt_at: int | None = None
    asked: list[tuple[int, Trial, dict[str, Any], float]] = field(default_factory=list)
    started: int = 0
    time: float = 0.0
    peaks_seconds: float = 0.0

    def process(self, setup: Setup, variables: object = None) -> FakeProcess:  # type: ignore[override]
        self.started += 1
        return FakeProcess(self, self.started - 1, setup.threads)

    def now(self) -> float:
        return self.time

    def calls_here(self, registry: object, layer: object) -> bool:
        """No process to count in either."""
        return True

    def run(self, suite: str | Path | Suite, **options: Any) -> Run:
        """A run on this machine."""
        return session.run(suite, machine=self, **options)

    def resume(self, folder: Path) -> Run:
        """The rest of an interrupted run, on this machine."""
        return session.resume(folder, Reporter(), self)

    def invoke(self, words: str | Sequence[str]) -> Result:
        """Run attnbench on this machine, as if it had been called with these words."""
        return CliRunner().invoke(main, shlex.split(words) if isinstance(words, str) else words, obj=self)

    @property
    def visits(self) -> list[tuple[int, Trial]]:
        """(process, trial) of the questions that were no probes."""
        return [(number, trial) for number, trial, pace, _ in self.asked if pace["seconds"] > 0]


@dataclass
class FakeProcess:
    """One process of the machine."""

    machine: FakeMachine
    number: int
    threads: int = 1
    overhead_seconds: float = 4e-8

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rate(self, device: str) -> float:
        assert device == "cpu"
        return RATE

    def peaks(self, device: str, dtype: str, seconds: float) -> tuple[Peaks, float]:
        """The machine's one rate, found at once."""
        return Peaks(device, dtype, self.threads, RATE, 1024, RATE, 2**27), self.machine.peaks_seconds

    def measure_memory(self, trial: Trial, timeout: float) -> dict[str, Any]:
        machine = self.machine
        assert trial.choices.threads == self.threads
        machine.memory_asked.append((self.number, trial, timeout))
        if machine.interrupt_at is not None and len(machine.visits) + len(machine.memory_asked) == machine.interrupt_at:
            raise KeyboardInterrupt
        if failure := machine.failures(trial):
            return {"status": str(failure[0]), "reason": failure[1]}
        allocated, resident = machine.memory(trial)
        machine.time += 1.0
        return {"status": "ok", "reason": "", "allocated_bytes": allocated, "resident_bytes": resident}

    def ask(self, trial: Trial, pace: dict[str, Any], timeout: float, *, first: bool = False) -> dict[str, Any]:
        machine = self.machine
        assert trial.choices.threads == self.threads
        machine.asked.append((self.number, trial, pace, timeout))
        if machine.interrupt_at is not None and len(machine.visits) + len(machine.memory_asked) == machine.interrupt_at:
            raise KeyboardInterrupt
        if failure := machine.failures(trial):
            return {"status": str(failure[0]), "reason": failure[1]}
        rng = np.random.default_rng((zlib.crc32(trial.id.encode()), len(machine.asked)))
        blocks = [machine.seconds(trial) * (1 + machine.noise * abs(float(delay))) for delay in rng.normal(size=3)]
        machine.time += 4 * machine.seconds(trial)
        return {
            "reference_seconds": 1e-3,
            "status": "ok",
            "reason": "",
            "first_call_seconds": blocks[0],
            "iterations": 1,
            "block_seconds": blocks,
            "conditions": {"load": 0.5, "steal": 0.01, "frequency_mhz": 3000.0},
        }


def as_counted(*plugins: str) -> Callable[[Trial], float]:
    """Times that follow the claimed operations of each layer at the machine's rate."""
    registry = Registry(plugins)

    def seconds(trial: Trial) -> float:
        claim = registry.get(trial.layer).claims.flops
        return float(Formula(str(claim)).evaluate(trial.sizes)) / RATE

    return seconds
