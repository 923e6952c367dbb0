"""The journal of a run: each line is on disk before the next visit, and none is changed, lost or doubled unseen."""

from __future__ import annotations

import binascii
import errno
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.store.journal import Journal
from attnbench.store.run_folder import create, load_stored
from tests.older_run import make_older
from tests.store.small_run import INFO, NEXT, SHORT, VISITS, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
