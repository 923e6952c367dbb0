"""A run from suite to laws: the rooms in the order in which data walks through them.

    suite → count → probe and plan → rounds of visits → journal → fit → laws

``attnbench.run`` and ``attnbench.load`` live here, and so does the `Run` they return.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import itertools
import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Unpack

import pandas as pd

from attnbench.count.laws import Reach
from attnbench.errors import InputError, LayerError, RunError, SuiteError, UnsupportedError, WorkerError, stopped_by
from attnbench.execute.counting import count_all, count_trials, reach_all
from attnbench.execute.here import (
    LEAST_ROUNDS,
    MOST_ROUNDS,
    ROUNDS_PER_PROCESS,
    Progress,
    Rounds,
    answer_probes,
    floor_seconds,
)
from attnbench.execute.process import Process
from attnbench.fingerprint import of_attnbench, of_sources
from attnbench.fit.spending import Means, worth_visiting
from attnbench.fit.time_law import Asked, Question, time_laws
from attnbench.formula import Formula
from attnbench.journal import Journal
from attnbench.law import COUNTED_METRICS, Law, Verdict, told_once
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.layers.registry import Registry
from attnbench.measure.host import available_bytes, last_cache_bytes, read_host
from attnbench.order import Order, Overrides, order
from attnbench.plan.decide import PlannedTrial, Probed, SubjectPlan, probe, share_out
from attnbench.plan.subject import Limits, Subject
from attnbench.plan.window import PLANNED_ROUNDS, tiny
from attnbench.record import Counted, Status, Visit
from attnbench.spec import AxisValues, Suite, from_mapping
from attnbench.store import (
    RunInfo,
    StoredRun,
    TakenError,
    create,
    forget_laws,
    load_stored,
    read_laws,
    runs_in,
)
from attnbench.trial import Choices, Sizes, Trial, subject_id
from attnbench.version import __version__

#: Counted metrics without which no plan can be made and no time judged.
_NEEDED_TO_PLAN = ("flops", "parameters", "peak_bytes")
#: Share of the budget that probing may take when sizes are automatic.
_PROBING_SHARE = 0.22
#: Share of the available memory that a trial's counted peak may take.
_MEMORY_SHARE = 0.5
#: A round shorter than this is not worth the start of a process.
_LEAST_SECONDS = 1.0


class Show(Protocol):
    """Whoever shows a run to a person; every method may do nothing."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def counting(self, layer: str) -> None:
        """A layer is about to be counted."""

    def probing(self, trial: Trial) -> None:
        """A probe is about to start."""

    def visiting(self, progress: Progress) -> None:
        """A visit is about to start."""

    def laws(self, laws: Sequence[Law]) -> None:
        """The laws of time as they stand after a round."""


