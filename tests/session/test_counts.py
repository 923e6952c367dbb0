"""What is counted and seen of layers before anything is measured, and the rows of those that cannot be."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import attnbench
from attnbench.counting.observations import OBSERVATIONS
from attnbench.record import Observations
from tests.fake_machine import FakeMachine
from tests.session.grid import FALSE_CLAIM, IDS, MODES, counted_in_its_mode, suite_with, verdicts


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


def test_whatever_can_be_seen_of_a_layer_has_a_place_in_the_run() -> None:
    assert [one.name for one in fields(Observations)] == list(OBSERVATIONS)
