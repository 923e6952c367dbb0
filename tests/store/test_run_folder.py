"""A run on disk: written line by line, read back as it was, and refused in one sentence when it is something else."""

from __future__ import annotations

import binascii
import errno
import hashlib
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
from attnbench.plan.plan import Plan
from attnbench.record import SCHEMA, Conditions, Counted, Host, Observations, PathMap, Status, Visit
from attnbench.spec import from_mapping
from attnbench.store.derived import read_laws
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, create, load_stored, runs_in
from attnbench.store.run_info import RunInfo
from attnbench.trial import Choices, Subject, Trial
from tests.older_run import make_older

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = Host("CPU", 2, 2**33, "Linux", "3.11", "2.13", "MKL", ("cpu",), (0.5, 0.25, 0.1), {"L2": 2**20})
SHORT = Trial(Subject("rnn"), {"b": 2, "n": 64, "d": 32})
LONG = Trial(Subject("rnn"), {"b": 2, "n": 128, "d": 32})
HEADS = Trial(Subject("attention-core", Choices("cuda:1", "bfloat16")), {"b": 2, "n": 64, "d": 32, "h": 4, "rank": 7})
BROKEN = Trial(Subject("gru"), {"b": 2, "n": 64, "d": 32})
COUNTED_LAW = Law(
    Subject("rnn"), "flops", Verdict.CONFIRMED, "it is", claim="4*b*n*d**2", formula="4*b*n*d**2", trials=9
)
TIME_LAW = Law(
    subject=Subject("rnn", Choices("cpu", "float32")),
    metric="time",
    verdict=Verdict.INCONCLUSIVE,
    reason="too wide",
    claim="n*d**2",
    exponents={"n": Exponent(Estimate(1.0, 0.9, 1.2), 1), "d": Exponent(Estimate(1.8, 1.5, 2.1, 0.95))},
    terms=(FittedTerm("n*d**2", Estimate(2e-12, 1e-12, 3e-12), 0.9),),
    window={"n": (64, 128)},
    trials=4,
    specifications=(Specification("all", {"n": 1.0, "d": 1.8}),),
    uncounted=("aten.fft",),
)
PLAN = Plan(
    suite=from_mapping({"title": "T", "sweep": [{"layers": ["rnn"], "n": [64, 128]}]}, "mine", "here"),
    trials=(SHORT, LONG, HEADS, BROKEN),
    counted={SHORT.id: Counted(2**60 + 1, 2048, 4096), HEADS.id: Counted(10, 0, 20, ("aten.fft",))},
    counted_laws=(COUNTED_LAW,),
    skipped={HEADS.id: "no such device"},
    claims={"rnn": {"time": "n*d**2"}},
    scopes={"rnn": "layer", "gru": "layer", "attention-core": "core"},
    windows={"rnn": "n from 64 to 128"},
    calibration=({"layer": "rnn", "device": "cpu", "sizes": {"n": 64}, "seconds": 0.5, "flops": 10},),
)
INFO = RunInfo(
    name="mine",
    command="attnbench run --suite mine",
    seed=3,
    started="2025-01-02T03:04:05Z",
    version="0.1.0",
    host=HOST,
    plan=PLAN,
    plugins=("mine.py",),
)
NEXT = Visit(SHORT.id, 1, 2, iterations=4, block_seconds=(0.4, 0.3))
#: What an older attnbench wrote of it.
INFO_JSON = {key: value for key, value in INFO.as_json().items() if key != "code"}
LAW_JSON = COUNTED_LAW.as_json()
RAN = ("aten::mm", "onednn::rnn/brgemm:avx2")
VISITS = (
    Visit(
        SHORT.id, 0, 0, iterations=4, block_seconds=(0.3, 0.1, 0.2), first_call_seconds=2.0, started=0.5, kernels=RAN
    ),
    Visit(BROKEN.id, 0, 0, Status.OOM, "out of memory", first_call_seconds=None),
    Visit(
        SHORT.id,
        process=1,
        round=1,
        iterations=4,
        block_seconds=(0.4, 0.2),
        first_call_seconds=1.5,
        reference_seconds=0.1,
        compile_seconds=6.0,
    ),
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
    make_older(folder)
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


def synced_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Name and size of whatever will be synced to disk."""
    synced: list[tuple[str, int]] = []

    def note(file: int) -> None:
        synced.append((os.path.basename(os.readlink(f"/proc/self/fd/{file}")), os.fstat(file).st_size))

    monkeypatch.setattr(os, "fsync", note)
    return synced


def test_a_line_is_on_disk_when_append_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = synced_files(monkeypatch)
    with Journal(folder) as journal:
        journal.append(NEXT)

        assert load_stored(folder).visits == (*VISITS, NEXT)
        assert synced[-1] == ("journal.jsonl", (folder / "journal.jsonl").stat().st_size)


def test_the_names_of_a_new_run_and_of_its_files_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = synced_files(monkeypatch)

    create(tmp_path / "mine", INFO)
    with Journal(tmp_path / "mine"):
        names = [name for name, _ in synced]

    assert names[0] == tmp_path.name
    assert names[1].startswith(".run.json.")
    assert names[2:] == ["mine", "mine"]


def test_a_torn_last_line_is_dropped(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])

    assert load_stored(folder).visits == VISITS[:-1]


def test_writing_goes_on_after_a_torn_last_line(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-7])

    with Journal(folder) as journal:
        journal.append(NEXT)

    assert load_stored(folder).visits == (*VISITS[:-1], NEXT)


def test_runs_are_listed_with_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "oldest"]):
        create(tmp_path / name, INFO)
        os.utime(tmp_path / name / "run.json", (1e9 - age, 1e9 - age))
    (tmp_path / "no-run").mkdir()

    assert [path.name for path in runs_in(tmp_path)] == ["new", "old", "oldest"]
    assert runs_in(tmp_path / "nowhere") == []


# --------------------------------------------------------------------------------------------------------- refusals


def numbered(line: str, **changes: Any) -> str:
    """A line of the journal with other values."""
    return json.dumps({**json.loads(line), **changes})


CHANGED = (
    "its checksum does not fit: it was changed, or lines before it were removed, added or moved, "
    "or it is of another run"
)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0].replace("0.3", "0.2"), *lines[1:]], 1),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], *lines], 2),
        (lambda lines: [lines[0], lines[2], lines[1]], 2),
        (lambda lines: [*lines, numbered(lines[2], round=2)], 4),
        (lambda lines: [*lines[:2], lines[2].split(', "crc32"')[0] + "}"], 3),
    ],
    ids=["a digit", "first removed", "removed", "doubled", "swapped", "made up", "without checksum"],
)
def test_a_line_that_was_changed_removed_doubled_or_moved_is_named_by_its_number(
    folder: Path, damage: Callable[[list[str]], list[str]], line: int
) -> None:
    path = folder / "journal.jsonl"
    lines = damage(path.read_text(encoding="utf-8").splitlines())
    path.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path}, line {line}, is damaged: {CHANGED}"
    assert refusal(Journal, folder) == f"{path}, line {line}, is damaged: {CHANGED}"


def test_each_line_ends_with_the_checksum_of_what_was_written_up_to_it(folder: Path) -> None:
    lines = (folder / "journal.jsonl").read_bytes().splitlines()

    written = b""
    for line in lines:
        content, _, checksum = line.rpartition(b', "crc32": ')
        written += content + b"}"
        assert checksum == f'"{binascii.crc32(written):08x}"}}'.encode()
    assert len(lines) == len(VISITS)


def test_checksums_cannot_be_taken_from_a_run_that_had_them(tmp_path: Path) -> None:
    create(tmp_path / "new", replace(INFO, code={"attnbench": "0.1.0 abc"}))
    line = json.dumps(NEXT.as_json())
    (tmp_path / "new" / "journal.jsonl").write_text(f"{line}\n", encoding="utf-8")

    assert refusal(load_stored, tmp_path / "new").endswith(f"line 1, is damaged: {CHANGED}")


def test_a_run_of_an_older_attnbench_is_read_and_its_journal_is_not_written(folder: Path) -> None:
    run = load_stored(folder)
    make_older(folder)

    without = tuple(replace(visit, kernels=(), compile_seconds=None) for visit in run.visits)
    assert load_stored(folder) == replace(run, visits=without)
    assert refusal(Journal, folder) == (
        f"{folder / 'journal.jsonl'} is of an older attnbench, which wrote no checksums, so it cannot be continued"
    )


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("nonsense", "JSONDecodeError Expecting value: line 1 column 1 (char 0)"),
        ("[]", "Expected `object`, got `array`"),
        ("7", "Expected `object`, got `int`"),
        ({"status": "well"}, "Invalid enum value 'well' - at `$.status`"),
        (
            "[" * 100_000,
            "RecursionError maximum recursion depth exceeded while decoding a JSON array from a unicode string",
        ),
        ({"block_seconds": [0.1, -0.2]}, "block_seconds cannot be -0.2"),
        ({"block_seconds": [0.0]}, "block_seconds cannot be 0.0"),
        ({"block_seconds": [math.nan]}, "block_seconds cannot be nan"),
        ({"block_seconds": [1e30]}, "block_seconds cannot be 1e+30"),
        ({"block_seconds": ["0.1"]}, "Expected `float`, got `str` - at `$.block_seconds[0]`"),
        ({"block_seconds": [True]}, "Expected `float`, got `bool` - at `$.block_seconds[0]`"),
        ({"block_seconds": []}, "status is ok, and no block was timed"),
        ({"iterations": 0}, "status is ok, and no block was timed"),
        ({"iterations": -4}, "iterations cannot be -4"),
        ({"round": 0.5}, "Expected `int`, got `float` - at `$.round`"),
        ({"process": None}, "Expected `int`, got `null` - at `$.process`"),
        ({"first_call_seconds": -1}, "first_call_seconds cannot be -1.0"),
        ({"reference_seconds": "quick"}, "Expected `float | null`, got `str` - at `$.reference_seconds`"),
        ({"started": -3.0}, "started cannot be -3.0"),
        ({"conditions": {"steal": 1.5}}, "steal cannot be 1.5"),
        ({"conditions": {"load": math.nan}}, "load cannot be nan"),
        ({"conditions": {"frequency_mhz": 0}}, "frequency_mhz cannot be 0.0"),
        (
            {"conditions": {"sm_clock_mhz": True}},
            "Expected `float | null`, got `bool` - at `$.conditions.sm_clock_mhz`",
        ),
        (
            {"conditions": {"temperature_c": "hot"}},
            "Expected `float | null`, got `str` - at `$.conditions.temperature_c`",
        ),
        ({"conditions": {"throttle": [7]}}, "Expected `str`, got `int` - at `$.conditions.throttle[0]`"),
        ({"conditions": {"throttle": "heat"}}, "Expected `array`, got `str` - at `$.conditions.throttle`"),
        ({"reason": 3}, "Expected `str`, got `int` - at `$.reason`"),
        ({"kernels": ["aten::mm", 3]}, "Expected `str`, got `int` - at `$.kernels[1]`"),
        ({"compile_seconds": 0}, "compile_seconds cannot be 0.0"),
        ({"round": 1}, "round 1 has this trial twice"),
        ({"rounds": 1}, "no visit has 'rounds'"),
        ({"conditions": {"laod": 1.0}}, "no visit has 'laod'"),
    ],
)
def test_a_line_without_checksum_that_no_clock_can_have_said_is_named_by_its_number(
    folder: Path, line: str | dict[str, Any], error: str
) -> None:
    make_older(folder)
    path = folder / "journal.jsonl"
    last = path.read_text(encoding="utf-8").splitlines()[-1]
    with path.open("a", encoding="utf-8") as journal:
        journal.write((line if isinstance(line, str) else numbered(last, **{"round": 2, **line})) + "\n")

    assert refusal(load_stored, folder) == f"{path}, line 4, is damaged: {error}"


def test_a_visit_of_a_trial_that_was_not_planned_is_of_another_run(folder: Path) -> None:
    with Journal(folder) as journal:
        journal.append(replace(NEXT, trial="elsewhere"))

    assert refusal(load_stored, folder) == (
        f"{folder / 'journal.jsonl'} is of another run: run.json plans no trial elsewhere"
    )


def test_a_visit_that_could_not_be_read_back_is_not_written(folder: Path) -> None:
    with Journal(folder) as journal:
        message = refusal(journal.append, replace(NEXT, block_seconds=(0.5, math.inf)))

    assert message == f"a visit of {SHORT.id} cannot be kept: block_seconds cannot be inf"
    assert load_stored(folder).visits == VISITS


def test_a_full_disk_costs_the_line_that_found_no_room_and_nothing_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def fill(file: int, rest: memoryview) -> int:
        if len(rest) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, rest[:-50])

    with Journal(folder) as journal:
        monkeypatch.setattr(os, "write", fill)
        message = refusal(journal.append, NEXT)
        assert (folder / "journal.jsonl").read_bytes().endswith(b"}\n")
        monkeypatch.undo()
        journal.append(NEXT)

    assert (
        message == f"{folder / 'journal.jsonl'} cannot be written: No space left on device; everything before is kept"
    )
    assert load_stored(folder).visits == (*VISITS, NEXT)


def test_a_full_disk_leaves_no_run_folder_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_text", fill)

    assert refusal(create, tmp_path / "mine", INFO) == (
        f"{tmp_path / 'mine'} cannot be written: No space left on device; choose another place with --results"
    )
    assert list(tmp_path.iterdir()) == []


def test_another_schema_is_refused(folder: Path) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**INFO.as_json(), "schema": SCHEMA + 1}), encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path} has schema {SCHEMA + 1}; this version reads schema {SCHEMA}"


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"version": "0.1.1"}, {"windows": {}}, {"suite": {}}, {"code": {"attnbench": "another"}}],
    ids=lambda change: next(iter(change)),
)
def test_a_run_json_that_was_edited_is_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **change}), encoding="utf-8")

    assert refusal(load_stored, folder) == (
        f"{path} is damaged: it was changed since the run began, so nothing can be read from it; start a new run"
    )


def test_a_run_json_that_is_written_in_another_way_says_the_same(folder: Path) -> None:
    run, path = load_stored(folder), folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(content.items()))), encoding="utf-8")

    assert load_stored(folder) == run


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "JSONDecodeError Expecting value: line 1 column 1 (char 0)"),
        ("{}", "KeyError 'schema'"),
        ("[]", "TypeError list indices must be integers or slices, not str"),
        ({}, "KeyError 'suite'"),
        ({**INFO_JSON, "trials": None}, "TypeError 'NoneType' object is not iterable"),
        ({**INFO_JSON, "counted": []}, "AttributeError 'list' object has no attribute 'items'"),
        ({**INFO_JSON, "seed": "three"}, "Expected `int`, got `str` - at `$.seed`"),
        ({**INFO_JSON, "windows": {"rnn": 7}}, "Expected `str`, got `int` - at `$.windows[...]`"),
        ({**INFO_JSON, "visit_seconds": {"rnn": math.nan}}, "no number can be NaN"),
        ({**INFO_JSON, "seed": 2**63}, f"no number can be {2**63}"),
        ({**INFO_JSON, "host": {**INFO_JSON["host"], "core": 3}}, "no run has 'core'"),
        ({**INFO_JSON, "suite": {"sweep": []}}, "suite run.json needs at least one [[sweep]] table with layers"),
        ({**INFO_JSON, "claims": {"rnn": {"time": "n*f"}}}, "n*f of rnn has f, which no trial has"),
        ({**INFO_JSON, "scopes": {}}, "it does not say what scope attention-core has"),
        (
            {**INFO_JSON, "counted_laws": [{**COUNTED_LAW.as_json(), "window": {"n": []}}]},
            "Expected `array` of length 2, got 0 - at `$.counted_laws[0].window[...]`",
        ),
        ({**INFO_JSON, "paths": {"rnn": {"rows": [["0"]]}}}, "Expected `str`, got `array` - at `$.paths[...].rows[0]`"),
        ({**INFO_JSON, "reach": {"rnn": [[0, "far"]]}}, "Expected `float`, got `str` - at `$.reach[...][0][1]`"),
    ],
)
def test_a_damaged_run_json_is_one_sentence(folder: Path, content: str | dict[str, Any], error: str) -> None:
    path = folder / "run.json"
    text = content if isinstance(content, str) else json.dumps({"schema": SCHEMA, **content})
    path.write_text(text, encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path} is damaged: {error}"


@pytest.mark.parametrize("file", ["laws.json", "journal.jsonl"])
def test_laws_are_read_only_where_they_are_whole_and_of_this_journal(folder: Path, file: str) -> None:
    replace(load_stored(folder), found_laws=(COUNTED_LAW, TIME_LAW)).write_derived()
    assert read_laws(folder) == (COUNTED_LAW, TIME_LAW)

    content = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(content[: content[:-1].rfind("\n") + 1].replace("1.8", "1.7"), encoding="utf-8")

    assert read_laws(folder) is None


def test_the_sums_beside_a_run_are_those_of_its_files(folder: Path) -> None:
    load_stored(folder).write_derived()

    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()

    files = ["run.json", "journal.jsonl", "laws.json", "records.parquet", "samples.parquet"]
    assert lines == [f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}" for file in files]


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
    suites = {"all": PLAN, "others": replace(PLAN, suite=replace(PLAN.suite, metrics=("time", "parameters")))}

    assert {name: plan.shown_laws for name, plan in suites.items()} == {"all": (COUNTED_LAW,), "others": ()}


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


def test_the_tables_on_disk_are_the_tables_in_memory(folder: Path) -> None:
    run = load_stored(folder)

    run.write_derived()

    pd.testing.assert_frame_equal(pd.read_parquet(folder / "records.parquet"), run.records, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "samples.parquet"), run.samples, check_dtype=False)


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
