"""A run on disk: written line by line, read back as it was, and refused in one sentence when it is something else."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from attnbench.errors import RunError
from attnbench.law import Estimate, Exponent, FittedTerm, Law, Specification, Verdict
from attnbench.record import SCHEMA, Counted, Host, Status, Visit
from attnbench.store import Journal, RunInfo, StoredRun, create, load_stored, read_laws, runs_in
from attnbench.trial import Choices, Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = Host("CPU", 2, 2**33, "Linux", "3.11", "2.13", "MKL", ("cpu",), (0.5, 0.25, 0.1), {"L2": 2**20})
SHORT = Trial("rnn", {"b": 2, "n": 64, "d": 32})
LONG = Trial("rnn", {"b": 2, "n": 128, "d": 32})
HEADS = Trial("attention-core", {"b": 2, "n": 64, "d": 32, "h": 4, "rank": 7}, Choices("cuda:1", "bfloat16"))
BROKEN = Trial("gru", {"b": 2, "n": 64, "d": 32})
COUNTED_LAW = Law("rnn", "flops", Verdict.CONFIRMED, "it is", claim="4*b*n*d**2", formula="4*b*n*d**2", trials=9)
TIME_LAW = Law(
    layer="rnn",
    metric="time",
    verdict=Verdict.INCONCLUSIVE,
    reason="too wide",
    claim="n*d**2",
    device="cpu",
    dtype="float32",
    exponents={"n": Exponent(Estimate(1.0, 0.9, 1.2), 1), "d": Exponent(Estimate(1.8, 1.5, 2.1, 0.95))},
    terms=(FittedTerm("n*d**2", Estimate(2e-12, 1e-12, 3e-12), 0.9),),
    window={"n": (64, 128)},
    trials=4,
    specifications=(Specification("all", {"n": 1.0, "d": 1.8}),),
    uncounted=("aten.fft",),
)
INFO = RunInfo(
    name="mine",
    suite={"title": "T", "sweep": [{"layers": ["rnn"], "n": [64, 128]}]},
    suite_name="mine",
    command="attnbench run --suite mine",
    seed=3,
    started="2025-01-02T03:04:05Z",
    version="0.1.0",
    host=HOST,
    trials=(SHORT, LONG, HEADS, BROKEN),
    counted={SHORT.id: Counted(2**60 + 1, 2048, 4096), HEADS.id: Counted(10, 0, 20, ("aten.fft",))},
    counted_laws=(COUNTED_LAW,),
    plugins=("mine.py",),
    skipped={HEADS.id: "no such device"},
    claims={"rnn": {"time": "n*d**2"}},
    scopes={"rnn": "layer"},
    windows={"rnn": "n from 64 to 128"},
    calibration=({"layer": "rnn", "device": "cpu", "sizes": {"n": 64}, "seconds": 0.5, "flops": 10},),
)
VISITS = (
    Visit(SHORT.id, 0, 0, iterations=4, block_seconds=(0.3, 0.1, 0.2), first_call_seconds=2.0, started=0.5),
    Visit(BROKEN.id, 0, 0, Status.OOM, "out of memory", first_call_seconds=None),
    Visit(SHORT.id, 1, 1, iterations=4, block_seconds=(0.4, 0.2), first_call_seconds=1.5, reference_seconds=0.1),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with three visits on disk."""
    create(tmp_path / "mine", INFO)
    with Journal(tmp_path / "mine") as journal:
        for visit in VISITS:
            journal.append(visit)
    return tmp_path / "mine"


