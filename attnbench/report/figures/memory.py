"""The figure of measured memory: what the allocator and the process saw, against what was counted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attnbench import units
from attnbench.report import words
from attnbench.report.data.columns import LINE, RANK
from attnbench.report.data.labels import distinguishing_axes
from attnbench.report.figures.canvas import tips
from attnbench.report.figures.canvas.palette import INK, PAPER, series_colour
from attnbench.report.figures.canvas.panel import by_rank, label_line, panel, size_axis
from attnbench.report.figures.canvas.svg import tell

_MAX_TICKS = 6


def memory_growth(points: pd.DataFrame, axis: str, slope: float | None, ax: Axes | None = None) -> Figure:
    """Bytes against one axis, log–log: allocated (dots), resident (triangles), counted (lines), the claimed slope.

    Args:
        points: one row a trial: sizes, `BYTES`, `LINE` and `RANK`.
        axis: the axis.
        slope: what the claim says, if it says one thing.
        ax: where to draw, instead of in a figure of its own.
    """
    with panel(3.9, ax) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        names = distinguishing_axes(points)
        for colour, line in by_rank(points):
            axes.plot(line[axis], line["peak_bytes"], color=colour, linewidth=1.4, zorder=2)
            _draw_measured(axes, line, (axis, colour), names)
        if slope is not None:
            _draw_slope(axes, points, axis, slope)
        size_axis(axes, points[axis], axis)
        _bytes_axis(axes)
        axes.set_title("memory of one call")
        _label(axes, points, axis, int(points[RANK].max()) + 1)
    return figure


def _draw_measured(axes: Axes, line: pd.DataFrame, drawn: tuple[str, str], names: list[str]) -> None:
    """What the process grew by, and what the allocator handed out, each point with its text."""
    axis, colour = drawn
    grown = line[line["resident_bytes"].gt(0)]
    style: dict[str, Any] = {"s": 26, "marker": "^", "facecolor": PAPER, "edgecolor": colour, "zorder": 3}
    tell(
        axes.scatter(grown[axis], grown["resident_bytes"], **style),
        tips.weighed(grown, names, "resident_bytes", "by which the process grew"),
    )
    style = {"s": 30, "color": colour, "edgecolor": PAPER, "linewidth": 0.9, "zorder": 4}
    tell(
        axes.scatter(line[axis], line["allocated_bytes"], **style),
        tips.weighed(line, names, "allocated_bytes", "allocated"),
    )


def _draw_slope(axes: Axes, points: pd.DataFrame, axis: str, slope: float) -> None:
    """A dashed guide above all points: only its slope has a meaning."""
    low, high = float(points[axis].min()), float(points[axis].max())
    top = float((points["allocated_bytes"] * (high / points[axis]) ** slope).max()) * 1.9
    axes.plot([low, high], [top * (low / high) ** slope, top], color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)


def _bytes_axis(axes: Axes) -> None:
    """Ticks at powers of two, as many as have room."""
    low, high = (math.log2(end) for end in axes.get_ylim())
    step = max(1, math.ceil((high - low) / _MAX_TICKS))
    first = math.ceil(low / step) * step
    axes.yaxis.set_major_locator(FixedLocator([2.0**power for power in range(first, math.floor(high) + 1, step)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.shorter(units.nbytes(value))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def _label(axes: Axes, points: pd.DataFrame, axis: str, count: int) -> None:
    """The other sizes at the right end of each line, from the top, where there is room."""
    low, high = axes.get_ylim()
    room, last = 0.066 * math.log(high / low), math.inf
    ends = points.sort_values(axis).groupby(RANK).last().sort_values("allocated_bytes", ascending=False)
    for rank, row in ends.iterrows():
        height = math.log(row["allocated_bytes"])
        if row[LINE] and last - height >= room:
            label_line(axes, (row[axis], row["allocated_bytes"]), str(row[LINE]), series_colour(int(str(rank)), count))
            last = height
