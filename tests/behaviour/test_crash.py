"""Whatever ends a run, what was measured is kept, and the run can be continued to the end it would have had."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import torch

from attnbench.session import run as session
from attnbench.session.reading import load
from attnbench.store import fingerprint
from attnbench.store.journal import Journal
from tests.fake_machine import FakeMachine, as_counted
from tests.older_run import make_older

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Trial

GRID = """
budget = "60s"
device = ["cpu"]
[[sweep]]
layers = ["attention-core-fused"]
n = [64, 128]
d = [64, 128]
"""
IDS = [f"attention-core-fused-cpu-float32-forward-t1-b1-n{n}-d{d}-h1" for n, d in product((64, 128), repeat=2)]
PLUGIN = """import torch
from attnbench import Claims, Layer
LAYER = Layer("my-layer", lambda d: torch.nn.Linear(d, d), claims=Claims(flops="2*b*n*d**2", time="n*d**2"))
"""


LABS = """
import sys
from pathlib import Path
from tests.behaviour import crash_lab, worker_lab
folder = Path(sys.argv[1])
crash_lab.main(folder / "runs")
worker_lab.main(folder / "workers")
"""


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of runs that were killed, and of runs whose workers were."""
    command = [sys.executable, "-c", LABS, str(tmp_path_factory.mktemp("lab"))]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def killed(labs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One run that was left alone, which is the first, and 30 that were killed."""
    return [one for one in labs if "moment" in one]


@pytest.fixture(scope="module")
def bereft(labs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One run that was left alone, which is the first, and those whose workers were killed."""
    return [one for one in labs if "moment" not in one]


def test_a_run_that_is_killed_at_any_moment_loses_and_doubles_no_visit(killed: list[dict[str, Any]]) -> None:
    whole, *others = killed

    assert [one["status"] for one in others] == [-signal.SIGKILL] * 30
    assert [one["resumed"] for one in others] == [0] * 30
    for one in others:
        assert 0 <= one["kept"] - one["finished"] <= 1, one[
            "moment"
        ]  # the last may be on disk, and not yet known to be
        assert one["in_place"], one["moment"]
        assert one["most_often"] == 1, one["moment"]
    assert {one["finished"] for one in others} >= {0, whole["finished"]}
    assert len({one["finished"] for one in others}) > 6


def test_a_run_that_was_killed_and_resumed_ends_as_one_that_was_left_alone(killed: list[dict[str, Any]]) -> None:
    whole, *others = killed
    end = ("trials", "visits", "verdicts", "files")

    assert len(whole["trials"]) == 4
    for one in others:
        assert {key: one[key] for key in end} == {key: whole[key] for key in end}, one["moment"]


def test_a_run_that_was_killed_while_it_was_made_is_not_listed(
    killed: list[dict[str, Any]],
) -> None:
    assert {tuple(one["listed"]) for one in killed} == {(), ("whole",)}


# ---------------------------------------------------------------------------------------------- signals and full disks


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    return FakeMachine(as_counted(), noise=0.02)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "grid.toml").write_text(GRID, encoding="utf-8")
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def at_visit(machine: FakeMachine, number: int, act: Callable[[], object]) -> None:
    """Let something happen while a visit is made."""

    def during(_: Trial) -> None:
        if len(machine.visits) == number:
            act()

    machine.failures = during


def only_run() -> Path:
    (folder,) = Path("results").iterdir()
    return folder


def resumes_to_the_end(machine: FakeMachine, folder: Path) -> bool:
    run = machine.resume(folder)
    return Counter((v.trial, v.round) for v in run.visits) == Counter(product(IDS, range(3)))


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_with_its_tables_its_laws_and_the_way_on(
    stop: signal.Signals, code: int, machine: FakeMachine, here: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where nobody heeds it
    at_visit(machine, 6, lambda: signal.raise_signal(stop))

    result = machine.invoke("run --suite grid.toml")
    signal.signal(signal.SIGINT, before)

    folder = only_run()
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1] == (
        f"Error: interrupted; everything measured is kept. To continue: attnbench run --resume {folder}"
    )
    assert {"records.parquet", "samples.parquet", "laws.json", "SHA256SUMS"} <= {path.name for path in folder.iterdir()}
    assert len(load(folder).visits) == 5
    machine.failures = lambda _: None
    assert resumes_to_the_end(machine, folder)


