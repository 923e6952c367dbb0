"""Laws and verdicts of a run, for each layer, mode and number of threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import attnbench
from attnbench.session import judge as judging
from attnbench.session.judge import TimeFits, fit_times
from attnbench.session.reading import Run
from tests.fake_machine import FakeMachine
from tests.report.fake_run import attention, conv, rnn, write_fake_run
from tests.session.grid import IDS, LAYER, MODES, counted_in_its_mode, suite_with, verdicts


def test_fitting_again_gives_the_same_laws_and_another_claim_another_verdict(finished: Run) -> None:
    (again,) = judging.fit_laws(finished)
    (other,) = judging.fit_laws(finished, {LAYER: "n*d"})

    assert again == finished.found_laws[-1]
    assert (str(other.verdict), other.claim) == ("REFUTED", "n*d")


def test_a_false_claim_is_refuted_by_the_count_and_by_the_clock(
    suite: str, false_claim: str, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.seconds = lambda trial: 4 * trial.sizes["b"] * trial.sizes["n"] ** 2 * trial.sizes["d"] / 1e10

    run = machine.run(suite, results=tmp_path, plugins=[false_claim], sizes=["b=1", "n=64,128,256", "d=64,128,256"])

    assert {"flops": "REFUTED", "time": "REFUTED"}.items() <= verdicts(run, "claims-too-little").items()
    assert verdicts(run)["time"] == "CONFIRMED"
    assert run.info.plugins == (false_claim,)


def test_a_batch_is_part_of_what_a_claim_for_each_sequence_says(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    run = machine.run(suite, results=tmp_path, sizes=["b=1,8"])

    assert len(run.records) == 2 * len(IDS)
    assert verdicts(run)["time"] == "CONFIRMED"


def test_a_layer_without_a_window_has_a_law_that_says_so(suite: str, machine: FakeMachine, tmp_path: Path) -> None:
    run = machine.run(suite, results=tmp_path, sizes=["h=3", "d=auto"])

    law = run.found_laws[-1]
    assert run.records.empty
    assert (law.layer, law.metric, str(law.verdict), law.claim) == (LAYER, "time", "OUT-OF-REGIME", "n**2*d")
    assert law.reason == (
        "No window: no size keeps the layer's constraints, fits the budget and the memory, and lets the claimed term "
        "carry the work."
    )


def test_what_is_printed_does_not_change_what_is_planned_and_judged(machine: FakeMachine, tmp_path: Path) -> None:
    every = machine.run(suite_with(tmp_path, ""), results=tmp_path / "results")
    machine.asked.clear()  # its noise is that of the first run again
    only = machine.run(suite_with(tmp_path, "metrics = ['time']"), results=tmp_path / "results")

    assert list(verdicts(only)) == ["time"]
    assert only.info.plan.counted_laws == every.info.plan.counted_laws
    assert only.found_laws[-1] == every.found_laws[-1]
    assert attnbench.load(only.path).found_laws == only.found_laws


def test_each_mode_is_judged_by_its_own_law(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = FakeMachine(counted_in_its_mode, noise=0.02)
    path = suite_with(tmp_path, "mode = ['forward', 'train', 'decode']", MODES)

    run = machine.run(path, layers=["attention-core"], results=tmp_path / "results")

    times = {law.choices.mode: law for law in run.found_laws if law.metric == "time"}
    assert {mode: (law.claim, str(law.verdict)) for mode, law in times.items()} == {
        "forward": ("n**2*d", "CONFIRMED"),
        "train": ("n**2*d", "CONFIRMED"),
        "decode": (None, "INFERRED"),
    }
    assert {axis: e.estimate.value for axis, e in times["decode"].exponents.items()} == pytest.approx(
        {"n": 1, "d": 1}, abs=0.05
    )
    assert {law.choices.mode: law.formula for law in run.found_laws if law.metric == "flops"} == {
        "forward": "4*b*n**2*d",
        "train": "12*b*n**2*d",
        "decode": "4*b*n*d + 4*b*d",
    }
    row = run.records.set_index("trial").loc["attention-core-cpu-float32-decode-t1-b1-n64-d128-h1"]
    assert (row["mode"], row["flops"], row["status"]) == ("decode", 4 * 65 * 128, "ok")
    assert attnbench.load(run.path).found_laws == run.found_laws


def test_each_number_of_threads_has_processes_and_a_law_of_its_own(machine: FakeMachine, tmp_path: Path) -> None:
    grid = 'layers = ["{layer}"]\nn = [64, 128, 256]\nd = [64, 128, 256]'

    run = machine.run(suite_with(tmp_path, "threads = [1, 2]", grid), results=tmp_path / "results")

    assert [(law.choices.threads, str(law.verdict)) for law in run.found_laws if law.metric == "time"] == [
        (1, "CONFIRMED"),
        (2, "CONFIRMED"),
    ]
    used = {(visit.process, "-t2-" in visit.trial) for visit in run.visits}
    assert len({process for process, _ in used}) == len(used) == 4  # the machine itself checks each one's threads


def test_only_what_got_visits_is_fitted_again_and_all_is_judged_as_if_it_were(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", (attention(), rnn(), conv()))
    grown, *others = dict.fromkeys(trial.subject for trial in run.info.plan.trials)
    names = {trial.id for trial in run.info.plan.trials if trial.subject == grown}
    last = max(visit.round for visit in run.visits)
    before = replace(run, visits=tuple(v for v in run.visits if v.trial not in names or v.round < last))
    fits = TimeFits(run.info.plan)

    (then, laws_then), (now, laws_now) = fits.of(before), fits.of(run)

    assert laws_then == fit_times(before)
    assert laws_now == fit_times(run)
    kept = {old.law.subject for old, new in zip(then, now, strict=True) if old.observed is new.observed}
    assert kept == set(others)
    assert others
