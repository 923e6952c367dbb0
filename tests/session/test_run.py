"""A run from suite to laws on a machine that answers at once: what is true of it is known, and it takes a second."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import attnbench
from attnbench.errors import LayerError, RunError, RunInterruptedError, WorkerError
from attnbench.record import Counted, Status
from attnbench.session import run as session
from attnbench.session.reading import Run
from attnbench.session.reporter import Reporter
from attnbench.store.overview import run_rows
from tests.fake_machine import FakeMachine, as_counted
from tests.session.grid import IDS, LAYER, Watcher, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Trial


def test_a_true_claim_is_confirmed_by_the_count_and_by_the_clock(finished: Run) -> None:
    assert verdicts(finished) == {
        "flops": "CONFIRMED",
        "parameters": "CONFIRMED",
        "peak_bytes": "INFERRED",
        "time": "CONFIRMED",
    }
    (law,) = (law for law in finished.found_laws if law.metric == "time")
    values = {axis: exponent.estimate.value for axis, exponent in law.exponents.items()}
    assert values == pytest.approx({"n": 2, "d": 1}, abs=0.05)


def test_every_size_is_measured_in_three_rounds_and_two_processes(finished: Run) -> None:
    assert list(finished.records["trial"]) == IDS
    assert set(finished.records["status"]) == {"ok"}
    assert set(finished.records["visits"]) == {3}
    assert min(finished.samples.groupby("trial").size()) >= 5
    assert set(finished.samples["process"]) == {0, 1}


def test_a_run_leaves_its_journal_its_tables_and_its_laws(finished: Run) -> None:
    names = {path.name for path in finished.path.iterdir()}

    assert names == {"run.json", "journal.jsonl", "records.parquet", "samples.parquet", "laws.json", "SHA256SUMS"}
    assert len((finished.path / "journal.jsonl").read_text().splitlines()) == 3 * len(IDS)
    assert len(pd.read_parquet(finished.path / "samples.parquet")) == len(finished.samples)
    assert [law["verdict"] for law in json.loads((finished.path / "laws.json").read_text())] == [
        str(law.verdict) for law in finished.found_laws
    ]


def test_a_run_is_loaded_as_it_was(finished: Run) -> None:
    loaded = attnbench.load(finished.path)

    assert isinstance(loaded, Run)
    assert (loaded.info, loaded.visits, loaded.found_laws) == (finished.info, finished.visits, finished.found_laws)
    pd.testing.assert_frame_equal(loaded.records, finished.records)
    pd.testing.assert_frame_equal(loaded.samples, finished.samples)
    pd.testing.assert_frame_equal(loaded.laws, finished.laws)


def test_the_facts_of_a_run_are_kept(finished: Run) -> None:
    info = finished.info

    assert (info.plan.suite.name, info.plan.suite.title, info.seed) == ("grid", "A grid", 3)
    assert re.fullmatch(r"grid-\d{8}-\d{6}", info.name)
    assert info.plan.windows == {f"{LAYER}-cpu-float32-forward-t1": "b = 1, n 64–256, d 64–256, h = 1: sizes as given."}
    assert info.plan.claims[LAYER]["time"] == "n**2*d"
    assert info.plan.counted[IDS[0]] == Counted(
        flops=4 * 64**3,
        parameters=0,
        peak_bytes=info.plan.counted[IDS[0]].peak_bytes,
        saved_bytes=8 * 64**2 + 4 * 64,  # queries, which are keys and values too, and the output; a sum for each row
        depth=1,
    )
    assert finished.budget_seconds == 60.0


def test_a_run_shows_itself_in_a_notebook(finished: Run) -> None:
    page = finished._repr_html_()

    assert f"<b>A grid ({finished.info.name})</b>" in page
    assert "CONFIRMED" in page


def test_a_report_is_written_where_it_is_asked_for(finished: Run, tmp_path: Path) -> None:
    page = finished.report(tmp_path / "pages")

    assert page.is_file()
    assert page.is_relative_to(tmp_path / "pages")
    assert "A grid" in page.read_text(encoding="utf-8")


def test_trials_that_fail_are_rows_with_a_status_and_a_reason(suite: str, machine: FakeMachine, tmp_path: Path) -> None:
    machine.failures = lambda trial: (Status.OOM, "too large") if trial.sizes["n"] == trial.sizes["d"] == 256 else None

    run = machine.run(suite, results=tmp_path)

    rows = run.records.set_index("trial")
    assert rows.loc[IDS[-1], ["status", "reason", "visits"]].tolist() == ["oom", "too large", 1]
    assert set(rows.loc[IDS[:-1], "status"]) == {"ok"}
    assert verdicts(run)["time"] == "CONFIRMED"


def interrupted(suite: str, machine: FakeMachine, results: Path, at: int) -> tuple[Path, str]:
    """Stop a run at a visit; its folder, and what was said."""
    machine.interrupt_at = at
    with pytest.raises(RunInterruptedError) as caught:
        machine.run(suite, results=results)
    machine.interrupt_at = None
    (folder,) = results.iterdir()
    return folder, str(caught.value)


@pytest.mark.parametrize("at", [1, 5, 12])
def test_an_interrupted_run_keeps_what_was_measured_and_says_how_to_go_on(
    at: int, suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    folder, said = interrupted(suite, machine, tmp_path, at)

    run = attnbench.load(folder)
    assert said == f"interrupted; everything measured is kept. To continue: attnbench run --resume {folder}"
    assert len(run.visits) == at - 1
    assert {"records.parquet", "samples.parquet", "laws.json"} <= {path.name for path in folder.iterdir()}
    assert Counter(run.records["status"])["ok"] == min(at - 1, len(IDS))
    assert set(run.records["reason"]) <= {"", "the run ended before this trial was visited"}


@pytest.mark.parametrize("at", [1, 5, 12, 19, 27])
def test_a_resumed_run_ends_with_the_same_trials_each_visited_once_a_round(
    at: int, suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    folder, _ = interrupted(suite, machine, tmp_path, at)
    before = attnbench.load(folder)

    run = machine.resume(folder)

    assert list(run.records["trial"]) == list(before.records["trial"]) == IDS
    assert run.visits[: at - 1] == before.visits
    assert Counter((visit.trial, visit.round) for visit in run.visits) == Counter(product(IDS, range(3)))
    assert {v.process for v in before.visits}.isdisjoint(v.process for v in run.visits[at - 1 :])
    assert verdicts(run)["time"] == "CONFIRMED"


def rough(noise: float) -> Callable[[Trial], float]:
    """Times that obey the law, and differ from visit to visit of a trial, but not from one telling to the next."""
    calls, exact = Counter[str](), as_counted()

    def seconds(trial: Trial) -> float:
        calls[trial.id] += 1
        visit = (calls[trial.id] - 1) // 4  # three blocks, and the clock
        luck = np.random.default_rng((zlib.crc32(trial.id.encode()), visit)).standard_normal()
        return exact(trial) * float(np.exp(noise * luck))

    return seconds


def test_an_easy_suite_ends_before_its_budget(finished: Run) -> None:
    spent = sum(visit.iterations * sum(visit.block_seconds) for visit in finished.visits)

    assert len(finished.visits) == 3 * len(IDS)
    assert spent < finished.budget_seconds / 10


@pytest.fixture
def hard(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An order whose law three rounds do not settle: visits differ much, and take long enough to choose among them."""
    machine.noise, machine.seconds = 0.0, rough(0.06)
    for room in ("execute.rounds", "session.visits"):
        monkeypatch.setattr(f"attnbench.{room}.MAX_ROUNDS", 8)
    return {"sizes": ["n=512,1024,2048"], "budget": "1h", "seed": 1}


