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
from attnbench.errors import InputError, LayerError, RunError, RunInterruptedError, SuiteError, WorkerError
from attnbench.execute.rounds import Progress
from attnbench.record import Counted, Status
from attnbench.session import judge as judging
from attnbench.session import prepare
from attnbench.session import run as session
from attnbench.session.counts import count_layers
from attnbench.session.reporter import Reporter
from attnbench.session.run import Run
from attnbench.trial import slug
from tests.fake_machine import RATE, FakeMachine, as_counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from attnbench.law import Law
    from attnbench.trial import Trial

LAYER = "attention-core-fused"
GRID = """
title = "A grid"
question = "Does time grow as n²d?"
budget = "60s"
device = ["cpu"]

[[sweep]]
layers = ["attention-core-fused"]
n = [64, 128, 256]
d = [64, 128, 256]
"""
IDS = [f"{LAYER}-cpu-float32-forward-t1-b1-n{n}-d{d}-h1" for n, d in product((64, 128, 256), repeat=2)]
FALSE_CLAIM = '''
"""Attention that claims to be recurrent."""
import torch
from attnbench import Claims, Layer


class Mixes(torch.nn.Module):
    def forward(self, x):
        return x @ x.transpose(1, 2) @ x


LAYER = Layer("claims-too-little", lambda d: Mixes(), claims=Claims(flops="4*b*n*d**2", time="n*d**2"))
'''


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("suites") / "grid.toml"
    path.write_text(GRID, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def false_claim(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugins") / "false_claim.py"
    path.write_text(FALSE_CLAIM, encoding="utf-8")
    return str(path)


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine(as_counted(), noise=0.02)


@pytest.fixture(scope="module")
def finished(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the grid on a machine that obeys the law."""
    return FakeMachine(as_counted(), noise=0.02).run(suite, results=tmp_path_factory.mktemp("results"), seed=3)


def verdicts(run: Run, layer: str = LAYER) -> dict[str, str]:
    return {law.metric: str(law.verdict) for law in run.found_laws if law.layer == layer}


# --------------------------------------------------------------------------------------------------- from suite to laws


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
        flops=4 * 64**3, parameters=0, peak_bytes=info.plan.counted[IDS[0]].peak_bytes
    )
    assert finished.budget_seconds == 60.0


def test_fitting_again_gives_the_same_laws_and_another_claim_another_verdict(finished: Run) -> None:
    (again,) = judging.fit_laws(finished)
    (other,) = judging.fit_laws(finished, {LAYER: "n*d"})

    assert again == finished.found_laws[-1]
    assert (str(other.verdict), other.claim) == ("REFUTED", "n*d")


def test_a_run_shows_itself_in_a_notebook(finished: Run) -> None:
    page = finished._repr_html_()

    assert f"<b>A grid ({finished.info.name})</b>" in page
    assert "CONFIRMED" in page


def test_a_report_is_written_where_it_is_asked_for(finished: Run, tmp_path: Path) -> None:
    page = finished.report(tmp_path / "pages")

    assert page.is_file()
    assert page.is_relative_to(tmp_path / "pages")
    assert "A grid" in page.read_text(encoding="utf-8")


def test_a_false_claim_is_refuted_by_the_count_and_by_the_clock(
    suite: str, false_claim: str, machine: FakeMachine, tmp_path: Path
) -> None:
    machine.seconds = lambda trial: 4 * trial.sizes["b"] * trial.sizes["n"] ** 2 * trial.sizes["d"] / 1e10

    run = machine.run(suite, results=tmp_path, plugins=[false_claim], sizes=["b=1", "n=64,128,256", "d=64,128,256"])

    assert {"flops": "REFUTED", "time": "REFUTED"}.items() <= verdicts(run, "claims-too-little").items()
    assert verdicts(run)["time"] == "CONFIRMED"
    assert run.info.plugins == (false_claim,)


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


def test_a_suite_that_asks_for_no_time_starts_no_process(machine: FakeMachine, tmp_path: Path) -> None:
    path = tmp_path / "counts.toml"
    path.write_text(f'metrics = ["flops"]\ndevice = "cpu"\n[[sweep]]\nlayers = ["{LAYER}"]\n', encoding="utf-8")

    run = machine.run(str(path), results=tmp_path)

    assert machine.started == 0
    assert verdicts(run) == {"flops": "CONFIRMED"}
    assert run.records.empty


def test_pictures_that_a_suite_asks_for_are_kept_with_the_run(machine: FakeMachine, tmp_path: Path) -> None:
    file = tmp_path / "look.toml"
    file.write_text('metrics = ["parameters"]\npictures = ["weights"]\n[[sweep]]\nlayers = ["attention-core"]\n')

    run = machine.run(str(file), results=tmp_path)

    (heads,) = run.info.plan.observations.weights.values()
    assert np.shape(heads) == (4, 12, 12)
    assert attnbench.load(run.path).info.plan.observations.weights == run.info.plan.observations.weights
    assert run.info.plan.observations.fading == run.info.plan.observations.paths == {}
    assert "Attention weights of attention-core" in run.report(tmp_path / "reports").read_text(encoding="utf-8")


def test_a_run_that_counts_hops_keeps_and_shows_the_paths_between_all_positions(
    machine: FakeMachine, tmp_path: Path
) -> None:
    file = tmp_path / "far.toml"
    file.write_text('metrics = ["hops"]\n[[sweep]]\nlayers = ["feed-forward", "fully-connected"]\n')

    run = machine.run(str(file), results=tmp_path)

    assert list(run.info.plan.observations.paths) == ["feed-forward", "fully-connected"]
    assert run.info.plan.observations.paths["fully-connected"].rows == [" ".join(["1"] * 32)] * 32
    assert attnbench.load(run.path).info.plan.observations.paths == run.info.plan.observations.paths
    page = run.report(tmp_path / "reports").read_text(encoding="utf-8")
    assert "Path length from each position to each other: fully-connected" in page


def test_trials_that_fail_are_rows_with_a_status_and_a_reason(suite: str, machine: FakeMachine, tmp_path: Path) -> None:
    machine.failures = lambda trial: (Status.OOM, "too large") if trial.sizes["n"] == trial.sizes["d"] == 256 else None

    run = machine.run(suite, results=tmp_path)

    rows = run.records.set_index("trial")
    assert rows.loc[IDS[-1], ["status", "reason", "visits"]].tolist() == ["oom", "too large", 1]
    assert set(rows.loc[IDS[:-1], "status"]) == {"ok"}
    assert verdicts(run)["time"] == "CONFIRMED"


def test_a_layer_that_cannot_be_counted_costs_its_own_rows_only(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    plugin = tmp_path / "raises.py"
    plugin.write_text(
        FALSE_CLAIM.replace("return x @ x.transpose(1, 2) @ x", "raise ValueError('not today')"), encoding="utf-8"
    )

    run = machine.run(suite, results=tmp_path, plugins=[str(plugin)])

    broken = [law for law in run.found_laws if law.layer == "claims-too-little"]
    assert [(law.metric, str(law.verdict)) for law in broken] == [
        ("flops", "INCONCLUSIVE"),
        ("parameters", "INCONCLUSIVE"),
        ("peak_bytes", "INCONCLUSIVE"),
        ("time", "OUT-OF-REGIME"),
    ]
    assert all("layer 'claims-too-little' at " in law.reason for law in broken)
    assert all("raised ValueError: not today" in law.reason for law in broken)
    assert verdicts(run)["time"] == "CONFIRMED"
    assert list(run.records["trial"]) == IDS


def suite_with(folder: Path, head: str, sweeps: str = 'layers = ["{layer}"]\nn = [64, 128]\nd = [64, 128]') -> str:
    path = folder / "odd.toml"
    path.write_text(f"device = 'cpu'\n{head}\n[[sweep]]\n{sweeps.replace('{layer}', LAYER)}\n", encoding="utf-8")
    return str(path)


def test_what_is_printed_does_not_change_what_is_planned_and_judged(machine: FakeMachine, tmp_path: Path) -> None:
    every = machine.run(suite_with(tmp_path, ""), results=tmp_path / "results")
    machine.asked.clear()  # its noise is that of the first run again
    only = machine.run(suite_with(tmp_path, "metrics = ['time']"), results=tmp_path / "results")

    assert list(verdicts(only)) == ["time"]
    assert only.info.plan.counted_laws == every.info.plan.counted_laws
    assert only.found_laws[-1] == every.found_laws[-1]
    assert attnbench.load(only.path).found_laws == only.found_laws


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


# ---------------------------------------------------------------------------------------------- modes and other choices


def counted_in_its_mode(trial: Trial) -> float:
    """Known by hand: the core does 4n²d forward, 12n²d with its gradients, and 4(n + 1)d for one more position."""
    n, d = trial.sizes["n"], trial.sizes["d"]
    return {"forward": 4 * n**2 * d, "train": 12 * n**2 * d, "decode": 4 * (n + 1) * d}[trial.choices.mode] / 1e9


MODES = """layers = ["attention-core", "conv1d"]
n = [64, 128, 256]
d = [64, 128, 256]"""


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


def test_a_layer_without_a_mode_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = FakeMachine(counted_in_its_mode, noise=0.02)
    path = suite_with(tmp_path, "mode = 'decode'", MODES)

    run = machine.run(path, results=tmp_path / "results")

    rows = run.records.set_index("trial")
    reason = "layer 'conv1d' has no mode decode, only forward and train"
    assert dict(rows.loc["conv1d-cpu-float32-decode-t1-b1-n64-d64-k3", ["status", "reason"]]) == {
        "status": "unsupported",
        "reason": reason,
    }
    assert sum(rows["layer"] == "conv1d") == 1
    assert {trial.layer for _, trial in machine.visits} == {"attention-core"}
    assert {law.layer for law in run.found_laws} == {"attention-core"}
    page = run.report(tmp_path / "reports").read_text(encoding="utf-8")
    assert "Not supported" in page
    assert reason.replace("'", "&#39;") in page


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


def test_a_run_of_which_nothing_is_left_says_why(machine: FakeMachine, tmp_path: Path) -> None:
    path = suite_with(tmp_path, "mode = 'decode'", MODES)

    with pytest.raises(SuiteError) as caught:
        machine.run(path, layers=["conv1d"], results=tmp_path / "results")

    assert str(caught.value) == (
        "nothing of suite odd can be run here: cpu-float32-decode-t1: "
        "layer 'conv1d' has no mode decode, only forward and train"
    )
    assert not (tmp_path / "results").exists()


def test_each_number_of_threads_has_processes_and_a_law_of_its_own(machine: FakeMachine, tmp_path: Path) -> None:
    grid = 'layers = ["{layer}"]\nn = [64, 128, 256]\nd = [64, 128, 256]'

    run = machine.run(suite_with(tmp_path, "threads = [1, 2]", grid), results=tmp_path / "results")

    assert [(law.choices.threads, str(law.verdict)) for law in run.found_laws if law.metric == "time"] == [
        (1, "CONFIRMED"),
        (2, "CONFIRMED"),
    ]
    used = {(visit.process, "-t2-" in visit.trial) for visit in run.visits}
    assert len({process for process, _ in used}) == len(used) == 4  # the machine itself checks each one's threads


# ------------------------------------------------------------------------------------------------ stopped and continued


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


def test_what_a_call_costs_at_tiny_sizes_is_kept_beside_every_trial(finished: Run) -> None:
    layer = finished.info.plan.trials[0].layer
    (key, floor), *others = finished.info.plan.floors.items()

    assert (key, others) == (f"{layer}-cpu-float32-forward-t1", [])
    assert 0 < floor < finished.records["seconds"].min() / 20
    assert set(finished.records["floor_seconds"]) == {floor}


def test_an_easy_suite_ends_before_its_budget(finished: Run) -> None:
    spent = sum(visit.iterations * sum(visit.block_seconds) for visit in finished.visits)

    assert len(finished.visits) == 3 * len(IDS)
    assert spent < finished.budget_seconds / 10


@pytest.fixture
def hard(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An order whose law three rounds do not settle: visits differ much, and take long enough to choose among them."""
    machine.noise, machine.seconds = 0.0, rough(0.06)
    for room in ("execute.rounds", "session.run"):
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


# ----------------------------------------------------------------------------------------------------- what was ordered


def sweeps(suite: str, **overrides: Any) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [(sweep.layers, dict(sweep.axes)) for sweep in session.request(suite, **overrides).suite.sweeps]


GRID_AXES = {"n": (64, 128, 256), "d": (64, 128, 256)}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, [((LAYER,), GRID_AXES)]),
        ({"layers": [LAYER]}, [((LAYER,), GRID_AXES)]),
        ({"layers": ["rnn"]}, [(("rnn",), {"b": "auto", "n": "auto", "d": "auto"})]),
        (
            {"layers": [LAYER, "conv1d"]},
            [((LAYER,), GRID_AXES), (("conv1d",), {"b": "auto", "n": "auto", "d": "auto", "k": "auto"})],
        ),
        ({"sizes": ["n=32", "h=2"]}, [((LAYER,), {"n": (32,), "d": (64, 128, 256), "h": (2,)})]),
        ({"sizes": ["n=auto"]}, [((LAYER,), {"n": "auto", "d": (64, 128, 256)})]),
    ],
    ids=["as it is", "its layer", "another layer", "one beside", "sizes", "automatic"],
)
def test_overrides_change_layers_and_sizes(
    overrides: dict[str, Any], expected: list[tuple[tuple[str, ...], dict[str, Any]]], suite: str
) -> None:
    assert sweeps(suite, **overrides) == expected


