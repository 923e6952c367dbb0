"""Where layers change places: the length n* at each width, by the clock and by counted operations, and the times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from attnbench.fitting.predict.crossover import Crossover
from attnbench.report import words
from attnbench.report.figures.canvas.lines import NamedLine
from attnbench.report.figures.canvas.palette import INK, PAPER, SERIES, SOFT, series_colour
from attnbench.report.figures.canvas.panel import DASHES, legend, panel, seconds_axis, short, size_axis

_DASHED = (0, (5, 3))


def crossover_lengths(crossover: Crossover, ax: Axes | None = None) -> Figure:
    """The length at which two layers change places against the width, log–log; an open end of a band has no bar end."""
    with panel(3.6, ax) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        widths = [row.d for row in crossover.rows]
        _draw_clock(axes, crossover)
        counted = [(row.d, row.operations) for row in crossover.rows if row.operations is not None]
        if counted:
            axes.plot(*zip(*counted, strict=True), color=INK, linewidth=1.1, linestyle=_DASHED, label="by operations")
        size_axis(axes, widths, "d")
        axes.set_xlim(min(widths) / 1.2, max(widths) * 1.2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel(words.axis_phrase("n"))
        axes.set_title(_title(crossover), parse_math=False)
        axes.grid(axis="y")
        legend(axes, below=None if ax else figure)
    return figure


def times_with_crossovers(
    title: str, lines: Sequence[NamedLine], crossings: Mapping[str, tuple[float, float]]
) -> Figure:
    """Seconds against n, log–log, the baseline first and thick; a ring where another line crosses it."""
    with panel(3.9 + 0.18 * len(lines)) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        for rank, line in enumerate(lines):
            style: dict[str, Any] = {
                "color": series_colour(rank, len(lines)),
                "linestyle": DASHES[rank % len(DASHES)],
            }
            if rank == 0:
                style |= {"color": INK, "linewidth": 2.6}
            axes.plot(*zip(*line.points, strict=True), label=short(line.label), **{"linewidth": 1.4} | style)
            if line.label in crossings:
                ring: dict[str, Any] = {"s": 44, "facecolor": PAPER, "edgecolor": style["color"], "linewidth": 1.6}
                axes.scatter(*crossings[line.label], zorder=4, **ring)
        axes.set_title(title)
        size_axis(axes, [round(n) for line in lines for n, _ in line.points], "n")
        seconds_axis(axes)
        legend(axes, below=figure)
    return figure


def _title(crossover: Crossover) -> str:
    """Which of the two is faster above the line, where that is one of them."""
    one, other = map(short, crossover.layers)
    leaders = {row.faster for row in crossover.rows if row.clock}
    if len(leaders) != 1:
        return f"{one}, {other}:\nthe length at which they change places"
    slower = one if leaders == {crossover.layers[1]} else other
    return f"above the line {short(leaders.pop())} is faster\nthan {slower}"


def _draw_clock(axes: Axes, crossover: Crossover) -> None:
    """Dots with their bands; a dot beyond the windows is hollow."""
    for row in crossover.rows:
        if row.clock is None or row.within is None:
            continue
        low, high = max(row.clock.low, row.within[0]), min(row.clock.high, row.within[1])
        axes.vlines(row.d, low, high, color=SERIES[2], linewidth=1.6, alpha=0.6, zorder=2)
        face = SERIES[2] if row.extrapolation <= 1 else "none"
        axes.scatter(row.d, row.clock.value, s=34, facecolor=face, edgecolor=SERIES[2], linewidth=1.2, zorder=3)
    crossings = [(row.d, row.clock.value) for row in crossover.rows if row.clock]
    line = zip(*crossings, strict=True) if crossings else ([], [])
    axes.plot(*line, color=SERIES[2], linewidth=1.2, label="by the clock")
    if not crossings and not any(row.operations for row in crossover.rows):
        axes.set_ylim(1, 10)
        axes.text(0.5, 0.5, "they do not cross", transform=axes.transAxes, ha="center", color=SOFT)
    elif math.isclose(*np.log(axes.get_ylim()), abs_tol=1e-9):
        axes.margins(y=0.5)