def test_a_hard_suite_goes_on_with_the_visits_that_are_worth_it(
    suite: str, machine: FakeMachine, hard: dict[str, Any], tmp_path: Path
) -> None:
    watcher = Watcher()

    run = machine.run(suite, results=tmp_path, reporter=watcher, **hard)

    rounds = Counter(visit.round for visit in run.visits)
    assert [rounds[number] for number in range(3)] == [len(IDS)] * 3
    assert len(rounds) > 3
    assert min(rounds.values()) < len(IDS)
    assert watcher.verdicts[3:] == [["INCONCLUSIVE"]] * (len(rounds) - 4) + [["CONFIRMED"]] * 2


def test_a_run_that_is_stopped_within_such_a_round_makes_its_other_visits_when_it_is_resumed(
    suite: str, machine: FakeMachine, hard: dict[str, Any], tmp_path: Path
) -> None:
    whole = machine.run(suite, results=tmp_path / "whole", **hard)
    machine.seconds, machine.asked = rough(0.06), []
    machine.interrupt_at = 3 * len(IDS) + 2

    with pytest.raises(RunInterruptedError):
        machine.run(suite, results=tmp_path / "stopped", **hard)
    machine.interrupt_at = None
    (folder,) = (tmp_path / "stopped").iterdir()
    resumed = machine.resume(folder)

    round_3 = [[(v.trial, v.block_seconds) for v in run.visits if v.round == 3] for run in (whole, resumed)]
    assert 1 < len(round_3[0]) < len(IDS)
    assert round_3[0] == round_3[1]


