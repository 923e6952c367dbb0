"""Files that others wrote: the table in them, or one line about why there is none."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attnbench.errors import InputError
from attnbench.fitting.files import read_content, read_file

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pd.DataFrame({"n": [128, 256], "time, ms": [1.5, 3.25]})


def test_parquet_is_read() -> None:
    content = io.BytesIO()
    TABLE.to_parquet(content)

    pd.testing.assert_frame_equal(read_content(content.getvalue(), "times.parquet"), TABLE)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_text_is_read_with_any_delimiter_encoding_and_line_end(delimiter: str, encoding: str, line_end: str) -> None:
    names = ["größe", "seconds"] if delimiter == " " else ["größe", "time, ms"]
    table = TABLE.set_axis(names, axis=1)
    text = table.to_csv(index=False, sep=delimiter, lineterminator=line_end)

    pd.testing.assert_frame_equal(read_content(text.encode(encoding), "times.csv"), table)


@pytest.mark.parametrize(
    "text",
    [
        "n, seconds\n1, 2\n3, \n",
        "\n\nn,seconds\n\n1,2\n\n3,\n\n",
        "n  seconds\n1   2\n3\n",
        "n,seconds\n1,2\n3\n",
        '"n","seconds"\n"1","2"\n"3",""\n',
        "n,seconds\n1,2\n3,NA",
    ],
    ids=["spaces", "blank lines", "aligned", "short row", "quoted", "no last line end"],
)
def test_loose_text_is_read_with_missing_values_where_there_are_none(text: str) -> None:
    expected = pd.DataFrame({"n": [1, 3], "seconds": [2, None]})

    pd.testing.assert_frame_equal(read_content(text.encode(), "times.csv"), expected)


def test_a_name_that_occurs_twice_stays_as_it_is() -> None:
    assert [*read_content(b"n,n,seconds\n1,2,3\n", "times.csv")] == ["n", "n", "seconds"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.csv is empty; a header such as n,d,seconds and rows are needed"),
        (b" \r\n\n", "x.csv is empty; a header such as n,d,seconds and rows are needed"),
        (b"n,seconds\n", "x.csv has a header and no rows; at least one measurement is needed"),
        (b"1,.5\n2,.7\n", "x.csv has no header: its first line is '1,.5'; put names there, such as n,d,seconds"),
        (b"1,,.5\n2,,.7\n", "x.csv has no header: its first line is '1,,.5'; put names there, such as n,d,seconds"),
        (b"n,seconds\n1,2,3\n", "x.csv, line 2: more values than the 2 names in the header"),
        (b"n,seconds\n1,2\n\n1,2,3\n", "x.csv, line 4: 3 values, but the header has 2 names"),
        (b'n,seconds\n1,"2\n3,4\n', "x.csv has a quotation mark that is never closed; remove it"),
        (b"PK\x03\x04\x00\x00", "x.csv holds no text; unpack it, or export it as CSV or Parquet"),
    ],
)
def test_text_without_a_table_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_content(content, "x.csv")

    assert str(refused.value) == message


def test_damaged_parquet_is_refused() -> None:
    with pytest.raises(InputError, match=r"^x\.parquet cannot be read as Parquet: .+$"):
        read_content(b"PAR1 and no more", "x.parquet")


def test_a_file_that_is_not_there_is_refused_with_the_name_that_is_close(tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("n,seconds\n1,2\n")

    with pytest.raises(InputError) as refused:
        read_file(str(tmp_path / "timse.csv"))

    assert str(refused.value) == f"there is no file {tmp_path}/timse.csv. Did you mean 'times.csv'?"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_file(str(tmp_path))

    assert str(refused.value) == f"{tmp_path} is a folder; name one file in it"
