"""Run a plan on this machine: probes first, then interleaved rounds in fresh processes.

The first rounds visit every trial once; each later one visits the trials that are asked for, those whose visits are
worth their seconds. Every round has a random order of its own, and a new process starts every other round. Drift, load
and the luck of a process (its memory layout, its alignments) thus become differences between visits, which the
intervals see, and not a bias of one layer against another, which nothing could see.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median

from attnbench.errors import UnsupportedError
from attnbench.execute.machine import THIS_MACHINE, Machine
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup, compile_folder
from attnbench.measure.loop import Pace
from attnbench.plan.decide import PlannedTrial, Probed, Probing
from attnbench.record import Status, Visit
from attnbench.trial import Choices, Sizes, Subject, Trial, describe

#: Every trial is visited in at least this many rounds, spread over at least two processes.
MIN_ROUNDS = 3
ROUNDS_PER_PROCESS = 2
#: More rounds than this teach nothing that the intervals could show.
MAX_ROUNDS = 24
#: Blocks of a call that does next to nothing.
_FLOOR_BLOCKS = 21
#: What a larger trial of the same layer would meet again, in words.
_WORSE_WHEN_LARGER = {Status.OOM: "ran out of memory", Status.TIMEOUT: "took too long"}
#: A visit may take this many times what was planned, and then this many seconds, before it is given up.
_PATIENCE, _PATIENCE_SECONDS = 20.0, 60.0


#: A trial and how it ended.
Failure = tuple[Trial, Status]


def not_tried(trial: Trial, failures: Collection[Failure]) -> str:
    """Why a trial is not worth trying: a smaller one ran out of memory or time; empty where none did."""
    for smaller, status in failures:
        same = smaller.subject == trial.subject
        if status in _WORSE_WHEN_LARGER and same and _no_smaller(trial.sizes, smaller.sizes):
            return f"not tried: the smaller {describe(smaller.sizes)} {_WORSE_WHEN_LARGER[status]}"
    return ""


def patience(planned: PlannedTrial) -> float:
    """Seconds after which a visit is given up."""
    return max(_PATIENCE * planned.visit_seconds, _PATIENCE_SECONDS)


def _no_smaller(sizes: Sizes, others: Sizes) -> bool:
    return all(sizes[axis] >= size for axis, size in others.items())


@dataclass(frozen=True)
class Progress:
    """What is happening, for whoever shows it.

    Attributes:
        round: number of the round, from 0.
        done, total: visits of this round.
        trial: the trial about to be visited.
        spent_seconds: clock spent so far.
    """

    round: int
    done: int
    total: int
    trial: Trial
    spent_seconds: float


def answer_probes(process: Process, probing: Probing, subject: Subject) -> Generator[Trial, None, Probed]:
    """Answer a planner's questions with short visits until it has seen enough; yields each trial before its probe.

    Raises:
        UnsupportedError: the layer cannot be run in this mode or dtype; other sizes would not change that.
    """
    pace = asdict(Pace(seconds=0.0, least_blocks=1))
    failures: list[Failure] = []
    try:
        sizes = next(probing)
        while True:
            trial = Trial(subject, sizes)
            seconds = None
            if not not_tried(trial, failures):
                yield trial
                answer = process.ask(trial, pace, timeout=_PATIENCE_SECONDS)
                if answer["status"] == Status.UNSUPPORTED:
                    raise UnsupportedError(answer["reason"])
                if answer["status"] == Status.OK:
                    seconds = min(answer["first_call_seconds"], *answer["block_seconds"])
                else:
                    failures.append((trial, Status(answer["status"])))
            sizes = probing.send(seconds)
    except StopIteration as stop:
        probed: Probed = stop.value
        return probed


def floor_seconds(process: Process, trial: Trial) -> float | None:
    """Seconds of a call that does next to nothing: no constant cost is larger. None where it cannot be made.

    Raises:
        UnsupportedError: the layer cannot be run under these choices.
    """
    pace = Pace(seconds=0.0, least_blocks=_FLOOR_BLOCKS)
    answer = process.ask(trial, asdict(pace), timeout=_PATIENCE_SECONDS, first=True)
    if answer["status"] == Status.UNSUPPORTED:
        raise UnsupportedError(answer["reason"])
    return median(answer["block_seconds"]) if answer["status"] == Status.OK else None


@dataclass(frozen=True)
class Rounds:
    """The measuring part of a run.

    Attributes:
        setup: what the processes have in common; the number of threads is that of each trial.
        trials: what to visit, with the clock for each visit.
        budget_seconds: clock for all visits: what is timed, and what is lost on trials that fail. Compiling is waited
            for, and takes nothing from it.
        seed: of the random orders.
        done: (trial id, round) pairs that a resumed run already has.
        failures: trials that were visited in it, each with how it ended.
        spent_seconds: clock that they took.
        first_process: number of the first new process.
        machine: where they are visited.
    """

    setup: Setup
    trials: Sequence[PlannedTrial]
    budget_seconds: float
    seed: int
    done: Collection[tuple[str, int]] = ()
    failures: Collection[Failure] = ()
    spent_seconds: float = 0.0
    first_process: int = 0
    machine: Machine = THIS_MACHINE

    def visits(
        self, wanted: Callable[[int], Collection[str]], show: Callable[[Progress], None], began: float
    ) -> Iterator[Visit]:
        """Visit trials round by round.

        Args:
            wanted: number of a round after the least number of rounds → ids of the trials that it should visit; none
                ends the run. Layers that the budget has no room for are left out, and with no layer left it ends too.
            show: told of each visit before it is made.
            began: reading of the clock that times of visits are counted from.
        """
        begun = max((round_ for _, round_ in self.done), default=0)  # rounds follow one another: those before are whole
        firsts = range(begun - begun % ROUNDS_PER_PROCESS, MAX_ROUNDS, ROUNDS_PER_PROCESS)
        with compile_folder(planned.trial.choices for planned in self.trials) as folder:
            processes = _Processes(self.machine, self.setup, folder, self.first_process)
            course = _Course(show, began, self.spent_seconds, list(self.failures), {trial for trial, _ in self.done})
            for first in firsts:
                with processes.fresh():
                    for round_ in range(max(first, begun), first + ROUNDS_PER_PROCESS):
                        order = self._order(round_, wanted(round_), course)
                        if order is None:
                            return
                        yield from self._round(round_, order, processes, course)

    def _order(self, round_: int, wanted: Collection[str], course: _Course) -> list[PlannedTrial] | None:
        """What is left of a round, in the order that the seed gives to the whole of it; None where the run is over."""
        whole = list(self.trials)
        random.Random(f"{self.seed}/{round_}").shuffle(whole)
        left = [p for p in whole if p.trial.id not in course.broken and (p.trial.id, round_) not in self.done]
        if round_ < MIN_ROUNDS:
            return left
        left = [planned for planned in left if planned.trial.id in wanted]
        affordable = _affordable(left, self.budget_seconds - course.spent_seconds)
        return None if not wanted or (left and not affordable) else affordable

    def _round(
        self, round_: int, order: Sequence[PlannedTrial], processes: _Processes, course: _Course
    ) -> Iterator[Visit]:
        """The visits of one round."""
        for position, planned in enumerate(order):
            trial = planned.trial
            index, process = processes.under(trial.choices)
            start = self.machine.now()
            visit = Visit(trial.id, index, round_, started=round(start - course.began, 3))
            first = trial.id not in course.ran
            if first and (reason := not_tried(trial, course.failures)):
                course.broken.add(trial.id)
                yield replace(visit, status=Status.SKIPPED, reason=reason)
                continue
            course.show(Progress(round_, position, len(order), trial, course.spent_seconds))
            pace = asdict(Pace(seconds=planned.visit_seconds))
            visit = visit.answered(process.ask(trial, pace, patience(planned), first=first))
            course.note(trial, visit, self.machine.now() - start)
            yield visit


@dataclass
class _Course:
    """A run on its way.

    Attributes:
        show: told of each visit before it is made.
        began: reading of the clock that times of visits are counted from.
        spent_seconds: clock spent so far.
        failures: trials and how they ended, all that failed among them.
        ran: ids of trials that have run.
        broken: ids of trials that would fail again; their one row says why.
    """

    show: Callable[[Progress], None]
    began: float
    spent_seconds: float
    failures: list[Failure]
    ran: set[str]
    broken: set[str] = field(default_factory=set)

    def note(self, trial: Trial, visit: Visit, seconds: float) -> None:
        """Remember how a visit ended that took so many seconds in all."""
        self.spent_seconds += visit.clock_seconds
        if visit.status is Status.OK:
            self.ran.add(trial.id)
            return
        self.spent_seconds += 0.0 if trial.choices.compile else seconds
        self.broken.add(trial.id)
        self.failures.append((trial, visit.status))


class _Processes:
    """The measuring processes of a run: one for each number of threads, with and without a compiler."""

    def __init__(self, machine: Machine, setup: Setup, folder: str, first: int) -> None:
        self._machine, self._setup, self._folder, self._numbers = machine, setup, folder, itertools.count(first)
        self._running: dict[Setup, tuple[int, Process]] = {}
        self._stack = contextlib.ExitStack()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """Within, every process is a new one, begun when it is first needed."""
        with contextlib.ExitStack() as self._stack:
            self._running = {}
            yield

    def under(self, choices: Choices) -> tuple[int, Process]:
        """Number within the run, and process, for trials of `choices`."""
        setup = self._setup.under(choices, self._folder)
        if setup not in self._running:
            self._running[setup] = next(self._numbers), self._stack.enter_context(self._machine.process(setup))
        return self._running[setup]


def _affordable(order: Sequence[PlannedTrial], seconds: float) -> list[PlannedTrial]:
    """The trials of the cheapest subjects that fit into `seconds`. A subject has all of them or none, as one law."""
    costs: dict[Subject, float] = {}
    for planned in order:
        costs[planned.trial.subject] = costs.get(planned.trial.subject, 0.0) + planned.visit_seconds
    kept: set[Subject] = set()
    for subject in sorted(costs, key=lambda subject: costs[subject]):
        seconds -= costs[subject]
        if seconds < 0:
            break
        kept.add(subject)
    return [planned for planned in order if planned.trial.subject in kept]
