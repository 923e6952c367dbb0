"""Whoever watches a run is told how it goes."""

from __future__ import annotations

from pathlib import Path

from attnbench.trial import slug
from tests.fake_machine import FakeMachine
from tests.session.grid import Watcher


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