class Silent:
    """Shows nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def counting(self, layer: str) -> None:
        """Nothing."""

    def probing(self, trial: Trial) -> None:
        """Nothing."""

    def visiting(self, progress: Progress) -> None:
        """Nothing."""

    def laws(self, laws: Sequence[Law]) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first round."""

    order: Order
    counted_laws: tuple[Law, ...]
    subjects: tuple[SubjectPlan, ...]
    overhead_seconds: float = 0.0
    probing_seconds: float = 0.0
    floors: dict[str, float] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)
    reach: dict[str, Reach] = field(default_factory=dict)
    unsupported: dict[Trial, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Suite, counted laws, windows and trials, for ``--dry-run --json``."""
        trials = [
            {
                "trial": p.trial.id,
                **p.trial.sizes,
                "visit_seconds": p.visit_seconds,
                "skipped": s.skipped.get(p.trial.id),
            }
            for s in self.subjects
            for p in s.trials
        ]
        refused = [{"trial": trial.id, **trial.sizes, "unsupported": why} for trial, why in self.unsupported.items()]
        return {
            "suite": self.order.suite.as_json(),
            "laws": [law.as_json() for law in self.shown_laws],
            "windows": self.windows,
            "trials": trials + refused,
        }

    @property
    def shown_laws(self) -> tuple[Law, ...]:
        """Laws of the counted metrics that the suite asks for; planning and judging need the others too."""
        return told_once(law for law in self.counted_laws if law.metric in self.order.suite.metrics)

    @property
    def windows(self) -> dict[str, str]:
        """Layer and choices, as in trial ids → why these sizes; a layer in several sweeps has several sentences."""
        found: dict[str, list[str]] = {}
        for s in self.subjects:
            found.setdefault(subject_id(s.subject.layer.name, s.subject.choices), []).append(s.why)
        return {subject: " ".join(dict.fromkeys(sentences)) for subject, sentences in found.items()}

    @property
    def skipped(self) -> dict[str, str]:
        """Trial id → why it will not be measured."""
        return {trial: reason for subject in self.subjects for trial, reason in subject.skipped.items()}


class Run(StoredRun):
    """A run folder with its tables, its laws and its report."""

    @property
    def budget_seconds(self) -> float:
        """Clock that the suite allows."""
        return from_mapping(self.info.suite, self.info.suite_name, str(self.path / "run.json")).budget

    def report(self, folder: str | Path = "reports") -> Path:
        """Write the HTML report into `folder`, bring the index beside it up to date, and return the report's path.

        Raises:
            RunError: the folder cannot be written.
        """
        from attnbench.report.page import file_name, write_index, write_report  # drawing takes a second to import

        page = write_report(self, Path(folder))
        reported = (run for run in _readable_runs(self.path.parent) if (page.parent / file_name(run)).exists())
        write_index(page.parent, reported)
        return page

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.info.suite.get('title', self.info.suite_name)} ({self.info.name})")
        return f"<h3>{title}</h3>{self.laws.to_html(escape=True, index=False)}"


def make_plan(asked: Order, show: Show) -> Plan:
    """Count, probe and decide; writes nothing.

    Raises:
        AttnbenchError: no layer can be counted, or no measuring process can be started.
    """
    show.stage("counting on fake tensors")
    suite = asked.suite
    laws, refused = _count_all(asked, show)
    subjects, unsupported = list(_subjects(asked, laws, refused)), dict(_unsupported(asked, refused))
    _something_left(asked, laws, unsupported)
    flat = tuple(law for found in laws.values() for law in found)
    names = [name for name in asked.layers if not any(one[0] == name for one in refused)]
    reach = reach_all(asked.registry, names) if "hops" in suite.metrics else {}
    if "time" not in suite.metrics:
        return Plan(asked, flat, (), reach=reach, unsupported=unsupported)
    show.stage("calibrating: short probes to find where each law can be read")
    pilot = _probe_all(asked, subjects, unsupported, show)
    _something_left(asked, pilot.probed, unsupported)
    spent = sum(one.limits.probing_seconds - one.left_seconds for one in pilot.probed)
    plans = tuple(_each_once(share_out(pilot.probed, max(suite.budget - spent, 0.0) / PLANNED_ROUNDS)))
    counted = _counts(asked, laws, refused, [trial.trial for plan in plans for trial in plan.trials])
    return Plan(asked, flat, plans, pilot.overhead_seconds, spent, pilot.floors, counted, reach, unsupported)


def _count_all(asked: Order, show: Show) -> tuple[dict[Asked, list[Law]], dict[Asked, str]]:
    """Counted laws of every layer in every dtype and mode, those asked for and those needed to plan; and refusals.

    A layer whose forward pass cannot be counted has laws that say so; another mode that cannot be has none.

    Raises:
        LayerError: nothing can be counted.
    """
    metrics = [metric for metric in COUNTED_METRICS if metric in {*asked.suite.metrics, *_NEEDED_TO_PLAN}]
    every = itertools.product(asked.layers.values(), asked.suite.dtypes, asked.suite.modes)
    wanted = [(layer.name, dtype, mode) for layer, dtype, mode in every if mode in layer.modes]
    laws, refused = dict[Asked, list[Law]](), dict[Asked, LayerError]()
    for one, found in count_all(asked.registry, wanted, metrics, show.counting).items():
        if not isinstance(found, LayerError):
            laws[one] = found
            continue
        refused[one] = found
        if one[-1] == "forward":
            laws[one] = _unlawful(asked.layers[one[0]], one[1], metrics, str(found))
    if laws and len(refused) == len(wanted):
        raise next(iter(refused.values()))
    return laws, {one: str(error) for one, error in refused.items()}


def _unlawful(layer: Layer, dtype: str, metrics: Sequence[str], reason: str) -> list[Law]:
    """The rows of a layer that cannot be counted."""
    claims = layer.claims.given
    return [
        Law(layer.name, metric, Verdict.INCONCLUSIVE, reason, claim=claims.get(metric), dtype=dtype, scope=layer.scope)
        for metric in metrics
    ]


def _unsupported(asked: Order, refused: Mapping[Asked, str]) -> Iterator[tuple[Trial, str]]:
    """One trial, and why it cannot be run, for each layer and choice that cannot."""
    for sweep, choices in itertools.product(asked.suite.sweeps, asked.suite.choices):
        for name in sweep.layers:
            layer = asked.registry.get(name)
            if choices.mode not in layer.modes:
                why = f"layer {name!r} has no mode {choices.mode}, only {' and '.join(layer.modes)}"
                yield _stand_in(layer, sweep.axes, choices), why
            elif choices.mode != "forward" and (why := refused.get((name, choices.dtype, choices.mode), "")):
                yield _stand_in(layer, sweep.axes, choices), why


def _stand_in(layer: Layer, axes: Mapping[str, AxisValues], choices: Choices) -> Trial:
    """The row of a layer that cannot be run at any size: the first sizes that were asked for, and usual ones."""
    usual = {axis: default or DEFAULT_SIZES.get(axis, 1) for axis, default in layer.axes.items()}
    given = {axis: values[0] for axis, values in axes.items() if axis in usual and not isinstance(values, str)}
    return Trial(layer.name, usual | given, choices)


def _something_left(asked: Order, left: Collection[Any], unsupported: Mapping[Trial, str]) -> None:
    if not left and unsupported:
        trial, why = next(iter(unsupported.items()))
        more = f", and {len(unsupported) - 1} more" if len(unsupported) > 1 else ""
        raise SuiteError(f"nothing of suite {asked.suite.name} can be run here: {trial.choices.slug}: {why}{more}")


def _each_once(plans: Sequence[SubjectPlan]) -> Iterator[SubjectPlan]:
    """Sweeps of one layer may overlap: a trial belongs to the first that asks for it."""
    seen: set[str] = set()
    for plan in plans:
        trials = {planned.trial.id: planned for planned in reversed(plan.trials) if planned.trial.id not in seen}
        kept = tuple(reversed(trials.values()))
        skipped = {trial: reason for trial, reason in plan.skipped.items() if trial not in seen}
        seen.update(trials)
        yield replace(plan, trials=kept, skipped=skipped)


def _subjects(asked: Order, laws: Mapping[Asked, Sequence[Law]], refused: Mapping[Asked, str]) -> Iterator[Subject]:
    """What can be timed, as far as the count can tell."""
    for choices, sweep in itertools.product(asked.suite.choices, asked.suite.sweeps):
        for name in sweep.layers:
            key = (name, choices.dtype, choices.mode)
            if (counted := laws.get(key)) is None:
                continue
            layer = asked.registry.get(name)
            claim = claimed_time(layer.claims.given, choices.mode)
            yield Subject(
                layer,
                choices,
                {axis: values for axis, values in sweep.axes.items() if axis in layer.axes},
                {law.metric: Formula(law.formula) for law in counted if law.formula},
                Formula(claim) if claim else None,
                refused.get(key, ""),
            )


def claimed_time(claims: Mapping[str, str], mode: str) -> str | None:
    """The growth class that a layer claims of its time: of training too, but not of one step."""
    return None if mode == "decode" else claims.get("time")


@dataclass
class _Pilot:
    """What was seen before anything was decided: probes of each subject, floors by subject, and the clock's cost."""

    probed: list[Probed] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    overhead_seconds: float = 0.0


def _probe_all(asked: Order, subjects: Sequence[Subject], unsupported: dict[Trial, str], show: Show) -> _Pilot:
    """Probe one subject after the other; what one leaves over goes to those after it.

    A subject that cannot be run here joins the `unsupported`.
    """
    budget = asked.suite.budget
    left, pilot, processes = _PROBING_SHARE * budget, _Pilot(), dict[int, Process]()
    with contextlib.ExitStack() as stack:
        for threads in dict.fromkeys(subject.choices.threads for subject in subjects):
            processes[threads] = stack.enter_context(Process(replace(asked.setup, threads=threads)))
        for number, subject in enumerate(subjects):
            share = left / (len(subjects) - number)
            process, device = processes[subject.choices.threads], subject.choices.device
            pilot.floors |= _floor(process, subject)
            limits = Limits(
                probing_seconds=share,
                round_seconds=2 * budget / len(subjects) / PLANNED_ROUNDS,  # a share, and what others leave
                memory_bytes=_MEMORY_SHARE * available_bytes(device),
                rate=process.rate(device),
                cache_bytes=last_cache_bytes() if device == "cpu" else math.inf,
            )
            try:
                pilot.probed.append(_probe_one(process, subject, limits, show))
                left -= share - max(pilot.probed[-1].left_seconds, 0.0)
            except UnsupportedError as error:
                unsupported[_stand_in(subject.layer, subject.axes, subject.choices)] = str(error)
        pilot.overhead_seconds = max((process.overhead_seconds for process in processes.values()), default=0.0)
    return pilot


def _floor(process: Process, subject: Subject) -> dict[str, float]:
    """What a call of a layer costs where it does next to nothing."""
    sizes = None if subject.uncounted else tiny(subject)
    seconds = floor_seconds(process, Trial(subject.layer.name, sizes, subject.choices)) if sizes else None
    return {} if seconds is None else {subject_id(subject.layer.name, subject.choices): seconds}


def _probe_one(process: Process, subject: Subject, limits: Limits, show: Show) -> Probed:
    probes = answer_probes(process, probe(subject, limits), subject.layer.name, subject.choices)
    while True:
        try:
            show.probing(next(probes))
        except StopIteration as stop:
            probed: Probed = stop.value
            return probed


def _counts(
    asked: Order, laws: Mapping[Asked, Sequence[Law]], refused: Mapping[Asked, str], trials: Sequence[Trial]
) -> dict[str, Counted]:
    layers = asked.layers
    possible = [
        trial
        for trial in trials
        if (trial.layer, trial.choices.dtype, trial.choices.mode) not in refused
        and not layers[trial.layer].broken_constraint(trial.sizes)
    ]
    return count_trials(asked.registry, possible, laws)


def start(plan: Plan, results: Path, show: Show) -> Run:
    """Make the run folder and carry the plan out.

    Raises:
        RunError: the folder cannot be written.
        RunInterruptedError: the user stopped; everything measured so far is in the folder.
    """
    info = _info(plan)
    names = itertools.chain([info.name], (f"{info.name}-{number}" for number in itertools.count(2)))
    for name in names:
        with contextlib.suppress(TakenError):  # another run began in the same second
            create(results / name, replace(info, name=name))
            break
    return _measure(results / name, plan.order, show)


def resume(folder: Path, show: Show) -> Run:
    """Continue an interrupted run with the visits it still lacks.

    Raises:
        RunError: the folder is no run, or was made on another machine or with other code.
        RunInterruptedError: the user stopped again.
    """
    info = load_stored(folder).info
    if (here := read_host()).key != info.host.key:
        raise RunError(f"{folder} was measured on {info.host.key}; this is {here.key}: start a new run here")
    suite = from_mapping(info.suite, info.suite_name, str(folder / "run.json"))
    asked = Order(suite, Registry(info.plugins), info.seed, info.command)
    if changed := _changed(info.code, _code(asked)):
        again = f": {info.command}" if info.command else ""
        raise RunError(f"{folder} cannot be continued, as {changed}; start a new run{again}")
    return _measure(folder, asked, show)


def _code(asked: Order) -> dict[str, str]:
    """What measures → its fingerprint: attnbench, and whatever else the layers of the suite come from."""
    registry = asked.registry
    origins = dict.fromkeys((*registry.plugins, *map(registry.origin, asked.suite.layers)))
    found = {_from_anywhere(origin): registry.sources[origin] for origin in origins if origin in registry.sources}
    try:
        return {"attnbench": of_attnbench(), **{origin: of_sources(path) for origin, path in found.items()}}
    except OSError as error:
        raise RunError(f"{error.filename} cannot be read: {error.strerror}") from None


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs in the code, in words; empty when nothing does."""
    if not before:
        return "an older attnbench measured it and did not keep which code did"
    changed = [
        f"{name} ({before.get(name, 'none')[:24]}, now {now.get(name, 'none')[:24]})"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    ]
    return f"what it was measured with has changed: {', '.join(changed)}" if changed else ""


def _measure(folder: Path, asked: Order, show: Show) -> Run:
    """Run the rounds, journal every visit, and leave tables and laws behind, also when interrupted."""
    way_on = f"To continue: attnbench run --resume {shlex.quote(str(folder))}"
    with Journal(folder) as journal:
        stored = load_stored(folder)  # only now, as another process may have held the journal until a moment ago
        forget_laws(folder)
        try:
            _visit_all(stored, journal, asked, show)
            show.stage("fitting")
            return _finish(folder)
        except KeyboardInterrupt as stop:
            raise stopped_by(stop, f"interrupted; everything measured is kept. {way_on}") from None
        except (WorkerError, RunError) as error:
            raise type(error)(f"{error}. {way_on}") from error


def _visit_all(stored: StoredRun, journal: Journal, asked: Order, show: Show) -> None:
    """Journal every visit; when stopped on the way, derive what can be derived from those before."""
    try:
        show.stage("measuring")
        for visit in _rounds(stored, asked, show):
            journal.append(visit)
    except (KeyboardInterrupt, WorkerError, RunError):
        with contextlib.suppress(Exception):  # why it stopped matters more, and `load` derives it all again
            _finish(folder=stored.path)
        raise


def _rounds(stored: StoredRun, asked: Order, show: Show) -> Iterator[Visit]:
    info, seen = stored.info, list(stored.visits)
    left_out = {*info.skipped, *info.unsupported} | {visit.trial for visit in seen if visit.status is not Status.OK}
    planned = [PlannedTrial(t, info.visit_seconds[t.id]) for t in info.trials if t.id not in left_out]
    trials = {trial.id: trial for trial in info.trials}
    rounds = Rounds(
        setup=asked.setup,
        trials=planned,
        budget_seconds=asked.suite.budget - info.calibration_seconds,
        seed=info.seed,
        done={(visit.trial, visit.round) for visit in seen},
        failures=[(trials[visit.trial], visit.status) for visit in seen if visit.trial in trials],
        spent_seconds=sum(visit.clock_seconds for visit in seen),
        first_process=max((visit.process + 1 for visit in seen), default=0),
    )

    looks: dict[int, tuple[StoredRun, list[Law]]] = {}

    def look(round_: int) -> tuple[StoredRun, list[Law]]:
        """The run as it stood before a round, and its laws: the same also when a round was interrupted."""
        if round_ not in looks:
            then = replace(stored, visits=tuple(visit for visit in seen if visit.round < round_))
            looks[round_] = then, fit_laws(then)
        return looks[round_]

    def wanted(round_: int) -> set[str]:
        then, laws = look(round_)
        show.laws(laws)
        if round_ < LEAST_ROUNDS:
            return set()  # these visit everything
        _, before = look(round_ - 1)
        means = Means(info.visit_seconds, MOST_ROUNDS - round_, round_ % ROUNDS_PER_PROCESS == 0, _LEAST_SECONDS)
        return worth_visiting(then.records, then.samples, questions_of(info), laws, before, means)

    for visit in rounds.visits(wanted, show.visiting, time.monotonic()):
        seen.append(visit)
        yield visit


def fit_laws(stored: StoredRun, claims: Mapping[str, str] | None = None) -> list[Law]:
    """Laws of time of a run, from its tables alone; `claims` (layer → formula) replaces what the layers claim."""
    info, questions = stored.info, questions_of(stored.info, claims)
    records = stored.records[stored.records["status"] != Status.UNSUPPORTED]  # what cannot be run has no law to judge
    laws = time_laws(records, stored.samples, questions) if len(records) else []
    return laws + [_unread(layer, choices, info, questions) for layer, choices in _without_trials(info)]


def questions_of(info: RunInfo, claims: Mapping[str, str] | None = None) -> dict[Asked, Question]:
    """Layer, dtype and mode → what is asked of its times; `claims` (layer → formula) replaces what the layers claim."""
    flops = {(law.layer, law.dtype, law.mode): law for law in info.counted_laws if law.metric == "flops"}
    subjects = [*((trial.layer, trial.choices) for trial in info.trials), *_without_trials(info)]
    questions = {}
    for layer, dtype, mode in dict.fromkeys((layer, choices.dtype, choices.mode) for layer, choices in subjects):
        text = (claims or {}).get(layer, claimed_time(info.claims.get(layer, {}), mode))
        counted = flops.get((layer, dtype, mode))
        questions[layer, dtype, mode] = Question(
            claim=Formula(text) if text else None,
            flops=Formula(counted.formula) if counted and counted.formula else None,
            scope=info.scopes[layer],
            uncounted=counted.uncounted if counted else (),
        )
    return questions


def _without_trials(info: RunInfo) -> list[tuple[str, Choices]]:
    """Layers and choices for which the plan found no window."""
    measured = {(trial.layer, trial.choices) for trial in info.trials}
    every = from_mapping(info.suite, info.suite_name, "run.json").choices if info.windows else ()
    subjects = itertools.product(info.scopes, every)
    return [one for one in subjects if one not in measured and info.window(*one)]


def _unread(layer: str, choices: Choices, info: RunInfo, questions: Mapping[Asked, Question]) -> Law:
    """The row of a layer for which the plan found no window."""
    question, reason = questions[layer, choices.dtype, choices.mode], info.window(layer, choices)
    claim = question.claim.text if question.claim else None
    law = Law(layer, "time", Verdict.OUT_OF_REGIME, reason, claim=claim, scope=question.scope)
    return replace(law, **asdict(choices))


def _finish(folder: Path) -> Run:
    """Fit, and write tables and laws beside the journal."""
    stored = load_stored(folder)
    run = Run(stored.path, stored.info, stored.visits, _all_laws(stored))
    run.write_derived()
    return run


def _all_laws(stored: StoredRun) -> tuple[Law, ...]:
    return (*stored.info.shown_laws, *fit_laws(stored))


def _info(plan: Plan) -> RunInfo:
    asked, now = plan.order, dt.datetime.now(dt.UTC)
    layers = asked.layers
    trials = [planned for subject in plan.subjects for planned in subject.trials]
    calibration = [
        {
            "layer": s.subject.layer.name,
            **asdict(s.subject.choices),
            **asdict(row),
            "flops": _flops(s.subject, row.sizes),
        }
        for s in plan.subjects
        for row in s.probed.probes
    ]
    return RunInfo(
        name=f"{asked.suite.name}-{now:%Y%m%d-%H%M%S}",
        suite=asked.suite.as_json(),
        suite_name=asked.suite.name,
        command=asked.command,
        seed=asked.seed,
        started=now.isoformat(timespec="seconds"),
        version=__version__,
        host=read_host(),
        trials=(*(planned.trial for planned in trials), *plan.unsupported),
        counted=plan.counted,
        counted_laws=plan.counted_laws,
        plugins=tuple(map(_from_anywhere, asked.registry.plugins)),
        skipped=plan.skipped,
        unsupported={trial.id: why for trial, why in plan.unsupported.items()},
        claims={name: layer.claims.given for name, layer in layers.items()},
        scopes={name: layer.scope for name, layer in layers.items()},
        windows=plan.windows,
        calibration=tuple(calibration),
        calibration_seconds=plan.probing_seconds,
        timer_overhead_seconds=plan.overhead_seconds,
        floors=plan.floors,
        visit_seconds={planned.trial.id: planned.visit_seconds for planned in trials},
        code=_code(asked),
        reach={layer: [list(pair) for pair in pairs] for layer, pairs in plan.reach.items()},
    )


def _from_anywhere(plugin: str) -> str:
    """A plugin's file by its whole path, so that a run can be continued from another folder; a module by its name."""
    return str(Path(plugin).resolve()) if plugin.endswith(".py") or os.sep in plugin else plugin


def _flops(subject: Subject, sizes: Sizes) -> int | None:
    return int(subject.work(sizes)) if subject.counts_work else None


def run(
    suite: str | os.PathLike[str] | Suite,
    *,
    results: str | Path = "results",
    show: Show | None = None,
    **overrides: Unpack[Overrides],
) -> Run:
    """Execute a suite and return its tables and laws.

    Args:
        suite: a shipped suite's name, a file, or a `Suite`.
        results: folder in which the run folder is made.
        show: who shows the progress; nobody by default.
        **overrides: as for `order`: ``layers``, ``devices``, ``budget``, ``sizes``, ``plugins``, ``seed``.

    Raises:
        InputError: something that was asked for cannot be read, found or satisfied.
    """
    show = show or Silent()
    return start(make_plan(order(suite, **overrides), show), Path(results), show)


def load(path: str | Path) -> Run:
    """Read a run folder; laws that are missing or damaged are fitted anew.

    Raises:
        RunError: it is no run, or damaged.
    """
    stored = load_stored(Path(path))
    laws = stored.found_laws if read_laws(stored.path) is not None else _all_laws(stored)
    return Run(stored.path, stored.info, stored.visits, laws)


def _readable_runs(results: Path) -> Iterator[StoredRun]:
    """The runs beside one that was just read; one that is damaged costs its own line in the index only."""
    for folder in runs_in(results):
        with contextlib.suppress(InputError):
            yield load(folder)


def run_rows(results: Path) -> list[dict[str, Any]]:
    """One row for each run in `results`, newest first; a damaged run is a row that says so."""
    rows = []
    for folder in runs_in(results):
        try:
            run = load(folder)
        except InputError as error:
            rows.append({"name": folder.name, "damaged": str(error)})
            continue
        tally = Counter(str(law.verdict) for law in run.found_laws if law.metric == "time")
        verdicts = ", ".join(f"{number} {verdict}" for verdict, number in tally.items())
        rows.append({"name": folder.name, "started": run.info.started, "verdicts": verdicts, "path": str(folder)})
    return rows


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; empty cells for missing values, and pipes kept from splitting cells."""
    cells = frame.astype("object").where(frame.notna(), "").map(lambda value: str(value).replace("|", "\\|"))
    lines: list[list[str]] = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *cells.to_numpy().tolist()]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