def refusal(action: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(RunError) as caught:
        action(*arguments)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------- there and back


def test_a_run_is_read_back_as_it_was_written(folder: Path) -> None:
    run = load_stored(folder)

    assert run == StoredRun(folder, INFO, VISITS, (COUNTED_LAW,))


def test_a_run_whose_host_told_less_is_read_with_nothing_in_those_places(folder: Path) -> None:
    """Runs made before these facts were recorded do not have their keys."""
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    newer = ("logical_cores", "physical_cores", "frequency_mhz", "governor", "turbo", "steal", "cpu_limit")
    for key in (*newer, "memory_limit_bytes", "thread_settings", "accelerators"):
        del content["host"][key]
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")

    assert load_stored(folder).info == INFO


def test_a_run_without_a_first_visit_can_be_read(tmp_path: Path) -> None:
    create(tmp_path / "mine", INFO)

    assert load_stored(tmp_path / "mine").visits == ()


def test_laws_are_read_back_as_they_were_written(folder: Path) -> None:
    fitted = replace(load_stored(folder), found_laws=(COUNTED_LAW, TIME_LAW))

    fitted.write_derived()

    assert load_stored(folder) == fitted


def test_a_line_is_on_disk_when_append_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))

    with Journal(folder) as journal:
        journal.append(VISITS[0])

        assert load_stored(folder).visits == (*VISITS, VISITS[0])
        assert synced == [(folder / "journal.jsonl").stat().st_size]


def test_a_torn_last_line_is_dropped(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])

    assert load_stored(folder).visits == VISITS[:-1]


def test_writing_goes_on_after_a_torn_last_line(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-7])

    with Journal(folder) as journal:
        journal.append(VISITS[0])

    assert load_stored(folder).visits == (*VISITS[:-1], VISITS[0])


def test_runs_are_listed_with_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "oldest"]):
        create(tmp_path / name, INFO)
        os.utime(tmp_path / name / "run.json", (1e9 - age, 1e9 - age))
    (tmp_path / "no-run").mkdir()

    assert [path.name for path in runs_in(tmp_path)] == ["new", "old", "oldest"]
    assert runs_in(tmp_path / "nowhere") == []


# --------------------------------------------------------------------------------------------------------- refusals


def test_a_damaged_line_in_the_middle_is_named_by_its_number(folder: Path) -> None:
    path = folder / "journal.jsonl"
    first, _, third = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{first}\n{{}}\n{third}\n", encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path}, line 2, is damaged: KeyError 'status'"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("nonsense", "JSONDecodeError Expecting value: line 1 column 1 (char 0)"),
        ("[]", "KeyError 'status'"),
        ("7", "TypeError 'int' object is not iterable"),
        ('{"status": "well", "block_seconds": []}', "ValueError 'well' is not a valid Status"),
    ],
)
def test_a_whole_last_line_that_is_no_visit_is_damage_and_not_a_torn_write(folder: Path, line: str, error: str) -> None:
    path = folder / "journal.jsonl"
    with path.open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")

    assert refusal(load_stored, folder) == f"{path}, line 4, is damaged: {error}"


def test_another_schema_is_refused(folder: Path) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**INFO.as_json(), "schema": SCHEMA + 1}), encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path} has schema {SCHEMA + 1}; this version reads schema {SCHEMA}"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "JSONDecodeError Expecting value: line 1 column 1 (char 0)"),
        ("{}", "KeyError 'schema'"),
        ("[]", "TypeError list indices must be integers or slices, not str"),
        (json.dumps({"schema": SCHEMA}), "KeyError 'host'"),
        (json.dumps({**INFO.as_json(), "trials": None}), "TypeError 'NoneType' object is not iterable"),
        (json.dumps({**INFO.as_json(), "counted": []}), "AttributeError 'list' object has no attribute 'items'"),
    ],
)
def test_a_damaged_run_json_is_one_sentence(folder: Path, content: str, error: str) -> None:
    path = folder / "run.json"
    path.write_text(content, encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path} is damaged: {error}"


def test_damaged_laws_block_nothing_as_they_can_be_derived_anew(folder: Path) -> None:
    (folder / "laws.json").write_text('[{"layer": "rnn"}]', encoding="utf-8")

    assert read_laws(folder) is None
    assert load_stored(folder).found_laws == (COUNTED_LAW,)


