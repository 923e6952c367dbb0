"""Tables and sentences in windows of any width: no line is wider, and no word is broken that could stay whole."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from attnbench.terminal.screen import Listing, wrapped
from tests.report.fake_run import attention, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

REASON = "time grows as n^0.96±0.04, d^2.00±0.03: every exponent lies within 0.1 of the claim"


def printed(table: Listing, width: int) -> list[str]:
    page = Console(file=io.StringIO(), width=width)
    page.print(table)
    return page.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def laws() -> Listing:
    table = Listing("layer", "trials", "verdict", "reason", numbers=["trials"])
    table.add("multi-head-attention", "8", Text("CONFIRMED", style="green"), REASON)
    table.add("rnn", "120", "OUT-OF-REGIME", "too short")
    return table


def test_where_there_is_room_columns_stand_side_by_side_and_numbers_flush_right() -> None:
    lines = printed(laws(), 90)

    start = lines[0].index("reason")
    assert lines[0].split() == ["layer", "trials", "verdict", "reason"]
    assert lines[1].index(" 8 ") - lines[-1].index("120") == 1
    assert " ".join(line[start:].strip() for line in lines[1:-1]) == REASON
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize("width", [40, 60])
def test_where_there_is_none_each_row_is_a_block_with_its_headings(width: int) -> None:
    lines = printed(laws(), width)

    assert lines[0] == "multi-head-attention"
    assert lines[1:4] == ["  trials   8", "  verdict  CONFIRMED", lines[3]]
    assert lines[lines.index("rnn") - 1] == ""
    assert "  verdict  OUT-OF-REGIME" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_no_word_is_broken_at_any_usual_width(width: int) -> None:
    said = " ".join(" ".join(printed(laws(), width)).split())

    words = {"multi-head-attention", "OUT-OF-REGIME", "CONFIRMED", *REASON.split()}
    assert words <= set(said.split())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=80)] * 3)),
    st.integers(24, 160),
)
def test_no_line_is_wider_than_the_window(cells: list[tuple[str, str, str]], width: int) -> None:
    table = Listing("trial", "found", "what was found, and what to do")
    for row in cells:
        table.add(*row)

    assert max(map(cell_len, printed(table, width)), default=0) <= width


def test_a_word_longer_than_its_line_is_broken_after_a_hyphen() -> None:
    trial = "multi-head-attention-cpu-float32-forward-t1-b1-n64-d512"

    lines = wrapped(trial, 24)

    assert "".join(lines) == trial
    assert all(line.endswith("-") for line in lines[:-1])
    assert wrapped(trial, 24, whole_words=True) == [trial]


def test_names_are_no_markup_and_no_escape_sequences() -> None:
    table = Listing("layer", "reason")
    table.add("[bold]x[/bold]", ("\x1b[31mred\x9b\n", "next"))

    assert printed(table, 100)[1:] == [r"[bold]x[/bold]  \x1b[31mred\x9b\n", "                next"]


def on_a_terminal(width: int, *arguments: str, **environment: str) -> str:
    """What a command writes on a terminal of that width, every byte of it."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "TERM")}
    program = [sys.executable, "-c", "from attnbench.cli import main; main()", *arguments]
    with subprocess.Popen(program, stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm", **environment}) as child:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert child.returncode == 0
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(no_color: str, coloured: bool, tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run", (attention(),), windows={})

    said = on_a_terminal(80, "laws", str(run.path), NO_COLOR=no_color)

    assert ("\x1b[32mCONFIRMED" in said, "CONFIRMED" in said) == (coloured, True)
    assert max(map(cell_len, re.sub(r"\x1b\[[\d;]*m", "", said).splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 80])
def test_a_command_heeds_the_window_it_is_in(width: int) -> None:
    said = on_a_terminal(width, "list", "suites")

    lines = re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "Three scaling laws" in said
