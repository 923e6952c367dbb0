"""The visits that a run still lacks: those for memory first, then rounds until nothing more is worth its seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from attnbench.execute.memory import MemoryPass
from attnbench.execute.rounds import MAX_ROUNDS, MIN_ROUNDS, ROUNDS_PER_PROCESS, Failure, Rounds
from attnbench.fitting.next_visits import Means, worth_visiting
from attnbench.fitting.verdict.unjudged import UnjudgedLaw
from attnbench.law import Law
from attnbench.plan.plan import Plan
from attnbench.record import Status, Visit, tells_memory
from attnbench.session.judge import TimeFits
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
from attnbench.store.run_folder import StoredRun

#: A round shorter than this is not worth the start of a process.
_MIN_SECONDS = 1.0


def remaining_visits(stored: StoredRun, request: RunRequest, reporter: Reporter) -> Iterator[Visit]:
    """Every visit that is missing: those for memory, and then, trial by trial that can be run, those for time."""
    plan, seen, began = stored.info.plan, list(stored.visits), request.machine.now()
    if plan.measures("memory"):
        reporter.stage("measuring memory, each call in a process of its own")
        for visit in _memory_pass(plan, seen, request).visits(reporter.visiting, began):
            seen.append(visit)
            yield visit
    if plan.measures("time"):
        reporter.stage("measuring")
        yield from _rounds(stored, seen, request, reporter, began)


def _memory_pass(plan: Plan, seen: Sequence[Visit], request: RunRequest) -> MemoryPass:
    visited = {visit.trial for visit in seen if visit.metric == "memory"}
    return MemoryPass(
        setup=request.setup,
        trials=[one for one in plan.left(_failed(seen) | visited) if tells_memory(one.trial.choices.device)],
        counted_bytes={trial: counted.peak_bytes for trial, counted in plan.counted.items()},
        failures=_failures(plan, seen),
        first_process=_first_process(seen),
        machine=request.machine,
    )


def _failed(seen: Sequence[Visit]) -> set[str]:
    """Trials that failed before, and would fail again."""
    return {visit.trial for visit in seen if visit.status is not Status.OK}


def _failures(plan: Plan, seen: Sequence[Visit]) -> list[Failure]:
    trials = {trial.id: trial for trial in plan.trials}
    return [(trials[visit.trial], visit.status) for visit in seen if visit.trial in trials]


def _first_process(seen: Sequence[Visit]) -> int:
    return max((visit.process + 1 for visit in seen), default=0)


def _rounds(
    stored: StoredRun, seen: list[Visit], request: RunRequest, reporter: Reporter, began: float
) -> Iterator[Visit]:
    plan = stored.info.plan
    rounds = Rounds(
        setup=request.setup,
        trials=plan.left(_failed(seen)),
        budget_seconds=request.suite.budget - plan.calibration_seconds,
        seed=stored.info.seed,
        done={(visit.trial, visit.round) for visit in seen if visit.metric == "time"},
        failures=_failures(plan, seen),
        spent_seconds=sum(visit.clock_seconds for visit in seen),
        first_process=_first_process(seen),
        machine=request.machine,
    )

    fits, looks = TimeFits(plan), dict[int, tuple[list[UnjudgedLaw], list[Law]]]()

    def look(round_: int) -> tuple[list[UnjudgedLaw], list[Law]]:
        """The laws as they stood before a round: the same also when a round was interrupted."""
        if round_ not in looks:
            looks[round_] = fits.of(replace(stored, visits=tuple(visit for visit in seen if visit.round < round_)))
        return looks[round_]

    def wanted(round_: int) -> set[str]:
        fitted, laws = look(round_)
        reporter.laws(laws)
        if round_ < MIN_ROUNDS:
            return set()  # these visit everything
        _, before = look(round_ - 1)
        means = Means(plan.visit_seconds, MAX_ROUNDS - round_, round_ % ROUNDS_PER_PROCESS == 0, _MIN_SECONDS)
        return worth_visiting(fitted, laws, before, means)

    for visit in rounds.visits(wanted, reporter.visiting, began):
        seen.append(visit)
        yield visit
