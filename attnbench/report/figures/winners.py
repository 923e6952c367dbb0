"""Who wins where, as a map over length and width: areas with their names, their doubts and their boundary."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attnbench.report import words
from attnbench.report.figures.canvas.palette import INK, PAPER, SERIES, SOFT
from attnbench.report.figures.canvas.panel import SMALL, legend, panel
from attnbench.report.figures.canvas.svg import printable

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Corner = tuple[int, int]

#: Points that a letter takes in a label, across and from line to line.
_LETTER, _LINE = 5.6, 12.5
#: Points across and up that a map has for its cells, about.
_ROOM = (285.0, 190.0)
_LONGEST_LINE = 16
#: Colours in an order in which neighbours in the list look less alike.
_FILLS = (SERIES[0], SERIES[4], SERIES[2], SERIES[5], SERIES[1], SERIES[3])


@dataclass(frozen=True)
class WinnerArea:
    """What one winner holds: its key letter, its name, its words in the legend, and its cells, widths × lengths.

    The `rank` chooses its colour; without one it is of those that have too few cells for a colour of their own.
    """

    letter: str
    name: str
    legend: str
    cells: Flags
    rank: int | None


@dataclass(frozen=True)
class WinnerMap:
    """What one map shows.

    Attributes:
        title: above it.
        lengths, widths: sizes of its cells.
        areas: those of the winners.
        close: cells that are too close to call.
        boundary: places (n, d) of equal counted work, and the words for it.
        complete: cells in which every layer was compared.
        measured: ends of n and of d within which every layer was measured; None where there is no such place.
    """

    title: str
    lengths: tuple[int, ...]
    widths: tuple[int, ...]
    areas: tuple[WinnerArea, ...]
    close: Flags
    boundary: tuple[tuple[float, float], ...]
    boundary_name: str
    complete: Flags
    measured: tuple[tuple[int, int], tuple[int, int]] | None


def winner_map(data: WinnerMap) -> Figure:
    """The map, log–log; each area with its letter, and with its name where that has room."""
    handles: list[Any] = []
    lines = len(data.areas) + sum((data.close.any(), bool(data.boundary), bool(data.measured), _partly(data)))
    with panel(3.75 + 0.2 * lines) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        edges = _edges(data.lengths), _edges(data.widths)
        axes.set(xlim=(edges[0][0], edges[0][-1]), ylim=(edges[1][0], edges[1][-1]))
        for area in data.areas:
            axes.add_patch(PathPatch(_outline(area.cells, edges), **_fill(area.rank), edgecolor=PAPER, linewidth=1.6))
            handles.append(Patch(**_fill(area.rank), label=printable(f"{area.letter}  {area.legend}")))
        if data.close.any():
            hatch: dict[str, Any] = {"facecolor": "none", "edgecolor": SOFT, "linewidth": 0, "hatch": "////"}
            axes.add_patch(PathPatch(_outline(data.close, edges), **hatch))
            handles.append(Patch(**hatch, label="too close to call"))
        handles += _lines(axes, data)
        for area in data.areas:
            _name(axes, area, data)
        _ticks(axes, data)
        axes.set_title(data.title)
        legend(axes, below=figure, handles=handles, handlelength=2.2, labelspacing=0.3)
    return figure


def _fill(rank: int | None) -> dict[str, Any]:
    return {"facecolor": SOFT if rank is None else _FILLS[rank % len(_FILLS)], "alpha": 0.16 if rank is None else 0.38}


def _lines(axes: Axes, data: WinnerMap) -> Iterator[Line2D]:
    """The boundary, where all layers are compared, and the box in which all were measured."""
    if _partly(data):
        edge: dict[str, Any] = {"edgecolor": SOFT, "linewidth": 1.0}
        edges = _edges(data.lengths), _edges(data.widths)
        axes.add_patch(PathPatch(_outline(data.complete, edges), facecolor="none", zorder=3, **edge))
        yield Line2D([], [], color=SOFT, linewidth=1.0, label="all layers are compared within")
    if data.measured:
        (left, right), (low, high) = data.measured
        box: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (1, 1.6))}
        axes.add_patch(Rectangle((left, low), right - left, high - low, fill=False, zorder=3, **box))
        yield Line2D([], [], label="measured for all of them", **box)
    if data.boundary:
        line: dict[str, Any] = {"color": INK, "linewidth": 1.5, "linestyle": (0, (6, 3))}
        axes.plot(*zip(*data.boundary, strict=True), zorder=3, **line)
        yield Line2D([], [], label=printable(data.boundary_name), **line)


def _partly(data: WinnerMap) -> bool:
    """Whether all layers are compared in some of the cells only."""
    return bool(data.complete.any() and not data.complete.all())


def _ticks(axes: Axes, data: WinnerMap) -> None:
    for axis, sizes, most in ((axes.xaxis, data.lengths, 7), (axes.yaxis, data.widths, 7)):
        powers = [size for size in sizes if size & (size - 1) == 0]
        step = math.ceil(len(powers) / most)
        axis.set_major_locator(FixedLocator([float(size) for size in powers[::step]]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: str(round(value))))
        axis.set_minor_locator(NullLocator())
    axes.set(xlabel=words.axis_phrase("n"), ylabel=words.axis_phrase("d"))


def _edges(sizes: Sequence[int]) -> list[float]:
    """Where cells end: halfway to the next, on a logarithmic scale."""
    middles = [math.sqrt(low * high) for low, high in pairwise(sizes)]
    return [sizes[0] ** 2 / middles[0], *middles, sizes[-1] ** 2 / middles[-1]]


def _outline(cells: Flags, edges: tuple[list[float], list[float]]) -> Path:
    """The outline of some cells as closed loops: edges that two of them share are not part of it."""
    sides: set[tuple[Corner, Corner]] = set()
    for row, column in zip(*np.nonzero(cells), strict=True):
        r, c = int(row), int(column)
        corners = [(r, c), (r, c + 1), (r + 1, c + 1), (r + 1, c)]
        for side in zip(corners, corners[1:] + corners[:1], strict=True):
            if side[::-1] in sides:
                sides.remove(side[::-1])
            else:
                sides.add(side)
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for loop in _loops(sides):
        points += [(edges[0][c], edges[1][r]) for r, c in [*loop, loop[0]]]
        codes += [Path.MOVETO, *[Path.LINETO] * (len(loop) - 1), Path.CLOSEPOLY]
    return Path(points, codes)


def _loops(sides: set[tuple[Corner, Corner]]) -> Iterator[list[Corner]]:
    """Directed sides, joined end to end; corners in the middle of a straight line are left out."""
    ahead: dict[Corner, list[Corner]] = defaultdict(list)
    for start, end in sorted(sides):
        ahead[start].append(end)
    for start in sorted(ahead):
        while ahead[start]:
            loop, here = [start], ahead[start].pop()
            while here != start:
                loop.append(here)
                here = ahead[here].pop()
            yield [
                corner
                for before, corner, after in zip([loop[-1], *loop], loop, [*loop[1:], loop[0]], strict=False)
                if not (before[0] == corner[0] == after[0] or before[1] == corner[1] == after[1])
            ]


def _name(axes: Axes, area: WinnerArea, data: WinnerMap) -> None:
    """The name where there is most room for it; where there is none, the letter; else only the legend has it."""
    lines = _broken(f"{area.letter}  {area.name}")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "color": INK, "zorder": 5}
    halo: dict[str, Any] = {"facecolor": PAPER, "alpha": 0.72, "edgecolor": "none", "boxstyle": "round,pad=0.12"}
    for text in ("\n".join(lines), area.letter):
        rows = text.split("\n")
        size = max(map(len, rows)) * _LETTER, len(rows) * _LINE
        room, (row, column) = _roomiest(area.cells, size)
        if room >= 1:
            place = (_middle(data.lengths, column), _middle(data.widths, row))
            axes.text(
                *place, printable(text) if len(rows) == 1 else "\n".join(map(printable, rows)), bbox=halo, **style
            )
            return


def _broken(name: str) -> list[str]:
    """A name over several lines, broken behind hyphens and blanks."""
    lines = [""]
    for part in name.replace("-", "-\0").replace(" ", " \0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST_LINE:
            lines.append("")
        lines[-1] += part
    return [line.strip() for line in lines]


def _roomiest(cells: Flags, size: tuple[float, float]) -> tuple[float, tuple[float, float]]:
    """Where a label of `size` (in points) has most room, in rows and columns, and how many times it fits there."""
    height, width = cells.shape
    cell = _ROOM[0] / width, _ROOM[1] / height
    rows = max(1, math.ceil(size[1] / cell[1]))
    best = (0.0, (0.0, 0.0))
    for row in range(height - rows + 1):
        for start, end in _runs(np.logical_and.reduce(cells[row : row + rows])):
            centred = 1e-3 * (end - start) * (1 - abs((row + rows / 2) / height - 0.5))
            room = (end - start) * cell[0] / size[0] + centred
            best = max(best, (room, (row + (rows - 1) / 2, (start + end - 1) / 2)))
    return best


def _runs(free: Flags) -> list[tuple[int, int]]:
    """Stretches of True: first, and one past the last."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(int)))
    return [(int(start), int(end)) for start, end in steps.reshape(-1, 2)]


def _middle(sizes: Sequence[int], place: float) -> float:
    return float(np.exp(np.interp(place, np.arange(len(sizes)), np.log(sizes))))
