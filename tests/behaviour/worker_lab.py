"""Workers that are killed, for `test_crash`: `main` prints what became of each run, as JSON.

The measuring processes are the real ones, but forks of this one, which has imported everything, so that a start costs
next to nothing. Each dies before a line of code that was drawn by lot, within the files that answer requests; some are
killed from outside while nobody asks them anything.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any

import pyarrow.parquet  # noqa: F401  so that no fork has to
import pytest

from attnbench import child
from attnbench.errors import WorkerError
from attnbench.measure import worker
from attnbench.session import prepare, reading
from attnbench.session import run as session
from attnbench.session.reporter import Reporter
from attnbench.store.run_info import runs_in
from tests.behaviour.crash_lab import Planned, ended, fork

#: No trial is larger than another, so that none is left out because a smaller one was killed.
SUITE = 'budget = "0.2s"\ndevice = ["cpu"]\nmetrics = ["time"]\n' + "".join(
    f'[[sweep]]\nlayers = ["feed-forward"]\nb = [1]\nn = [{2**power}]\nd = [{2 ** (8 - power)}]\n' for power in range(8)
)
ROUNDS = 3
RUNS, KILLS = 6, 6
#: Files that answer requests, and how many of their lines a process may live through: short lives and long ones.
ANSWERING = ("worker.py", "guard.py", "loop.py", "call.py", "building.py")
LIVES = (240, 300, 2400)


class Mortal:
    """Writes down what its process is doing before line number `last`, and kills it there."""

    def __init__(self, last: int, deaths: Path) -> None:
        self._left, self._deaths = last, deaths

    def __call__(self, frame: FrameType, event: str, _: Any) -> Mortal | None:
        code = frame.f_code
        if event == "call":
            ours = code.co_filename.endswith(ANSWERING) and "attnbench" in code.co_filename
            return self if ours and not code.co_name.endswith("comp>") else None  # each turn of which is a line
        self._left -= event == "line"
        doing = self._doing(frame)
        if self._left <= 0 and doing:
            write_down(self._deaths, f"{doing} {code.co_name}")
            os.kill(os.getpid(), signal.SIGKILL)
        return self

    def _doing(self, frame: FrameType | None) -> str:
        """Starting, or what was asked; empty between two requests, where nobody can tell which of them it was."""
        while frame is not None and frame.f_code is not worker.serve.__code__:
            frame = frame.f_back
        if frame is None or "line" not in frame.f_locals:
            return "starting"
        request = frame.f_locals.get("request")
        if request is None or frame.f_lineno == FIRST_LINE_OF_LOOP:
            return ""
        return "visiting" if request.get("pace", {}).get("seconds") else "planning"


def _loop_of(code: Any) -> int:
    """The line on which the loop over requests stands."""
    lines = Path(code.co_filename).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line == "    for line in requests:")


FIRST_LINE_OF_LOOP = _loop_of(worker.serve.__code__)


def write_down(path: Path, line: str) -> None:
    """Append a line; it is there also when the process ends at once."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def lines_of(path: Path) -> list[str]:
    """What was written down."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


class Forked:
    """What `subprocess.Popen` is for a measuring process: a fork that dies by lot, as long as there are deaths left."""

    deaths: Path
    kills: int
    lot: random.Random

    def __init__(self, _: list[str], *, stderr: IO[bytes], env: dict[str, str], **__: Any) -> None:
        theirs, ours = os.pipe()
        mine, answers = os.pipe()
        last = self.lot.randrange(self.lot.choice(LIVES))

        def serve() -> None:
            os.setsid()
            for given, wanted in ((theirs, 0), (answers, 1), (stderr.fileno(), 2)):
                os.dup2(given, wanted)
            os.closerange(3, 256)
            os.environ.update(env)
            if len(lines_of(self.deaths)) < self.kills:
                sys.settrace(Mortal(last, self.deaths))
            worker.main()

        self.pid, self.returncode = fork(serve), None
        os.close(theirs)
        os.close(answers)
        self.stdin, self.stdout = os.fdopen(ours, "wb"), os.fdopen(mine, "rb")

    def kill(self) -> None:
        """As `subprocess.Popen` does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """As `subprocess.Popen` does."""
        self.returncode = ended(self.pid)  # type: ignore[assignment]
        return ended_with(self.returncode)


def ended_with(code: int | None) -> int:
    """An exit status that is there."""
    assert code is not None
    return code


class Killing(Reporter):
    """Kills the process that is about to be asked, from some visits on that were drawn by lot."""

    def __init__(self, deaths: Path, kills: int, visits: list[int]) -> None:
        self._deaths, self._kills, self._visits, self._seen = deaths, kills, visits, 0

    def visiting(self, _: object) -> None:
        self._seen += 1
        idle = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if idle and self._visits and self._seen >= self._visits[0] and len(lines_of(self._deaths)) < self._kills:
            self._visits.pop(0)
            os.kill(int(idle[0]), signal.SIGKILL)
            os.waitid(os.P_PID, int(idle[0]), os.WEXITED | os.WNOWAIT)
            write_down(self._deaths, "waiting visiting")


def measured(planned: Planned, folder: Path, number: int) -> dict[str, Any]:
    """A run some of whose workers are killed; of the last one, those that make its plan too."""
    deaths, kills, lot = folder / "deaths", KILLS if number else 0, random.Random(number)
    Forked.deaths, Forked.kills, Forked.lot = deaths, kills, lot
    reporter = Killing(deaths, kills, sorted(lot.sample(range(1, 13), 2)))
    stopped = 0
    if number == RUNS:
        planned = planned[0], prepare.make_plan(planned[0], reporter)
    while True:
        begun = runs_in(folder)
        try:
            run = session.resume(begun[0], reporter) if begun else session.start(*planned, folder, reporter)
            break
        except WorkerError:  # two in a row were killed before they could say hello
            stopped += 1
    again = reading.load(run.path)
    return {
        "deaths": lines_of(deaths),
        "stopped": stopped,
        "trials": [
            [row.trial, row.status, row.reason, math.isfinite(row.seconds), row.visits]
            for row in again.records.itertuples()
        ],
        "visits": [[visit.trial, visit.round, str(visit.status)] for visit in again.visits],
        "most_often": max(Counter((visit.trial, visit.round) for visit in again.visits).values()),
    }


def main(folder: Path) -> None:
    """Run, kill, and print."""
    folder.mkdir()
    (folder / "line.toml").write_text(SUITE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child.subprocess, "Popen", Forked)
        patch.setattr("attnbench.execute.rounds.MAX_ROUNDS", ROUNDS)
        Forked.deaths, Forked.kills, Forked.lot = folder / "none", 0, random.Random(0)
        request = session.request(str(folder / "line.toml"))
        planned = request, prepare.make_plan(request, Reporter())
        for number in range(1 + RUNS):
            results, answer = folder / f"results-{number}", folder / f"answer-{number}.json"
            results.mkdir()
            status = ended(fork(partial(measured, planned, results, number), answer))
            found = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
            sys.stdout.write(json.dumps({"status": status, **found}) + "\n")