def test_a_second_interrupt_stops_at_once_and_keeps_the_journal(
    machine: FakeMachine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: object) -> None:
        raise KeyboardInterrupt

    machine.interrupt_at = 6
    with monkeypatch.context() as user:
        user.setattr(session, "_finish", again)
        result = machine.invoke("run --suite grid.toml")

    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].endswith(f"To continue: attnbench run --resume {only_run()}")
    assert not (only_run() / "laws.json").exists()
    assert len(load(only_run()).visits) == 5


def test_a_signal_before_the_first_visit_leaves_nothing_behind(machine: FakeMachine, here: Path) -> None:
    machine.failures = lambda _: signal.raise_signal(signal.SIGTERM)  # type: ignore[func-returns-value]

    result = machine.invoke("run --suite grid.toml --set n=auto")

    assert result.exit_code == 143
    assert "nothing was written" in result.stderr.splitlines()[-1]
    assert not Path("results").exists()


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_while_measuring_is_one_line_and_keeps_what_was_measured(
    machine: FakeMachine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as disk:
        at_visit(machine, 6, lambda: disk.setattr(os, "write", no_space))
        result = machine.invoke("run --suite grid.toml")

    folder = only_run()
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"Error: {folder}/journal.jsonl cannot be written: No space left on device; everything before is kept. "
        f"To continue: attnbench run --resume {folder}"
    )
    assert len(load(folder).visits) == 5
    assert resumes_to_the_end(machine, folder)


def test_a_disk_that_has_no_room_for_tables_is_one_line_and_keeps_what_was_measured(
    machine: FakeMachine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as disk:
        disk.setattr(pd.DataFrame, "to_parquet", no_space)
        result = machine.invoke("run --suite grid.toml")

    folder = only_run()
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"Error: {folder} cannot be written: No space left on device. To continue: attnbench run --resume {folder}"
    )
    assert len(load(folder).visits) == 12
    assert resumes_to_the_end(machine, folder)


# ------------------------------------------------------------------------------------------------- who may continue it


def stopped(machine: FakeMachine, line: str = "run --suite grid.toml") -> Path:
    """A run that was interrupted at its sixth visit."""
    machine.interrupt_at = 6
    assert machine.invoke(line).exit_code == 130
    machine.interrupt_at = None
    return only_run()


