"""Tables of trials, samples, visits and laws say what the journal says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.record import Conditions, Counted, Observations, PathMap, Visit
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, create, load_stored
from tests.store.small_run import BROKEN, COUNTED_LAW, HEADS, INFO, LONG, NEXT, PLAN, SHORT, TIME_LAW

if TYPE_CHECKING:
    from pathlib import Path


BEFORE = "trial layer device dtype mode threads compile sdpa b n d h g k l w r m c s rank".split()

AFTER = "status reason seconds seconds_low seconds_high seconds_median samples visits".split()

COUNTS = """
flops parameters peak_bytes saved_bytes allocated_bytes resident_bytes depth hops lower_bound first_call_seconds
compile_seconds floor_seconds kernels host
""".split()


def test_there_is_one_record_for_each_trial(folder: Path) -> None:
    records = load_stored(folder).records

    assert list(records.columns) == [*BEFORE, *AFTER, *COUNTS]
    assert list(records["trial"]) == [trial.id for trial in PLAN.trials]
    assert list(records["status"]) == ["ok", "skipped", "skipped", "oom"]
    assert list(records["reason"]) == [
        "",
        "the run ended before this trial was visited",
        "no such device",
        "out of memory",
    ]


def test_a_record_holds_the_summary_of_all_its_visits_and_its_counts(folder: Path) -> None:
    record = load_stored(folder).records.set_index("trial").loc[SHORT.id]

    assert {**record.dropna()} == {
        "layer": "rnn",
        "device": "cpu",
        "dtype": "float32",
        "mode": "forward",
        "threads": 1,
        "compile": False,
        "sdpa": "default",
        "b": 2,
        "n": 64,
        "d": 32,
        "status": "ok",
        "reason": "",
        "seconds": pytest.approx(math.sqrt(0.1 * 0.2)),
        "seconds_low": 0.2,  # the medians of its two visits
        "seconds_high": pytest.approx(0.3),
        "seconds_median": 0.2,
        "samples": 5,
        "visits": 2,
        "flops": 2**60 + 1,
        "parameters": 2048,
        "peak_bytes": 4096,
        "lower_bound": False,
        "first_call_seconds": 2.0,
        "compile_seconds": 6.0,
        "kernels": "aten::mm;onednn::rnn/brgemm:avx2",
        "host": "CPU · 2 cores · torch 2.13",
    }


def test_an_operation_without_a_formula_makes_the_counts_lower_bounds(folder: Path) -> None:
    records = load_stored(folder).records.set_index("trial")

    assert records["lower_bound"].to_dict() == {SHORT.id: False, LONG.id: None, HEADS.id: True, BROKEN.id: None}


def test_there_is_one_sample_for_each_timed_block(folder: Path) -> None:
    samples = load_stored(folder).samples

    assert list(samples.columns) == ["trial", "process", "round", "block", "iterations", "seconds", "outlier"]
    assert samples.drop(columns=["trial", "outlier"]).to_numpy().tolist() == [
        [0, 0, 0, 4, 0.3],
        [0, 0, 1, 4, 0.1],
        [0, 0, 2, 4, 0.2],
        [1, 1, 0, 4, 0.4],
        [1, 1, 1, 4, 0.2],
    ]
    assert set(samples["trial"]) == {SHORT.id}


def test_outliers_are_labelled_within_their_trial_and_stay(tmp_path: Path) -> None:
    steady = Visit(SHORT.id, 0, 0, iterations=1, block_seconds=(1.0, 1.1, 1.2, 1.3, 1.4, 1.85, 9.0))
    slower = Visit(LONG.id, 0, 0, iterations=1, block_seconds=(9.0, 9.1, 9.2))

    samples = StoredRun(tmp_path, INFO, (slower, steady), ()).samples

    assert list(samples["outlier"]) == [*[""] * 3, *[""] * 6, "severe"]


def test_what_visits_were_made_under_survives_the_disk_and_has_a_row_each(folder: Path) -> None:
    hot = Conditions(0.5, 0.01, None, 1410.0, 83.0, ("heat, by the driver", "power limit"))
    with Journal(folder) as journal:
        journal.append(replace(NEXT, conditions=hot))
    run = load_stored(folder)

    *before, last = run.conditions.to_dict("records")
    assert len(before) == len(run.visits) - 1
    assert run.visits[-1].conditions == hot
    assert {row["throttle"] for row in before} == {""}
    assert all(math.isnan(row["load"]) for row in before)
    assert (last["trial"], last["steal"], last["sm_clock_mhz"]) == (NEXT.trial, 0.01, 1410.0)
    assert last["throttle"] == "heat, by the driver; power limit"
    assert math.isnan(last["frequency_mhz"])


def test_a_run_without_visits_has_empty_samples(tmp_path: Path) -> None:
    samples = StoredRun(tmp_path, INFO, (), ()).samples

    assert len(samples) == 0
    assert list(samples.columns) == ["trial", "process", "round", "block", "iterations", "seconds", "outlier"]


def test_there_is_one_row_for_each_law(tmp_path: Path) -> None:
    laws = StoredRun(tmp_path, INFO, (), (COUNTED_LAW, TIME_LAW)).laws

    assert list(laws["verdict"]) == ["CONFIRMED", "INCONCLUSIVE"]
    assert list(laws["n_exponent"].fillna(-1)) == [-1, 1.0]
    assert np.allclose(laws["d_half_width"].fillna(-1), [-1, 0.3])
    assert list(laws.loc[0, ["layer", "metric", "claim", "formula", "trials", "reason"]]) == [
        "rnn",
        "flops",
        "4*b*n*d**2",
        "4*b*n*d**2",
        9,
        "it is",
    ]


def test_an_infinite_path_and_counts_nobody_asked_for_survive_the_disk(tmp_path: Path) -> None:
    counted = Counted(flops=1, parameters=2, peak_bytes=3, saved_bytes=2**60 + 1, depth=7, hops=math.inf)
    paths = {"rnn": PathMap({"n": 2}, ["0 inf", "1 0"]), "core": PathMap(refused="needs n > 40")}
    seen = Observations(reach={"rnn": [(0, 1.0), (1, 0.5)]}, paths=paths)
    create(tmp_path / "run", replace(INFO, plan=replace(PLAN, counted={SHORT.id: counted}, observations=seen)))

    stored = load_stored(tmp_path / "run")

    assert "Infinity" not in (tmp_path / "run" / "run.json").read_text()
    assert stored.info.plan.counted == {SHORT.id: counted}
    assert stored.info.plan.observations == seen
    records = stored.records.set_index("trial")
    assert records.loc[SHORT.id, "saved_bytes"] == 2**60 + 1
    assert records.loc[SHORT.id, "hops"] == math.inf
    assert records.drop(index=SHORT.id)["depth"].isna().all()