def test_a_table_that_cannot_be_written_leaves_the_one_before_it_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_stored(folder)
    run.write_derived()
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def tear(_: pd.DataFrame, path: Path, **__: object) -> None:
        path.write_bytes(b"half a ta")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", tear)

    assert refusal(run.write_derived) == f"{folder} cannot be written: No space left on device"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_only_the_counted_laws_that_the_suite_asks_for_are_shown() -> None:
    suites = {"all": INFO, "others": replace(INFO, suite={"metrics": ["time", "parameters"]})}

    assert {name: info.shown_laws for name, info in suites.items()} == {"all": (COUNTED_LAW,), "others": ()}


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_one_sentence(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()

    assert refusal(load_stored, folder) == f"{folder / name} cannot be read: Is a directory"


@pytest.mark.parametrize("below", ["", "nowhere", "file"])
def test_what_is_not_a_run_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / below

    assert refusal(load_stored, path) == (
        f"{path} is not a run: it has no run.json; `attnbench list runs` shows the runs"
    )


def test_a_run_is_not_written_over_another(folder: Path) -> None:
    assert refusal(create, folder, INFO) == (
        f"{folder} already holds a run; choose another folder, or continue it with --resume {folder}"
    )


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert refusal(create, file / "mine", INFO) == (
        f"{file / 'mine'} cannot be written: Not a directory; choose another place with --results"
    )
    assert refusal(Journal, file) == f"{file / 'journal.jsonl'} cannot be written: Not a directory"
    assert refusal(StoredRun(file, INFO, (), ()).write_derived) == (
        f"{file} cannot be written: Cannot save file into a non-existent directory: '{file}'"
    )


def test_a_journal_that_another_process_holds_is_refused(folder: Path) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held'); input()"
    command = [sys.executable, "-c", hold, str(folder / "journal.jsonl")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        message = refusal(Journal, folder)

        other.communicate("\n")

    assert message == f"another process is writing to {folder}; wait for it or choose another folder"
    with Journal(folder):
        assert refusal(Journal, folder) == message


# ----------------------------------------------------------------------------------------------------------- tables

BEFORE = "trial layer device dtype mode threads b n d h k l w r m c rank".split()
AFTER = "status reason seconds seconds_low seconds_high seconds_median samples visits".split()
COUNTS = "flops parameters peak_bytes saved_bytes depth hops lower_bound first_call_seconds floor_seconds host".split()


def test_there_is_one_record_for_each_trial(folder: Path) -> None:
    records = load_stored(folder).records

    assert list(records.columns) == [*BEFORE, *AFTER, *COUNTS]
    assert list(records["trial"]) == [trial.id for trial in INFO.trials]
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


def test_the_tables_on_disk_are_the_tables_in_memory(folder: Path) -> None:
    run = load_stored(folder)

    run.write_derived()

    pd.testing.assert_frame_equal(pd.read_parquet(folder / "records.parquet"), run.records, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "samples.parquet"), run.samples, check_dtype=False)


def test_an_infinite_path_and_counts_nobody_asked_for_survive_the_disk(tmp_path: Path) -> None:
    counted = Counted(flops=1, parameters=2, peak_bytes=3, saved_bytes=2**60 + 1, depth=7, hops=math.inf)
    info = replace(INFO, counted={SHORT.id: counted}, reach={"rnn": [[0.0, 1.0], [1.0, 0.5]]})
    create(tmp_path / "run", info)

    stored = load_stored(tmp_path / "run")

    assert "Infinity" not in (tmp_path / "run" / "run.json").read_text()
    assert stored.info.counted == {SHORT.id: counted}
    assert stored.info.reach == info.reach
    records = stored.records.set_index("trial")
    assert records.loc[SHORT.id, "saved_bytes"] == 2**60 + 1
    assert records.loc[SHORT.id, "hops"] == math.inf
    assert records.drop(index=SHORT.id)["depth"].isna().all()
