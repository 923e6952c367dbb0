"""Runs that are killed, for `test_crash`: `main` prints what became of each, as JSON.

One process imports everything and makes one plan. Each run that is to die is a fork of it, and so is each that picks
up what is left; nobody waits for a clock. A fork kills itself before a line of code that was drawn by lot, within the
files that write a run, or it is killed from outside at whatever it is doing after a number of visits.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow.parquet  # noqa: F401  so that no fork has to

from attnbench.plan.plan import Plan
from attnbench.session import prepare
from attnbench.session import run as session
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
from attnbench.store.overview import run_rows
from attnbench.store.run_folder import load_stored
from attnbench.store.run_info import runs_in
from tests.fake_machine import FakeMachine, as_counted

#: What was asked for, and the plan for it.
Planned = tuple[RunRequest, Plan]

SUITE = """
budget = "60s"
device = ["cpu"]
[[sweep]]
layers = ["attention-core-fused"]
n = [64, 128]
d = [64, 128]
"""
#: Files whose lines are moments to die at, and functions of them that are rare and matter most.
WRITERS = (
    *(f"store/{name}.py" for name in ("journal", "run_folder", "atomic", "derived")),
    "session/run.py",
    "session/visits.py",
    "execute/rounds.py",
)
FOLDERS_AND_TABLES = ("create", "put", "_sync", "put_text", "sync_folder", "write_derived", "__init__")
#: How many moments are drawn of each kind: any line, any between the first visit and the last, and delicate ones.
ANYWHERE, AMONG_VISITS, IN_APPEND, BEFORE_VISITS, AFTER_VISITS, FROM_OUTSIDE = 4, 7, 7, 4, 4, 4


class Steps:
    """Lines that were executed in `WRITERS`, as the names of their functions; dies before line number `last`."""

    def __init__(self, last: int | None = None) -> None:
        self.names: list[str] = []
        self._last = last

    def __call__(self, frame: FrameType, event: str, _: Any) -> Steps | None:
        if event == "call":
            code = frame.f_code
            return self if code.co_filename.endswith(WRITERS) and "attnbench" in code.co_filename else None
        if event == "line":
            if len(self.names) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            self.names.append(frame.f_code.co_name)
        return self


def fork(work: Callable[[], object], answer: Path | None = None) -> int:
    """Do the work in another process, which writes its answer down; the number of that process."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        found = work()
        if answer:
            answer.write_text(json.dumps(found), encoding="utf-8")
        status = 0
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """How a fork ended: its exit status, or the signal that killed it as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def watched(results: Path) -> None:
    """From now on, write half of what is to be written, and count in a file the lines that a journal has on disk."""
    write, sync = os.write, os.fsync
    counted = os.open(results / "finished", os.O_WRONLY | os.O_CREAT)

    def synced(file: int) -> None:
        sync(file)
        if os.readlink(f"/proc/self/fd/{file}").endswith("journal.jsonl"):
            write(counted, b".")

    os.write = lambda file, data: write(file, data[: max(1, len(data) // 2)])  # half a line is a moment to die at
    os.fsync = synced


def traced(planned: Planned, results: Path, steps: Steps) -> list[str]:
    """Run the plan, and die on the way if `steps` says so."""
    watched(results)
    sys.settrace(steps)
    session.start(*planned, results, Reporter())
    sys.settrace(None)
    return steps.names


def told(planned: Planned, results: Path, end: int) -> None:
    """Run the plan, and tell of each visit."""

    class Telling(Reporter):
        def visiting(self, _: object) -> None:
            os.write(end, b".")

    watched(results)
    session.start(*planned, results, Telling())


def picked_up(planned: Planned, results: Path) -> dict[str, Any]:
    """What is left in `results`, and what a resumed (or, where there was no run yet, a new) run makes of it."""
    rows = run_rows(results)
    folders = runs_in(results)
    before = load_stored(folders[0]).visits if folders else ()
    machine, reporter = planned[0].machine, Reporter()
    run = session.resume(folders[0], reporter, machine) if folders else session.start(*planned, results, reporter)
    again = load_stored(run.path)
    return {
        "listed": [row.get("damaged", "whole") for row in rows],
        "finished": (results / "finished").stat().st_size,
        "kept": len(before),
        "in_place": run.visits[: len(before)] == before,
        "trials": list(again.records["trial"]),
        "most_often": max(Counter((visit.trial, visit.round) for visit in again.visits).values()),
        "visits": sorted([visit.trial, visit.round] for visit in again.visits),
        "verdicts": [str(law.verdict) for law in again.found_laws],
        "files": sorted(path.name for path in run.path.iterdir()),
    }


def moments(names: list[str]) -> list[int]:
    """Numbers of lines to die before, drawn by lot."""
    lot = random.Random(5)
    lines = range(len(names))
    appends = [step for step in lines if names[step] == "append"]
    first, last = appends[0], appends[-1]
    files = [step for step in lines if names[step] in FOLDERS_AND_TABLES]
    kinds = [
        (lines, ANYWHERE),
        (range(first, last), AMONG_VISITS),
        (appends, IN_APPEND),
        ([step for step in files if step < first], BEFORE_VISITS),
        ([step for step in files if step > last], AFTER_VISITS),
    ]
    return [step for steps, number in kinds for step in lot.sample(steps, number)]


def killed_from_outside(planned: Planned, results: Path, visits: int) -> int:
    """Kill a run some time after it began so many visits."""
    ours, theirs = os.pipe()
    pid = fork(lambda: told(planned, results, theirs))
    os.close(theirs)
    for _ in range(visits):
        os.read(ours, 1)
    os.kill(pid, signal.SIGKILL)
    os.close(ours)
    return ended(pid)


def main(folder: Path) -> None:
    """Kill, pick up, and print."""
    folder.mkdir()
    (folder / "grid.toml").write_text(SUITE, encoding="utf-8")
    request = session.request(str(folder / "grid.toml"), machine=FakeMachine(as_counted(), noise=0.02))
    _kill_all((request, prepare.make_plan(request, Reporter())), folder)


def _kill_all(planned: Planned, folder: Path) -> None:
    names, answer = folder / "names.json", folder / "answer.json"
    places = (folder / f"results-{number}" for number in count())

    def one(moment: str, kill: Callable[[Path], int]) -> None:
        results = next(places)
        results.mkdir()
        status = kill(results)
        answer.unlink(missing_ok=True)
        resumed = ended(fork(lambda: picked_up(planned, results), answer))
        found = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
        sys.stdout.write(json.dumps({"moment": moment, "status": status, "resumed": resumed, **found}) + "\n")

    one("none", lambda results: ended(fork(lambda: traced(planned, results, Steps()), names)))
    steps = json.loads(names.read_text(encoding="utf-8"))
    for last in moments(steps):
        kill = partial(traced, planned, steps=Steps(last))
        one(f"before line {last}, in {steps[last]}", lambda results, kill=kill: ended(fork(lambda: kill(results))))  # type: ignore[misc]
    for visits in random.Random(6).sample(range(1, 12), FROM_OUTSIDE):
        one(f"after visit {visits}", partial(killed_from_outside, planned, visits=visits))
