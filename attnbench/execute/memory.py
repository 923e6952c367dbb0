"""The memory of each trial, measured before anything is timed: one call of each, from small to large.

An allocation is the same in every call, so one visit says all. It comes before the rounds because a trial that runs out
of memory here would do so there too, and costs seconds instead of rounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from attnbench.child import GIVES_BACK
from attnbench.execute.machine import THIS_MACHINE, Machine
from attnbench.execute.process import Process
from attnbench.execute.rounds import Failure, Progress, not_tried, patience
from attnbench.execute.setup import Setup
from attnbench.plan.decide import PlannedTrial
from attnbench.record import Status, Visit


@dataclass(frozen=True)
class MemoryPass:
    """The part of a run that measures memory.

    Attributes:
        setup: what the processes have in common; the number of threads is that of each trial.
        trials: what to visit and has not been visited.
        counted_bytes: trial id → counted peak, by which the smallest comes first; of others, as they stand.
        failures: trials of the run that failed before, each with how it ended.
        first_process: number of the first new process.
        machine: where they are visited.
    """

    setup: Setup
    trials: Sequence[PlannedTrial]
    counted_bytes: Mapping[str, int]
    failures: Sequence[Failure] = ()
    first_process: int = 0
    machine: Machine = THIS_MACHINE

    def visits(self, show: Callable[[Progress], None], began: float) -> Iterator[Visit]:
        """One visit of each trial; `began` is the reading of the clock that their times are counted from."""
        failures = list(self.failures)
        order = sorted(self.trials, key=lambda planned: self.counted_bytes.get(planned.trial.id, 0))
        with contextlib.ExitStack() as stack:
            processes: dict[int, tuple[int, Process]] = {}  # threads → number and process, begun when first needed
            for position, planned in enumerate(order):
                trial, threads = planned.trial, planned.trial.choices.threads
                if threads not in processes:
                    fresh = stack.enter_context(self.machine.process(replace(self.setup, threads=threads), GIVES_BACK))
                    processes[threads] = self.first_process + len(processes), fresh
                index, process = processes[threads]
                visit = Visit(trial.id, index, 0, started=round(self.machine.now() - began, 3), metric="memory")
                if reason := not_tried(trial, failures):
                    yield replace(visit, status=Status.SKIPPED, reason=reason)
                    continue
                show(Progress(0, position, len(order), trial, 0.0))
                visit = visit.answered(process.measure_memory(trial, patience(planned)))
                if visit.status is not Status.OK:
                    failures.append((trial, visit.status))
                yield visit
