"""Tables and laws beside a journal are whole, of this journal, or not read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attnbench.store.derived import read_laws
from attnbench.store.run_folder import load_stored
from tests.store.small_run import COUNTED_LAW, TIME_LAW, refusal

if TYPE_CHECKING:
    from pathlib import Path


def test_laws_are_read_back_as_they_were_written(folder: Path) -> None:
    fitted = replace(load_stored(folder), found_laws=(COUNTED_LAW, TIME_LAW))

    fitted.write_derived()

    assert load_stored(folder) == fitted


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


def test_the_tables_on_disk_are_the_tables_in_memory(folder: Path) -> None:
    run = load_stored(folder)

    run.write_derived()

    pd.testing.assert_frame_equal(pd.read_parquet(folder / "records.parquet"), run.records, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "samples.parquet"), run.samples, check_dtype=False)
