"""What fits a window: consoles, sentences that break between words, tables that become blocks where it is narrow."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Collection, Iterator
from itertools import zip_longest
from typing import TextIO

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from attnbench.escape_controls import plain

#: Tables in files and pipes are this wide, so that their lines do not depend on who reads them.
_WIDTH_WITHOUT_TERMINAL = 140
#: A column of sentences is read with ease from this width on, and columns stand this far apart.
_EASY_WIDTH, _GAP = 24, 2


def window_width(stream: TextIO) -> int | None:
    """Columns of the window that `stream` goes to; None where it goes to no terminal."""
    return Console(file=stream).width if stream.isatty() else None


def console(*, stderr: bool = False) -> Console:
    """A console; colour only on a terminal, and never with ``NO_COLOR``."""
    width = window_width(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, width=width or _WIDTH_WITHOUT_TERMINAL, highlight=False)


def say(text: object = "", *, err: bool = False, bold: bool = False) -> None:
    """Print one line, on a terminal broken between words; nothing in it is obeyed, whoever wrote it."""
    line, width = plain(str(text)), window_width(sys.stderr if err else sys.stdout)
    fits = width is None or cell_len(line) <= width
    margin = line[: len(line) - len(line.lstrip())]
    lines = [line] if fits or width is None else wrapped(line.lstrip(), width - len(margin), whole_words=True)
    click.secho("\n".join(lines if fits else [margin + part for part in lines]), err=err, bold=bold or None)


def wrapped(text: str, width: int, *, whole_words: bool = False) -> list[str]:
    """`text` in lines of `width` columns at most; a word that is longer is broken after a hyphen, where it has one.

    With `whole_words` such a word stays whole, as what is to be copied must.
    """
    lines: list[str] = []
    for line in textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False):
        long = cell_len(line) > width and not whole_words
        lines += textwrap.wrap(line, width, break_on_hyphens=True) if long else [line]
    return lines


class Listing:
    """A table: columns where the window has room for every word, and else one block a row, each cell with its heading.

    Args:
        headings: of the columns; all empty for a table without a line of headings.
        numbers: headings of columns whose cells are set flush right.
        indent: columns left free on the left.
    """

    def __init__(self, *headings: str, numbers: Collection[str] = (), indent: int = 0) -> None:
        self._headings, self._numbers, self._indent = headings, numbers, indent
        self._rows: list[tuple[Text, ...]] = []

    def add(self, *cells: str | Text | tuple[str, ...]) -> None:
        """One more row. A tuple is a cell of several lines; what a terminal would obey within a line is written out."""
        self._rows.append(tuple(_cell(cell) for cell in cells))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - self._indent
        widths = self._widths(room)
        for line in self._columns(widths) if widths else self._blocks(room):
            line.rstrip()
            yield Text.assemble(" " * self._indent, line, no_wrap=True, overflow="fold")

    def _widths(self, room: int) -> list[int]:
        """Width of each column, so that no word is broken; none where there is no room for that."""
        cells = list(zip(*([Text(heading) for heading in self._headings], *self._rows), strict=True))
        natural = [max(cell_len(line) for cell in column for line in _lines(cell)) for column in cells]
        words = [max((cell_len(word) for cell in column for word in cell.plain.split()), default=0) for column in cells]
        least = [min(full, max(word, _EASY_WIDTH)) for full, word in zip(natural, words, strict=True)]
        spare = room - sum(least) - _GAP * (len(least) - 1)
        if spare < 0:
            return []
        by_want = sorted(range(len(least)), key=lambda index: natural[index] - least[index])
        for place, index in enumerate(by_want):
            more = min(natural[index] - least[index], spare // (len(by_want) - place))
            least[index], spare = least[index] + more, spare - more
        return least

    def _columns(self, widths: list[int]) -> Iterator[Text]:
        """Rows side by side, each as many lines as its longest cell."""
        headings = tuple(Text(heading, style="bold") for heading in self._headings)
        for row in ([headings] if any(self._headings) else []) + self._rows:
            cells = (_set(cell, width) for cell, width in zip(row, widths, strict=True))
            for parts in zip_longest(*cells, fillvalue=Text()):
                line = Text()
                for heading, part, width in zip(self._headings, parts, widths, strict=True):
                    space = " " * (width - part.cell_len)
                    line.append_text(Text.assemble(space, part) if heading in self._numbers else part + Text(space))
                    line.append(" " * _GAP)
                yield line

    def _blocks(self, room: int) -> Iterator[Text]:
        """Rows one below the other: the first cell as a heading, each other cell beside the heading of its column."""
        label = min(max(map(cell_len, self._headings[1:]), default=0), room // 3)
        margin = label + _GAP if label else 0
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            yield from _set(Text(row[0].plain, style=row[0].style or "bold"), room)
            for heading, cell in zip(self._headings[1:], row[1:], strict=True):
                beside = _set(cell, room - margin - _GAP) if cell.plain else []
                named = wrapped(heading, max(label, 1)) if cell.plain else []
                for name, part in zip_longest(named, beside, fillvalue=""):
                    yield Text.assemble(" " * _GAP, f"{name:<{margin}}", part)


def _cell(cell: str | Text | tuple[str, ...]) -> Text:
    if isinstance(cell, Text):
        return Text(plain(cell.plain), style=cell.style)
    return Text("\n".join(map(plain, cell if isinstance(cell, tuple) else (cell,))))


def _lines(cell: Text) -> Iterator[str]:
    yield from cell.plain.split("\n")


def _set(cell: Text, width: int) -> list[Text]:
    """The lines of a cell in a column."""
    lines = [part for line in _lines(cell) for part in wrapped(line, max(width, 1)) or [""]]
    return [Text(line, style=cell.style) for line in lines]
