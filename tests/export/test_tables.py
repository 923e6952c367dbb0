"""CSV, Parquet and Markdown: read back, they say what the tables say."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest

from attnbench.errors import InputError
from attnbench.export import content
from attnbench.export.tables import csv, markdown
from attnbench.store.run_folder import StoredRun

STRANGE = pd.DataFrame(
    {"layer": ["a|b*c*_d_ e_f", "<b>`x`</b>\\ &amp; [red]", "two\nlines\x1b[31m", None], "n": pd.array([1, 2, 3, None])}
)


@pytest.mark.parametrize("table", ["records", "samples", "conditions", "laws"])
def test_parquet_reads_back_as_it_was(table: str, run: StoredRun) -> None:
    back = pd.read_parquet(io.BytesIO(content(run, "parquet", table)))

    pd.testing.assert_frame_equal(back, getattr(run, table), check_dtype=False)


def test_csv_keeps_line_breaks_in_their_cells_and_shows_what_a_terminal_would_obey() -> None:
    back = pd.read_csv(io.StringIO(csv(STRANGE)))

    assert list(back["layer"].iloc[:2]) == list(STRANGE["layer"].iloc[:2])
    assert back["layer"].iloc[2] == "two\nlines\\x1b[31m"


def test_every_character_of_a_cell_in_markdown_stands_for_itself() -> None:
    lines = markdown(STRANGE).splitlines()

    assert lines[:2] == ["| layer | n |", "| --- | --- |"]
    assert lines[2] == r"| a\|b\*c\*\_d\_ e_f | 1 |"
    assert lines[3] == r"| \<b\>\`x\`\</b\>\\ \&amp; \[red\] | 2 |"
    assert lines[4] == r"| two\\nlines\\x1b\[31m | 3 |"
    assert lines[5] == "|  |  |"


def test_a_table_in_markdown_has_its_cells_between_bars(run: StoredRun) -> None:
    lines = content(run, "markdown", "records").decode().splitlines()
    cells = [[re.sub(r"\\(.)", r"\1", cell) for cell in re.split(r"(?<!\\) \| ", line.strip("| "))] for line in lines]

    assert cells[0] == list(run.records.columns)
    assert [row[0] for row in cells[2:]] == list(run.records["trial"])


@pytest.mark.parametrize(
    ("form", "table", "standalone", "message"),
    [
        ("csv", "laws", True, "--standalone is for --format latex; leave it out for csv"),
        (
            "pytest-benchmark",
            "laws",
            False,
            "--format pytest-benchmark holds all samples of the run; leave out --table",
        ),
    ],
)
def test_what_a_format_does_not_have_is_refused(
    form: str, table: str, standalone: bool, message: str, run: StoredRun
) -> None:
    with pytest.raises(InputError) as caught:
        content(run, form, table, standalone=standalone)

    assert str(caught.value) == message
