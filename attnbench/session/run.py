"""A run from suite to laws: the rooms in the order in which data walks through them.

    suite → count → probe and plan → rounds of visits → journal → fit → laws

``attnbench.run``, ``attnbench.load`` and ``attnbench.compare`` live here, and so does the `Run` they return.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import secrets
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

from attnbench.errors import RunError, WorkerError, stopped_by
from attnbench.execute.memory import Weighing, tells
from attnbench.execute.rounds import LEAST_ROUNDS, MOST_ROUNDS, ROUNDS_PER_PROCESS, Failure, Rounds
from attnbench.fitting.compare.runs import MIN_CHANGE, RunComparison
from attnbench.fitting.compare.runs import compare as compare_runs
from attnbench.fitting.next_visits import Means, worth_visiting
from attnbench.fitting.verdict.unjudged import UnjudgedLaw
from attnbench.law import Law, Verdict
from attnbench.layers.registry import Registry
from attnbench.measure.machine.host import read_host
from attnbench.plan.cost_model import CostModel
from attnbench.plan.decide import PlannedTrial
from attnbench.record import Status, Visit
from attnbench.session.judge import TimeFits, fit_laws
from attnbench.session.prepare import Plan, make_plan
from attnbench.session.queries import OpenRun
from attnbench.session.reporter import Show, Silent
from attnbench.session.request import Order, Overrides, order
from attnbench.spec import Suite, from_mapping
from attnbench.store.fingerprint import of_attnbench, of_sources
from attnbench.store.journal import Journal
from attnbench.store.overview import Overview, overviews
from attnbench.store.run_folder import RunInfo, StoredRun, TakenError, create, forget_laws, load_stored, read_laws
from attnbench.trial import Sizes
from attnbench.version import __version__

#: A round shorter than this is not worth the start of a process.
_LEAST_SECONDS = 1.0


class Run(OpenRun):
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
        from attnbench.report.page import write_report  # drawing takes a second to import

        page = write_report(self, Path(folder))
        index_reports([self.path.parent], page.parent)
        return page


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
    return _measure(results / name, info, plan.order, show)


def resume(folder: Path, show: Show) -> Run:
    """Continue an interrupted run with the visits it still lacks.

    Raises:
        RunError: the folder is no run, or was made on another machine or with other code.
        RunInterruptedError: the user stopped again.
    """
    info = load_stored(folder).info
    if differences := info.host.differences(read_host()):
        raise RunError(f"{folder} was measured {differences}: start a new run here")
    suite = from_mapping(info.suite, info.suite_name, str(folder / "run.json"))
    asked = Order(suite, Registry(info.plugins), info.seed, info.command)
    if changed := _changed(info.code, _code(asked)):
        again = f": {info.command}" if info.command else ""
        raise RunError(f"{folder} cannot be continued, as {changed}; start a new run{again}")
    return _measure(folder, info, asked, show)


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


def _measure(folder: Path, info: RunInfo, asked: Order, show: Show) -> Run:
    """Run the rounds, journal every visit, and leave tables and laws behind, also when interrupted."""
    way_on = f"To continue: attnbench run --resume {shlex.quote(str(folder))}"
    with Journal(folder, info.journal_start) as journal:
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
        for visit in _visits(stored, asked, show):
            journal.append(visit)
    except (KeyboardInterrupt, WorkerError, RunError):
        with contextlib.suppress(Exception):  # why it stopped matters more, and `load` derives it all again
            _finish(folder=stored.path)
        raise


def _visits(stored: StoredRun, asked: Order, show: Show) -> Iterator[Visit]:
    """Every visit that is missing: those for memory, and then, trial by trial that can be run, those for time."""
    info, seen, began = stored.info, list(stored.visits), time.monotonic()
    if info.measures("memory"):
        show.stage("measuring memory, each call in a process of its own")
        for visit in _weighing(info, seen, asked).visits(show.visiting, began):
            seen.append(visit)
            yield visit
    if info.measures("time"):
        show.stage("measuring")
        yield from _rounds(stored, seen, asked, show, began)


def _weighing(info: RunInfo, seen: Sequence[Visit], asked: Order) -> Weighing:
    weighed = {visit.trial for visit in seen if visit.metric == "memory"}
    return Weighing(
        setup=asked.setup,
        trials=[p for p in _left(info, seen) if p.trial.id not in weighed and tells(p.trial.choices.device)],
        counted_bytes={trial: counted.peak_bytes for trial, counted in info.counted.items()},
        failures=_failures(info, seen),
        first_process=_first_process(seen),
    )


def _left(info: RunInfo, seen: Sequence[Visit]) -> list[PlannedTrial]:
    """The trials that can be visited, those that failed before left out."""
    left_out = {*info.skipped, *info.unsupported} | {visit.trial for visit in seen if visit.status is not Status.OK}
    return [PlannedTrial(t, info.visit_seconds[t.id]) for t in info.trials if t.id not in left_out]


def _failures(info: RunInfo, seen: Sequence[Visit]) -> list[Failure]:
    trials = {trial.id: trial for trial in info.trials}
    return [(trials[visit.trial], visit.status) for visit in seen if visit.trial in trials]


def _first_process(seen: Sequence[Visit]) -> int:
    return max((visit.process + 1 for visit in seen), default=0)


def _rounds(stored: StoredRun, seen: list[Visit], asked: Order, show: Show, began: float) -> Iterator[Visit]:
    info = stored.info
    rounds = Rounds(
        setup=asked.setup,
        trials=_left(info, seen),
        budget_seconds=asked.suite.budget - info.calibration_seconds,
        seed=info.seed,
        done={(visit.trial, visit.round) for visit in seen if visit.metric == "time"},
        failures=_failures(info, seen),
        spent_seconds=sum(visit.clock_seconds for visit in seen),
        first_process=_first_process(seen),
    )

    fits, looks = TimeFits(info), dict[int, tuple[list[UnjudgedLaw], list[Law]]]()

    def look(round_: int) -> tuple[list[UnjudgedLaw], list[Law]]:
        """The laws as they stood before a round: the same also when a round was interrupted."""
        if round_ not in looks:
            looks[round_] = fits.of(replace(stored, visits=tuple(visit for visit in seen if visit.round < round_)))
        return looks[round_]

    def wanted(round_: int) -> set[str]:
        fitted, laws = look(round_)
        show.laws(laws)
        if round_ < LEAST_ROUNDS:
            return set()  # these visit everything
        _, before = look(round_ - 1)
        means = Means(info.visit_seconds, MOST_ROUNDS - round_, round_ % ROUNDS_PER_PROCESS == 0, _LEAST_SECONDS)
        return worth_visiting(fitted, laws, before, means)

    for visit in rounds.visits(wanted, show.visiting, began):
        seen.append(visit)
        yield visit


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
            "layer": s.costs.layer.name,
            **asdict(s.costs.choices),
            **asdict(row),
            "flops": _flops(s.costs, row.sizes),
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
        journal_start=secrets.randbits(32),
        reach={layer: [list(pair) for pair in pairs] for layer, pairs in plan.reach.items()},
        paths=plan.paths,
        weights=plan.pictures.weights,
        fading=plan.pictures.fading,
        peaks=plan.peaks,
    )


def _from_anywhere(plugin: str) -> str:
    """A plugin's file by its whole path, so that a run can be continued from another folder; a module by its name."""
    return str(Path(plugin).resolve()) if plugin.endswith(".py") or os.sep in plugin else plugin


