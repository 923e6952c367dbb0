"""Which trials are planned, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnbench.errors import SuiteError
from attnbench.session import prepare
from attnbench.session import run as session
from attnbench.session.counts import count_layers
from attnbench.session.reporter import Reporter
from tests.fake_machine import FakeMachine
from tests.session.grid import LAYER, MODES, suite_with, verdicts


def test_a_plugin_beside_the_suite_finds_its_own_sizes(
    suite: str, false_claim: str, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.seconds = lambda trial: 4 * trial.sizes["b"] * trial.sizes["n"] ** 2 * trial.sizes["d"] / 1e10

    run = machine.run(suite, results=tmp_path, plugins=[false_claim])

    sizes = run.records.groupby("layer")[["n", "d"]].nunique().to_dict("index")
    assert sizes[LAYER] == {"n": 3, "d": 3}
    assert min(sizes["claims-too-little"].values()) >= 3
    assert [law.layer for law in run.found_laws if law.metric == "time"] == [LAYER, "claims-too-little"]
    assert len(run.info.plan.calibration) > 9


def test_a_suite_that_asks_for_no_time_starts_no_process(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "counts.toml"
    path.write_text(f'metrics = ["flops"]\ndevice = "cpu"\n[[sweep]]\nlayers = ["{LAYER}"]\n', encoding="utf-8")

    run = machine.run(str(path), results=tmp_path)

    assert machine.started == 0
    assert verdicts(run) == {"flops": "CONFIRMED"}
    assert run.records.empty


def test_each_dtype_is_planned_with_its_own_counts(machine: FakeMachine, tmp_path: Path) -> None:
    request = session.request(suite_with(tmp_path, "dtype = ['float32', 'bfloat16']"), machine=machine)

    plan = prepare.make_plan(request, Reporter())

    costs = prepare._cost_models(request, count_layers(request, Reporter()))
    single, half = (one.formulas["peak_bytes"].evaluate({"b": 1, "n": 64, "d": 64, "h": 1}) for one in costs)
    assert half < single
    assert list(plan.windows) == [f"{LAYER}-cpu-{dtype}-forward-t1" for dtype in ("float32", "bfloat16")]
    assert [(law.metric, law.choices.dtype) for law in plan.shown_laws] == [
        ("flops", "float32"),
        ("parameters", "float32"),
        ("peak_bytes", "float32"),
        ("peak_bytes", "bfloat16"),
    ]


def test_a_trial_of_two_sweeps_is_measured_once_and_both_windows_are_told(machine: FakeMachine, tmp_path: Path) -> None:
    both = 'layers = ["{layer}"]\nn = [64, 128]\nd = [64]\n[[sweep]]\nlayers = ["{layer}"]\nn = [128, 256]\nd = [64]'

    run = machine.run(suite_with(tmp_path, "", both), results=tmp_path / "results")

    assert list(run.records["n"]) == [64, 128, 256]
    assert set(run.records["visits"]) == {3}
    (window,) = run.info.plan.windows.values()
    assert [window.count(span) for span in ("n 64–128", "n 128–256")] == [1, 1]


def test_a_run_of_which_nothing_is_left_says_why(machine: FakeMachine, tmp_path: Path) -> None:
    path = suite_with(tmp_path, "mode = 'decode'", MODES)

    with pytest.raises(SuiteError) as caught:
        machine.run(path, layers=["conv1d"], results=tmp_path / "results")

    assert str(caught.value) == (
        "nothing of suite odd can be run here: cpu-float32-decode-t1: "
        "layer 'conv1d' has no mode decode, only forward and train"
    )
    assert not (tmp_path / "results").exists()