def test_a_trial_that_failed_before_the_interrupt_is_not_tried_again(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.failures = lambda trial: (Status.ERROR, "why") if trial.id == IDS[4] else None
    folder, _ = interrupted(suite, machine, tmp_path, 11)

    run = machine.resume(folder)

    assert [visit.status for visit in run.visits if visit.trial == IDS[4]] == [Status.ERROR]
    assert len(run.visits) == 3 * (len(IDS) - 1) + 1


def test_the_words_that_resume_a_run_are_safe_for_a_shell(suite: str, machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "my results").mkdir()

    folder, said = interrupted(suite, machine, tmp_path / "my results", 2)

    assert said.endswith(f"attnbench run --resume '{folder}'")


def test_an_interrupt_before_the_first_visit_leaves_nothing_behind(
    suite: str, machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "stage", interrupt)
    with pytest.raises(KeyboardInterrupt):
        machine.run(suite, results=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_process_that_cannot_go_on_leaves_tables_and_laws_and_the_way_on(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    def fail(_: Trial) -> None:
        if len(machine.visits) == 5:
            raise WorkerError("no process could be started")

    machine.failures = fail
    with pytest.raises(WorkerError) as caught:
        machine.run(suite, results=tmp_path)

    (folder,) = tmp_path.iterdir()
    assert str(caught.value) == f"no process could be started. To continue: attnbench run --resume {folder}"
    assert {"records.parquet", "samples.parquet", "laws.json"} <= {path.name for path in folder.iterdir()}
    assert len(machine.resume(folder).visits) == 27


def test_an_interrupt_while_fitting_says_how_to_go_on(
    suite: str, machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_finish", interrupt)
    with pytest.raises(RunInterruptedError) as caught:
        machine.run(suite, results=tmp_path)

    (folder,) = tmp_path.iterdir()
    assert str(caught.value).endswith(f"everything measured is kept. To continue: attnbench run --resume {folder}")
    assert verdicts(attnbench.load(folder))["time"] == "CONFIRMED"


@pytest.mark.parametrize("content", [None, "[{"], ids=["missing", "damaged"])
def test_laws_that_cannot_be_read_are_fitted_from_the_journal(
    content: str | None, suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    run = machine.run(suite, results=tmp_path)
    (run.path / "laws.json").unlink()
    if content:
        (run.path / "laws.json").write_text(content, encoding="utf-8")

    assert attnbench.load(run.path).found_laws == run.found_laws


def test_two_runs_of_the_same_second_have_folders_of_their_own(
    suite: str, machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda _: now), UTC=dt.UTC)
    monkeypatch.setattr(session, "dt", clock)
    (tmp_path / "grid-20250102-030405").mkdir()  # claimed, and its run.json not yet written

    run = machine.run(suite, results=tmp_path)

    assert (run.path.name, run.info.name) == ("grid-20250102-030405-2", "grid-20250102-030405-2")


def test_a_plugin_is_found_again_from_another_folder(
    suite: str, false_claim: str, machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.seconds = lambda _: 0.01
    monkeypatch.chdir(Path(false_claim).parent)
    run = machine.run(suite, results=tmp_path, plugins="false_claim.py", sizes=["b=1", "n=64,128", "d=64,128"])
    monkeypatch.chdir(tmp_path)

    assert run.info.plugins == (str(Path(false_claim).resolve()),)
    assert machine.resume(run.path).visits == run.visits


def test_a_finished_run_that_is_resumed_asks_nothing_more(suite: str, machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite, results=tmp_path)
    asked = len(machine.asked)

    again = machine.resume(run.path)

    assert (len(machine.asked), again.visits, again.found_laws) == (asked, run.visits, run.found_laws)


def test_a_run_of_another_machine_is_not_continued_here(
    suite: str, machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = interrupted(suite, machine, tmp_path, 5)
    there = attnbench.load(folder).info.host
    here = replace(there, cpu="Another CPU", cores=99)
    monkeypatch.setattr(session, "read_host", lambda: here)

    with pytest.raises(RunError) as caught:
        machine.resume(folder)

    assert str(caught.value) == f"{folder} was measured on {there.key}; this is {here.key}: start a new run here"
    assert here.key == f"Another CPU · 99 cores · torch {there.torch}"


@pytest.mark.parametrize(
    ("changes", "before", "now"),
    [
        ({"accelerators": ("NVIDIA T4, 15 GiB, driver 550",)}, "{key}", "{cpu} · NVIDIA T4, 15 GiB · torch {torch}"),
        ({"python": "3.99.0"}, "Python {python}", "Python 3.99.0"),
        ({"blas": "Another BLAS"}, "{blas}", "Another BLAS"),
    ],
)
def test_a_run_is_not_continued_with_another_gpu_or_other_libraries(
    changes: dict[str, Any],
    before: str,
    now: str,
    suite: str,
    machine: FakeMachine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, _ = interrupted(suite, machine, tmp_path, 5)
    there = attnbench.load(folder).info.host
    monkeypatch.setattr(session, "read_host", lambda: replace(there, **changes))

    with pytest.raises(RunError) as caught:
        machine.resume(folder)

    told = {"key": there.key, "python": there.python, "blas": there.blas, "torch": there.torch}
    told["cpu"] = f"{there.cpu} · {there.cores} cores"
    said = f"{folder} was measured on {before.format(**told)}; this is {now.format(**told)}: start a new run here"
    assert str(caught.value) == said


def test_the_journal_of_another_run_is_not_taken_for_this_ones(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    mine = interrupted(suite, machine, tmp_path / "mine", 5)[0] / "journal.jsonl"
    machine.asked.clear()
    yours = interrupted(suite, machine, tmp_path / "yours", 5)[0] / "journal.jsonl"
    whole = mine.read_bytes()
    wrong = "is damaged: its checksum does not fit: it was changed, or lines before it were removed, added or moved"

    for content, line in ((yours.read_bytes(), 1), (whole + yours.read_bytes(), 1 + whole.count(b"\n"))):
        mine.write_bytes(content)
        with pytest.raises(RunError) as caught:
            attnbench.load(mine.parent)
        assert str(caught.value) == f"{mine}, line {line}, {wrong}, or it is of another run"


def test_results_that_cannot_be_written_are_an_error_in_one_line(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("here first", encoding="utf-8")

    with pytest.raises(RunError) as caught:
        machine.run(suite, results=tmp_path / "file" / "results")

    place = re.escape(str(tmp_path / "file" / "results"))
    assert re.fullmatch(
        rf"{place}/grid-\d{{8}}-\d{{6}} cannot be written: Not a directory; choose another place with --results",
        str(caught.value),
    )


def test_counting_one_call_takes_sizes_by_name() -> None:
    counted = attnbench.count(LAYER, b=2, n=8, d=4)

    assert (counted.flops, counted.parameters, counted.uncounted) == (4 * 2 * 8**2 * 4, 0, ())


def test_counting_can_be_called_before_and_after_a_run_was_loaded(finished: Run) -> None:
    program = (
        "import sys, attnbench; first = attnbench.count('conv1d', n=8, d=4); attnbench.load(sys.argv[1]); "
        "print(first == attnbench.count('conv1d', n=8, d=4), attnbench.counting.laws.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(finished.path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.returncode) == ("True attnbench.counting.laws\n", 0), done.stderr


def test_counting_fills_in_defaults_and_refuses_what_the_layer_cannot_be() -> None:
    assert attnbench.count("conv1d", n=8, d=4).flops == 2 * 3 * 8 * 4**2
    with pytest.raises(LayerError) as caught:
        attnbench.count("conv1d", n=8, d=4, k=2)

    assert str(caught.value) == "layer 'conv1d' needs k % 2 == 1, which b=1, n=8, d=4, k=2 does not satisfy"


def test_runs_are_listed_with_their_verdicts_and_a_damaged_one_says_what_is_wrong(
    finished: Run, tmp_path: Path
) -> None:
    broken = tmp_path / "broken" / "run.json"
    broken.parent.mkdir()
    broken.write_text("{}", encoding="utf-8")

    (good,), (bad,) = run_rows(finished.path.parent), run_rows(tmp_path)

    assert good == {
        "name": finished.info.name,
        "started": finished.info.started,
        "verdicts": "1 CONFIRMED",
        "path": str(finished.path),
    }
    assert bad == {"name": "broken", "damaged": f"{broken} is damaged: KeyError 'schema'"}