def _flops(costs: CostModel, sizes: Sizes) -> int | None:
    return int(costs.work(sizes)) if costs.counts_work else None


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


def compare(
    base: StoredRun | str | Path, new: StoredRun | str | Path, *, least: float = MIN_CHANGE, across_hosts: bool = False
) -> RunComparison:
    """Say which trials and which laws changed from one run to another, with intervals.

    Args:
        base: the run to compare with, or its folder.
        new: the other run, or its folder.
        least: smallest relative change of a time that matters.
        across_hosts: compare also where the machines differ.

    Raises:
        InputError: a folder is no run, the machines differ, or the runs have nothing in common.
    """
    one, other = (run if isinstance(run, StoredRun) else load(run) for run in (base, new))
    return compare_runs(one, other, least=least, across_hosts=across_hosts)


def index_reports(results: Iterable[Path], reports: Path) -> Path:
    """Write the index of the runs in the folders `results` that have a page in `reports`, and of the damaged ones.

    Raises:
        RunError: the folder cannot be written.
    """
    from attnbench.report.page import file_name, write_index

    runs = (run for folder in results for run in overviews(folder))
    return write_index(reports, (run for run in runs if run.damage or (reports / file_name(run.name)).exists()))


def run_rows(results: Path) -> list[dict[str, Any]]:
    """One row for each run in `results`, newest first; a damaged run is a row that says so."""
    return [
        {"name": run.path.name, "damaged": run.damage}
        if run.damage
        else {"name": run.path.name, "started": run.started, "verdicts": _verdicts(run), "path": str(run.path)}
        for run in overviews(results)
    ]


def _verdicts(run: Overview) -> str:
    counts = [f"{number} {verdict}" for verdict, number in run.verdicts.items()]
    counts += [f"{run.inferred} {Verdict.INFERRED}"] if run.inferred else []
    return ", ".join(counts) if run.finished else "laws not fitted"