def refused(machine: FakeMachine, folder: Path) -> str:
    result = machine.invoke(f"run --resume {folder}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("Error: ") == 1
    return result.stderr.splitlines()[-1].removeprefix("Error: ")


def test_a_run_that_another_process_continues_is_left_to_it(machine: FakeMachine, here: Path) -> None:
    folder = stopped(machine)

    with Journal(folder, load(folder).info.journal_start):
        assert (
            refused(machine, folder) == f"another process is writing to {folder}; wait for it or choose another folder"
        )

    assert resumes_to_the_end(machine, folder)


def test_a_run_is_not_continued_with_another_attnbench(
    machine: FakeMachine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(machine)
    now = fingerprint.of_attnbench()
    monkeypatch.setattr(session, "of_attnbench", lambda: "0.9.9 0123456789abcdef")

    assert refused(machine, folder) == (
        f"{folder} cannot be continued, as what it was measured with has changed: attnbench ({now}, now 0.9.9 "
        f"0123456789abcdef); start a new run: {load(folder).info.command}"
    )
    assert len(load(folder).visits) == 5


def test_a_run_is_not_continued_with_a_plugin_that_was_changed(machine: FakeMachine, here: Path) -> None:
    machine.seconds = lambda trial: 1e-9 * trial.sizes["n"] * trial.sizes["d"] ** 2
    folder = stopped(machine, "run --suite grid.toml --plugin mine.py --set b=1 --set n=64,128 --set d=64,128")
    (here / "mine.py").write_text(PLUGIN + "# better\n", encoding="utf-8")

    said = refused(machine, folder)

    assert said.startswith(f"{folder} cannot be continued, as what it was measured with has changed: {here}/mine.py (")
    (here / "mine.py").write_text(PLUGIN, encoding="utf-8")
    assert len(machine.resume(folder).visits) == 24


def test_a_run_of_an_older_attnbench_is_read_and_not_continued(machine: FakeMachine, here: Path) -> None:
    folder = stopped(machine)
    make_older(folder)

    assert refused(machine, folder).startswith(
        f"{folder} cannot be continued, as an older attnbench measured it and did not keep which code did; start"
    )
    assert len(load(folder).visits) == 5


def test_every_source_counts_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("__init__.py", "inner/layer.py"):
        (tmp_path / name).write_text("ONE = 1\n", encoding="utf-8")
    first = fingerprint.of_sources(tmp_path / "__init__.py")
    (tmp_path / "notes.txt").touch()
    same = fingerprint.of_sources(tmp_path / "__init__.py")
    (tmp_path / "inner" / "layer.py").write_text("ONE = 2\n", encoding="utf-8")

    assert first == same != fingerprint.of_sources(tmp_path / "__init__.py")


def test_times_that_no_clock_can_say_are_a_row_with_a_reason(machine: FakeMachine, here: Path) -> None:
    exact = as_counted()
    machine.seconds = lambda trial: 0.0 if trial.id == IDS[2] else exact(trial)

    run = machine.run("grid.toml")

    rows = run.records.set_index("trial")
    assert rows.loc[IDS[2], ["status", "reason", "visits"]].tolist() == [
        "error",
        "the measuring process said what cannot be: block_seconds cannot be 0.0",
        1,
    ]
    assert set(rows["status"].drop(IDS[2])) == {"ok"}
    assert load(run.path).visits == run.visits


# ------------------------------------------------------------------------------------------------- a worker that dies


def test_a_worker_is_killed_at_thirty_moments_of_all_kinds(bereft: list[dict[str, Any]]) -> None:
    whole, *others = bereft
    deaths = [death.split() for one in others for death in one["deaths"]]

    assert [one["status"] for one in bereft] == [0] * len(bereft)
    assert whole["deaths"] == []
    assert len(deaths) >= 30
    assert {doing for doing, _ in deaths} == {"starting", "planning", "visiting", "waiting"}
    assert len({function for _, function in deaths}) > 10


def test_a_worker_that_is_killed_costs_the_visit_it_was_asked_for_and_no_other(bereft: list[dict[str, Any]]) -> None:
    whole, *others = bereft
    rounds = Counter({trial: 3 for trial, *_ in whole["trials"]})

    for one in others:
        failed = [trial for trial, _, status in one["visits"] if status != "ok"]
        kept = Counter(trial for trial, _, status in one["visits"] if status == "ok")
        assert len(failed) == len(set(failed)) == sum(death.startswith("visiting") for death in one["deaths"])
        assert one["most_often"] == 1
        assert {trial: number for trial, number in rounds.items() if trial not in failed} == {
            trial: number for trial, number in kept.items() if trial not in failed
        }
        for trial in failed:  # what was measured of it before is there, and nothing was tried again
            rows = [(round_, status) for name, round_, status in one["visits"] if name == trial]
            assert rows == [*((before, "ok") for before in range(len(rows) - 1)), (len(rows) - 1, "oom")]


def test_a_run_whose_workers_were_killed_has_the_same_rows_and_says_why_some_are_empty(
    bereft: list[dict[str, Any]],
) -> None:
    whole, *others = bereft
    killed = "the measuring process was killed, most likely because memory ran out"

    assert {(status, reason, measured) for _, status, reason, measured, _ in whole["trials"]} == {("ok", "", True)}
    for one in others:
        assert [row[0] for row in one["trials"]] == [row[0] for row in whole["trials"]]
        failed = {trial for trial, _, status in one["visits"] if status != "ok"}
        for trial, status, reason, measured, _ in one["trials"]:
            assert (status, reason) == (("oom", killed) if trial in failed else ("ok", "")), one["deaths"]
            assert measured or trial in failed