def test_overrides_change_budget_devices_and_seed(suite: str) -> None:
    asked = session.request(suite, budget="2m", devices=["cpu", "cpu"], seed=9, command="attnbench run")

    assert (asked.suite.budget, asked.suite.devices, asked.seed, asked.command) == (120.0, ("cpu",), 9, "attnbench run")


def test_a_string_is_one_item_and_a_path_is_a_suite(suite: str) -> None:
    asked = session.request(Path(suite), layers=LAYER, devices="cpu", sizes="n=32,64")

    assert asked == replace(
        session.request(suite, layers=[LAYER], devices=["cpu"], sizes=["n=32,64"]), registry=asked.registry
    )
    assert asked.suite.sweeps[0].axes["n"] == (32, 64)


def test_an_override_that_does_not_exist_is_refused(suite: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'device'"):
        attnbench.run(suite, device="cpu")  # type: ignore[call-arg]


def test_a_size_that_only_some_combinations_allow_is_no_error(suite: str) -> None:
    assert session.request(suite, sizes=["h=1,3"]).suite.sweeps[0].axes["h"] == (1, 3)


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (
            {"sizes": ["h=3"]},
            LayerError,
            f"layer '{LAYER}' needs d % h == 0, which b=1, n=64, d=64, h=3 does not satisfy",
        ),
        ({"sizes": ["k=3"]}, SuiteError, "--set k: no layer of this run has such an axis; they have b, n, d, h"),
        ({"budget": "soon"}, InputError, "--budget: a duration such as 60s, 2m or 1h is needed, not 'soon'"),
        ({"layers": ["rn"]}, LayerError, "unknown layer 'rn'. Did you mean 'rnn'?"),
    ],
    ids=["constraint", "axis", "budget", "layer"],
)
def test_an_order_that_cannot_be_met_is_refused_at_once(
    overrides: dict[str, Any], kind: type[InputError], message: str, suite: str
) -> None:
    with pytest.raises(kind) as caught:
        session.request(suite, **overrides)

    assert str(caught.value) == message


