"""Runs that measure memory, on a machine that answers at once: what is visited, what is judged, and what is shown."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pytest

import attnbench
from attnbench.errors import RunInterruptedError
from attnbench.formula import Formula
from attnbench.layers.registry import Registry
from attnbench.record import Status, Visit
from attnbench.report.build import build_context
from attnbench.session import prepare, reading
from attnbench.session.reporter import Reporter
from attnbench.session.request import request
from attnbench.store.journal import Journal
from tests.fake_machine import FakeMachine, as_counted

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.trial import Trial

LAYER = "attention-core-fused"
BOTH = '["flops", "peak_bytes", "memory", "time"]'
ONLY = '["peak_bytes", "memory"]'
GIVEN = "n = [1024, 2048, 4096]\nd = [64, 128, 256]"


def suite(folder: Path, metrics: str, sizes: str = GIVEN, layer: str = LAYER) -> str:
    path = folder / "mine.toml"
    path.write_text(
        f'metrics = {metrics}\nbudget = "60s"\ndevice = ["cpu"]\n[[sweep]]\nlayers = ["{layer}"]\n{sizes}\n',
        encoding="utf-8",
    )
    return str(path)


def counted(trial: Trial) -> tuple[int, int]:
    """As the fused core is counted, with scratch of a kernel on top; the process grows by its code too."""
    allocated = 4 * trial.sizes["n"] * (trial.sizes["d"] + 1) + 100_000
    return allocated, allocated + 300_000


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine(as_counted(), noise=0.02, memory=counted)


def laws(run: reading.Run) -> dict[str, str]:
    return {law.metric: str(law.verdict) for law in run.found_laws}


def test_a_suite_of_memory_alone_spends_no_clock(machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite(tmp_path, ONLY), results=tmp_path / "results")

    assert laws(run) == {"peak_bytes": "INFERRED", "memory": "CONFIRMED"}
    assert (len(machine.memory_asked), machine.asked) == (9, [])
    assert sum(visit.clock_seconds for visit in run.visits) == 0
    records = run.records
    assert set(records["status"]) == {"ok"}
    assert records["seconds"].isna().all()
    assert list(zip(records["allocated_bytes"], records["resident_bytes"], strict=True)) == [
        counted(trial) for trial in run.info.plan.trials
    ]
    assert len(run.samples) == 0
    (law,) = (law for law in attnbench.load(run.path).found_laws if law.metric == "memory")
    assert law.claim == Registry().get(LAYER).claims.memory
    assert law in run.found_laws


def test_the_memory_of_a_run_is_drawn_and_forecast(machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite(tmp_path, ONLY), results=tmp_path / "results")

    axes = run.plot("memory", over="d")
    dots = {tuple(map(int, pair)) for drawn in axes.collections for pair in getattr(drawn, "get_offsets", list)()}
    plt.close("all")
    with pytest.raises(attnbench.AttnbenchError) as refused:
        run.plot("time")

    assert dots >= set(zip(run.records["d"], run.records["allocated_bytes"], strict=True))
    assert run.law(LAYER, "memory").predict(n=2048, d=512).value == pytest.approx(4 * 2048 * 513 + 1e5, rel=0.1)
    assert str(refused.value) == f"the run has no times of {LAYER}; run a suite whose metrics include time"


def test_sizes_are_chosen_where_the_bytes_can_be_read(machine: FakeMachine, tmp_path: Path) -> None:
    peak = Formula("8*b*n**2 + 4*b*n*d")
    machine.memory = lambda trial: (int(peak.evaluate(trial.sizes)), None)

    run = machine.run(suite(tmp_path, ONLY, 'n = "auto"\nd = "auto"', "attention-core"), results=tmp_path / "results")

    assert laws(run)["memory"] == "CONFIRMED"
    assert "windows, for its counted peak of" in run.info.plan.window(run.info.plan.trials[0].subject)
    assert all(row["resident_bytes"] is None for row in json.loads(run.records.to_json(orient="records")))


def test_of_time_and_memory_each_has_its_own_visits_and_memory_comes_first(
    machine: FakeMachine, tmp_path: Path
) -> None:
    run = machine.run(suite(tmp_path, BOTH, "n = [256, 512, 1024]\nd = [64, 128, 256]"), results=tmp_path / "results")

    metrics = [visit.metric for visit in run.visits]
    assert metrics == ["memory"] * 9 + ["time"] * (len(metrics) - 9)
    assert {visit.process for visit in run.visits[:9]}.isdisjoint(visit.process for visit in run.visits[9:])
    assert not any(visit.block_seconds for visit in run.visits[:9])
    assert laws(run)["time"] == "CONFIRMED"
    assert laws(run)["memory"] in ("CONFIRMED", "OUT-OF-REGIME")
    assert run.records[["seconds", "allocated_bytes"]].notna().all(axis=None)


@pytest.mark.parametrize("at", [1, 4, 9, 10, 15])
def test_a_resumed_run_weighs_what_was_not_weighed_and_nothing_twice(
    at: int, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.interrupt_at = at
    with pytest.raises(RunInterruptedError):
        machine.run(suite(tmp_path, BOTH), results=tmp_path / "results")
    machine.interrupt_at = None
    (folder,) = (tmp_path / "results").iterdir()
    before = attnbench.load(folder)
    assert len(before.visits) == at - 1
    assert set(before.records["reason"]) <= {"", "the run ended before this trial was visited"}

    run = machine.resume(folder)

    assert run.visits[: at - 1] == before.visits
    times = Counter((visit.metric, visit.trial) for visit in run.visits)
    assert {times["memory", trial.id] for trial in run.info.plan.trials} == {1}
    assert min(times["time", trial.id] for trial in run.info.plan.trials) >= 3
    assert {law.metric for law in run.found_laws} == {"flops", "peak_bytes", "memory", "time"}


def test_a_trial_that_runs_out_of_memory_costs_itself_and_larger_ones(machine: FakeMachine, tmp_path: Path) -> None:
    machine.failures = lambda trial: (Status.OOM, "why") if trial.sizes["n"] == 4096 else None

    run = machine.run(suite(tmp_path, BOTH), results=tmp_path / "results")

    assert Counter(run.records["status"]) == {"ok": 6, "oom": 1, "skipped": 2}
    assert all(trial.sizes["n"] < 4096 for _, trial in machine.visits)  # nor is it timed
    assert run.records["allocated_bytes"].notna().sum() == 6


def test_what_is_too_large_is_skipped_before_anything_is_allocated(machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite(tmp_path, ONLY, "n = [1024, 1048576]\nd = [64]", "attention-core"), results=tmp_path / "r")

    assert list(run.records["status"]) == ["ok", "skipped"]
    assert "exceeds" in run.records["reason"].iloc[1]
    assert [trial.sizes["n"] for _, trial, _ in machine.memory_asked] == [1024]


def test_a_count_that_was_proven_for_one_head_does_not_speak_of_several(machine: FakeMachine, tmp_path: Path) -> None:
    """The peak of the materialised form has a formula for h = 1 only; h·n² is read all the same."""
    machine.memory = lambda trial: (int(Formula("8*b*h*n**2 + 20*b*n*d").evaluate(trial.sizes)), None)
    sizes = "n = [128, 512, 2048]\nd = [256, 512, 1024]\nh = [1, 4, 16]"

    run = machine.run(suite(tmp_path, ONLY, sizes, "multi-head-attention-materialised"), results=tmp_path / "r")

    (law,) = (law for law in run.found_laws if law.metric == "memory")
    assert (str(law.verdict), {term.term for term in law.terms}) == ("CONFIRMED", {"h*n**2", "n*d"}), law.reason


def test_decoding_has_no_claim_of_memory_so_its_law_is_inferred(machine: FakeMachine, tmp_path: Path) -> None:
    path = suite(tmp_path, ONLY)
    content = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text('mode = ["forward", "decode"]\n' + content, encoding="utf-8")

    run = machine.run(path, results=tmp_path / "results")

    assert {law.choices.mode: law.claim for law in run.found_laws if law.metric == "memory"} == {
        "forward": "n*d",
        "decode": None,
    }


# ----------------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize(
    "said",
    [
        {"status": Status.OK},
        {"status": Status.OK, "allocated_bytes": -1},
        {"status": Status.OK, "allocated_bytes": 1.0},
        {"status": Status.OK, "allocated_bytes": True},
        {"status": Status.OK, "allocated_bytes": 1, "resident_bytes": "2"},
        {"status": Status.OK, "allocated_bytes": 10**19},
        {"status": Status.OK, "allocated_bytes": 1, "iterations": 1},
        {"status": Status.OK, "allocated_bytes": 1, "block_seconds": (1.0,)},
        {"status": Status.OK, "allocated_bytes": 1, "first_call_seconds": 1.0},
        {"status": Status.OK, "allocated_bytes": 1, "metric": "weight"},
        {"status": Status.OK, "allocated_bytes": 1, "metric": ["memory"]},
        {"metric": "time", "iterations": 1, "block_seconds": (1.0,), "allocated_bytes": 1},
    ],
)
def test_what_no_visit_for_memory_can_say_is_a_flaw(said: dict[str, Any]) -> None:
    visit = Visit("any", 0, 0, metric="memory").answered(said)

    assert visit.status is Status.ERROR
    assert visit.reason.startswith("the measuring process said what cannot be: ")


@pytest.mark.parametrize(
    "said",
    [{"allocated_bytes": 0}, {"allocated_bytes": 7, "resident_bytes": 0}, {"status": Status.OOM, "reason": "why"}],
)
def test_what_a_visit_for_memory_says_survives_the_journal(said: dict[str, Any], tmp_path: Path) -> None:
    measured = Visit("any", 0, 0, **{"metric": "memory", **said})
    timed = Visit("any", 0, 0, iterations=1, block_seconds=(1.0,))  # of the same round

    with Journal(tmp_path) as journal:
        journal.append(measured)
        journal.append(timed)

    assert attnbench.store.journal.read_journal(tmp_path) == (measured, timed)


# ------------------------------------------------------------------------------------------------------ what is shown


def test_the_report_states_the_law_and_draws_memory_against_each_size(machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite(tmp_path, ONLY), results=tmp_path / "results")

    page = build_context(run)

    assert page.answer.startswith("1 of 1 claim confirmed on ")
    (row,) = page.verdicts
    assert (row.layer, row.metric, row.chip.word, row.anchor) == (LAYER, "memory", "Confirmed", "layer-1")
    (section,) = page.sections
    assert section.evidence == "9 trials measured; the law rests on 9"
    assert section.time.pictures == ()
    first, second = section.memory.gallery.pictures
    assert "memory against sequence length n" in first
    assert "memory against hidden size d" in second
    assert "9 trials on logarithmic scales, 3 lines for the other sizes." in first
    assert f"at n=1024 to {4 * 4096 * 257 / 2**20 + 100_000 / 2**20:.2f} MiB at n=4096" in first
    assert {trial.allocated for trial in page.trials} != {"—"}


def test_a_layer_that_was_timed_too_has_a_law_of_memory_beside_that_of_time(
    machine: FakeMachine, tmp_path: Path
) -> None:
    run = machine.run(suite(tmp_path, BOTH), results=tmp_path / "results")

    (section,) = build_context(run).sections

    assert section.time.pictures
    assert section.memory.gallery.pictures
    assert section.memory.chip.word == "Confirmed"
    page = run.report(tmp_path / "reports").read_text(encoding="utf-8")
    assert "Memory against each size" in page
    assert "Time against each size" in page


def test_a_plan_for_memory_is_shown_and_writes_nothing(machine: FakeMachine, tmp_path: Path) -> None:
    plan = prepare.make_plan(request(suite(tmp_path, ONLY), machine=machine), Reporter()).as_json()

    assert len(plan["trials"]) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
