"""What a pilot sees of the machine, and which layers cannot be run on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import attnbench
from attnbench.record import Status
from attnbench.session.reading import Run
from attnbench.trial import slug
from tests.fake_machine import RATE, FakeMachine, as_counted
from tests.session.grid import suite_with

if TYPE_CHECKING:
    from attnbench.trial import Trial


def test_what_the_machine_does_at_best_is_kept_for_each_dtype_and_number_of_threads_and_costs_its_clock(
    machine: FakeMachine, tmp_path: Path
) -> None:
    machine.peaks_seconds = 0.125

    run = machine.run(suite_with(tmp_path, 'dtype = ["float32", "float64"]\nthreads = [1, 2]'), results=tmp_path)

    kinds = [(peaks.dtype, peaks.threads) for peaks in run.info.plan.peaks]
    assert sorted(kinds) == [("float32", 1), ("float32", 2), ("float64", 1), ("float64", 2)]
    assert {(peaks.device, peaks.flops_per_second, peaks.bytes_per_second) for peaks in run.info.plan.peaks} == {
        ("cpu", RATE, RATE)
    }
    assert run.info.plan.calibration_seconds >= 4 * 0.125
    assert attnbench.load(run.path).info.plan.peaks == run.info.plan.peaks


@pytest.mark.parametrize("sizes", ["n = [64, 128]\nd = [64, 128]", "n = 'auto'\nd = 'auto'"])
def test_a_dtype_without_kernels_is_unsupported_and_the_others_are_measured(
    sizes: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failure(trial: Trial) -> tuple[Status, str] | None:
        lacks = trial.choices.dtype == "float16"
        return (Status.UNSUPPORTED, "\"addmm\" not implemented for 'Half'") if lacks else None

    machine = FakeMachine(as_counted(), failures=failure)
    path = suite_with(tmp_path, "dtype = ['float16', 'float32']", f"layers = ['{{layer}}']\n{sizes}")

    run = machine.run(path, results=tmp_path / "results")

    by_dtype = run.records.groupby("dtype")["status"].unique()
    assert {dtype: list(statuses) for dtype, statuses in by_dtype.items()} == {
        "float16": ["unsupported"],
        "float32": ["ok"],
    }
    assert {law.choices.dtype for law in run.found_laws if law.metric == "time"} == {"float32"}


def test_a_compiled_layer_is_probed_as_it_is_written_and_judged_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def faster(trial: Trial) -> float:
        return as_counted()(trial) / (2 if trial.choices.compile else 1)

    machine = FakeMachine(faster, noise=0.02)
    path = suite_with(tmp_path, "compile = [false, true]", "layers = ['{layer}']\nn = 'auto'\nd = 'auto'")

    run = machine.run(path, results=tmp_path / "results")

    probes = [trial for _, trial, pace, _ in machine.asked if pace["seconds"] == 0]
    assert sum(trial.choices.compile for trial in probes) == 1  # at tiny sizes, to see whether it can be compiled
    sizes = [{slug(trial.sizes) for _, trial in machine.visits if trial.choices.compile is c} for c in (False, True)]
    assert sizes[0] & sizes[1]
    processes = [{number for number, trial in machine.visits if trial.choices.compile is c} for c in (False, True)]
    assert not processes[0] & processes[1]
    laws = {law.choices.compile: law for law in run.found_laws if law.metric == "time"}
    assert {compiled: str(law.verdict) for compiled, law in laws.items()} == {False: "CONFIRMED", True: "CONFIRMED"}
    assert laws[True].terms[0].coefficient.value / laws[False].terms[0].coefficient.value == pytest.approx(0.5, rel=0.1)
    assert [law.choices.compile for law in run.found_laws if law.metric == "flops"] == [False]
    assert attnbench.load(run.path).found_laws == run.found_laws


def test_what_cannot_be_compiled_is_one_row_and_the_layer_as_it_is_written_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(trial: Trial) -> tuple[Status, str] | None:
        return (Status.UNSUPPORTED, "it has no one graph") if trial.choices.compile else None

    machine = FakeMachine(as_counted(), failures=refused)
    run = machine.run(suite_with(tmp_path, "compile = [true, false]"), results=tmp_path / "results")

    rows = run.records[["compile", "status", "reason"]].value_counts().to_dict()
    assert rows == {(False, "ok", ""): 4, (True, "unsupported", "it has no one graph"): 1}


def test_what_a_call_costs_at_tiny_sizes_is_kept_beside_every_trial(finished: Run) -> None:
    layer = finished.info.plan.trials[0].layer
    (key, floor), *others = finished.info.plan.floors.items()

    assert (key, others) == (f"{layer}-cpu-float32-forward-t1", [])
    assert 0 < floor < finished.records["seconds"].min() / 20
    assert set(finished.records["floor_seconds"]) == {floor}
