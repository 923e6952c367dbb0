"""What pytest-benchmark makes of an export: its own command reads it, and its numbers are numpy's."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_benchmark.stats import Stats

from attnbench.export import content
from attnbench.export.pytest_benchmark import summary
from tests.report.fake_run import HOST, attention, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


def compare(folder: Path, *arguments: str) -> str:
    """What ``pytest-benchmark compare`` prints."""
    program = [sys.executable, "-W", "ignore", "-m", "pytest_benchmark", "--storage", str(folder), "compare"]
    done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def document(run: StoredRun) -> Any:
    return json.loads(content(run, "pytest-benchmark"))


def test_its_own_command_reads_the_numbers_that_numpy_computes(run: StoredRun, tmp_path: Path) -> None:
    (tmp_path / "0001_fake.json").write_bytes(content(run, "pytest-benchmark"))
    compare(tmp_path, "0001_fake.json", "--csv", "table.csv", "--columns", "min,max,mean,stddev,median,rounds")

    rows = list(csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()))
    samples = run.samples.groupby("trial")["seconds"]
    assert {row["name"] for row in rows} == set(samples.groups)
    for row in rows:
        seconds = samples.get_group(row["name"]).to_numpy()
        told = [float(row[key]) for key in ("min", "max", "mean", "stddev", "median", "rounds")]
        expected = [seconds.min(), seconds.max(), seconds.mean(), seconds.std(ddof=1), np.median(seconds), len(seconds)]
        assert told == pytest.approx(expected, rel=1e-9)


def test_two_runs_stand_side_by_side(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2), start=1):
        run = write_fake_run(tmp_path / f"run-{number}", (attention(),), seed=seed)
        (tmp_path / f"000{number}_run.json").write_bytes(content(run, "pytest-benchmark"))

    printed = compare(tmp_path, "0001_run.json", "0002_run.json", "--group-by", "name")

    groups = [line for line in printed.splitlines() if "2 tests" in line]
    assert len(groups) == 16
    assert "(0001_run)" in printed
    assert "(0002_run)" in printed


def test_a_benchmark_says_what_it_is_of_and_the_file_where_it_was_measured(run: StoredRun) -> None:
    told = document(run)

    first = told["benchmarks"][0]
    assert (first["group"], first["params"]) == ("attention-core", {"b": 1, "n": 256, "d": 64})
    assert first["extra_info"]["device"] == "cpu"
    assert first["extra_info"]["threads"] == 1
    machine = told["machine_info"]
    assert (machine["system"], machine["release"], machine["machine"]) == ("Linux", "6.6.56", "x86_64")
    assert (machine["processor"], machine["cpu"]["count"]) == (HOST.cpu, HOST.cores)
    assert told["datetime"] == run.info.started


def test_trials_without_a_time_are_left_out(run: StoredRun) -> None:
    timed = set(run.records.loc[run.records["samples"] > 0, "trial"])

    assert {row["name"] for row in document(run)["benchmarks"]} == timed
    assert len(timed) < len(run.info.plan.trials)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40))
def test_every_number_is_the_one_that_pytest_benchmark_itself_computes(seconds: list[float]) -> None:
    theirs = Stats()
    for second in seconds:
        theirs.update(second)

    ours, expected = summary(seconds), theirs.as_dict()

    assert list(ours) == list(expected)
    numbers = {key for key in ours if key not in ("outliers", "iqr_outliers", "stddev_outliers", "ld15iqr", "hd15iqr")}
    assert {key: ours[key] for key in numbers} == pytest.approx({key: expected[key] for key in numbers}, rel=1e-9)


def test_outliers_are_counted_and_the_fences_end_where_they_begin() -> None:
    seconds = [*(1.0 + 0.01 * step for step in range(20)), 9.0]
    found = summary(seconds)

    assert (found["outliers"], found["iqr_outliers"], found["stddev_outliers"]) == ("1;1", 1, 1)
    assert (found["ld15iqr"], found["hd15iqr"]) == (1.0, pytest.approx(1.19))
    assert found["mean"] == pytest.approx(statistics.fmean(seconds))