def test_a_sweep_over_an_axis_that_none_of_its_layers_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('device = "cpu"\n[[sweep]]\nlayers = ["rnn", "gru"]\nk = [3]\n', encoding="utf-8")

    with pytest.raises(SuiteError) as caught:
        session.request(str(path))

    assert str(caught.value) == "no layer of the sweep over rnn, gru has an axis 'k'."


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


# ------------------------------------------------------------------------------------------------------- small things


class Watcher(Reporter):
    """Notes what it is shown."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.probes: list[Trial] = []
        self.visits: list[Progress] = []
        self.verdicts: list[list[str]] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def probing(self, trial: Trial) -> None:
        self.probes.append(trial)

    def visiting(self, progress: Progress) -> None:
        self.visits.append(progress)

    def laws(self, laws: Sequence[Law]) -> None:
        self.verdicts.append([str(law.verdict) for law in laws])


def test_whoever_watches_a_run_sees_its_stages_visits_and_laws(
    suite: str, machine: FakeMachine, tmp_path: Path
) -> None:
    watcher = Watcher()

    run = machine.run(suite, results=tmp_path, reporter=watcher, sizes=["d=auto"])

    assert watcher.stages == [
        "counting on fake tensors",
        "calibrating: short probes to find where each law can be read",
        "measuring",
        "fitting",
    ]
    assert {slug(row["sizes"]) for row in run.info.plan.calibration} == {slug(trial.sizes) for trial in watcher.probes}
    assert [progress.trial.id for progress in watcher.visits] == [visit.trial for visit in run.visits]
    assert watcher.verdicts[-1] == ["CONFIRMED"]


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

    (good,), (bad,) = session.run_rows(finished.path.parent), session.run_rows(tmp_path)

    assert good == {
        "name": finished.info.name,
        "started": finished.info.started,
        "verdicts": "1 CONFIRMED",
        "path": str(finished.path),
    }
    assert bad == {"name": "broken", "damaged": f"{broken} is damaged: KeyError 'schema'"}
