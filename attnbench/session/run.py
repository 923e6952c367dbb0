"""A run from suite to laws: the rooms in the order in which data walks through them.

    suite → count → probe and plan → rounds of visits → journal → fit → laws

``attnbench.run`` lives here; runs that are over are read in `attnbench.session.reading`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from attnbench.errors import RunError, WorkerError, stopped_by
from attnbench.execute.machine import THIS_MACHINE, Machine
from attnbench.layers.registry import Registry
from attnbench.measure.machine.host import read_host
from attnbench.plan.plan import Plan
from attnbench.session.prepare import make_plan
from attnbench.session.reading import Run, all_laws
from attnbench.session.reporter import Reporter
from attnbench.session.request import Overrides, RunRequest, request
from attnbench.session.visits import remaining_visits
from attnbench.spec import Suite
from attnbench.store.derived import forget_laws
from attnbench.store.fingerprint import of_attnbench, of_sources
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, TakenError, create, load_stored
from attnbench.store.run_info import RunInfo
from attnbench.version import __version__


def start(request: RunRequest, plan: Plan, results: Path, reporter: Reporter) -> Run:
    """Make the run folder and carry the plan out.

    Raises:
        RunError: the folder cannot be written.
        RunInterruptedError: the user stopped; everything measured so far is in the folder.
    """
    info = _info(request, plan)
    names = itertools.chain([info.name], (f"{info.name}-{number}" for number in itertools.count(2)))
    for name in names:
        with contextlib.suppress(TakenError):  # another run began in the same second
            create(results / name, replace(info, name=name))
            break
    return _measure(results / name, info, request, reporter)


def resume(folder: Path, reporter: Reporter, machine: Machine = THIS_MACHINE) -> Run:
    """Continue an interrupted run with the visits it still lacks.

    Raises:
        RunError: the folder is no run, or was made on another machine or with other code.
        RunInterruptedError: the user stopped again.
    """
    info = load_stored(folder).info
    if differences := info.host.differences(read_host()):
        raise RunError(f"{folder} was measured {differences}: start a new run here")
    request = RunRequest(info.plan.suite, Registry(info.plugins), info.seed, info.command, machine)
    if changed := _changed(info.code, _code(request)):
        again = f": {info.command}" if info.command else ""
        raise RunError(f"{folder} cannot be continued, as {changed}; start a new run{again}")
    return _measure(folder, info, request, reporter)


def _code(request: RunRequest) -> dict[str, str]:
    """What measures → its fingerprint: attnbench, and whatever else the layers of the suite come from."""
    registry = request.registry
    origins = dict.fromkeys((*registry.plugins, *map(registry.origin, request.suite.layers)))
    sources = {_from_anywhere(origin): registry.sources[origin] for origin in origins if origin in registry.sources}
    try:
        return {"attnbench": of_attnbench(), **{origin: of_sources(path) for origin, path in sources.items()}}
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


def _measure(folder: Path, info: RunInfo, request: RunRequest, reporter: Reporter) -> Run:
    """Run the rounds, journal every visit, and leave tables and laws behind, also when interrupted."""
    way_on = f"To continue: attnbench run --resume {shlex.quote(str(folder))}"
    with Journal(folder, info.journal_start) as journal:
        stored = load_stored(folder)  # only now, as another process may have held the journal until a moment ago
        forget_laws(folder)
        try:
            _visit_all(stored, journal, request, reporter)
            reporter.stage("fitting")
            return _finish(folder)
        except KeyboardInterrupt as stop:
            raise stopped_by(stop, f"interrupted; everything measured is kept. {way_on}") from None
        except (WorkerError, RunError) as error:
            raise type(error)(f"{error}. {way_on}") from error


def _visit_all(stored: StoredRun, journal: Journal, request: RunRequest, reporter: Reporter) -> None:
    """Journal every visit; when stopped on the way, derive what can be derived from those before."""
    try:
        for visit in remaining_visits(stored, request, reporter):
            journal.append(visit)
    except (KeyboardInterrupt, WorkerError, RunError):
        with contextlib.suppress(Exception):  # why it stopped matters more, and `load` derives it all again
            _finish(folder=stored.path)
        raise


def _finish(folder: Path) -> Run:
    """Fit, and write tables and laws beside the journal."""
    stored = load_stored(folder)
    run = Run(stored.path, stored.info, stored.visits, all_laws(stored))
    run.write_derived()
    return run


def _info(request: RunRequest, plan: Plan) -> RunInfo:
    now = dt.datetime.now(dt.UTC)
    return RunInfo(
        name=f"{plan.suite.name}-{now:%Y%m%d-%H%M%S}",
        command=request.command,
        seed=request.seed,
        started=now.isoformat(timespec="seconds"),
        version=__version__,
        host=read_host(),
        plan=plan,
        plugins=tuple(map(_from_anywhere, request.registry.plugins)),
        journal_start=secrets.randbits(32),
        code=_code(request),
    )


def _from_anywhere(plugin: str) -> str:
    """A plugin's file by its whole path, so that a run can be continued from another folder; a module by its name."""
    return str(Path(plugin).resolve()) if plugin.endswith(".py") or os.sep in plugin else plugin


def run(
    suite: str | os.PathLike[str] | Suite,
    *,
    results: str | Path = "results",
    reporter: Reporter | None = None,
    **overrides: Unpack[Overrides],
) -> Run:
    """Execute a suite and return its tables and laws.

    Args:
        suite: a shipped suite's name, a file, or a `Suite`.
        results: folder in which the run folder is made.
        reporter: who is told of the progress; nobody by default.
        **overrides: as for `request`: ``layers``, ``devices``, ``budget``, ``sizes``, ``plugins``, ``seed``.

    Raises:
        InputError: something that was asked for cannot be read, found or satisfied.
    """
    reporter, checked = reporter or Reporter(), request(suite, **overrides)
    return start(checked, make_plan(checked, reporter), Path(results), reporter)
