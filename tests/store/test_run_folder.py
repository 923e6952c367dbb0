"""A run on disk: read back as it was written, and refused in one sentence when it is something else."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest

from attnbench.record import SCHEMA
from attnbench.store.journal import Journal
from attnbench.store.run_folder import StoredRun, create, load_stored
from attnbench.store.run_info import runs_in
from tests.store.small_run import COUNTED_LAW, INFO, VISITS, refusal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_read_back_as_it_was_written(folder: Path) -> None:
    run = load_stored(folder)

    assert run == StoredRun(folder, INFO, VISITS, (COUNTED_LAW,))


def test_a_run_without_a_first_visit_can_be_read(tmp_path: Path) -> None:
    create(tmp_path / "mine", INFO)

    assert load_stored(tmp_path / "mine").visits == ()


def test_runs_are_listed_with_the_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "oldest"]):
        create(tmp_path / name, INFO)
        os.utime(tmp_path / name / "run.json", (1e9 - age, 1e9 - age))
    (tmp_path / "no-run").mkdir()

    assert [path.name for path in runs_in(tmp_path)] == ["new", "old", "oldest"]
    assert runs_in(tmp_path / "nowhere") == []


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
