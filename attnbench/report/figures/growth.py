"""How time grows along one axis: the points, the law, its slopes, and the ways to fit it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from attnbench.law import Estimate
from attnbench.report import words
from attnbench.report.data.columns import INSIDE, LINE, PART, RANK, Floats
from attnbench.report.data.growth import Growth, LocalExponents
from attnbench.report.data.labels import distinguishing_axes
from attnbench.report.figures.canvas import tips
from attnbench.report.figures.canvas.palette import BAND, INK, PAPER, SERIES, SOFT, series_colour
from attnbench.report.figures.canvas.panel import (
    SMALL,
    at_least,
    by_rank,
    dots,
    label_line,
    note,
    panel,
    seconds_axis,
    size_axis,
)
from attnbench.report.figures.canvas.svg import tell


def time_growth(data: Growth, ax: Axes | None = None) -> Figure:
    """Seconds against one axis, log–log: points, intervals, the fitted law, its terms, and the claimed slope."""
    with panel(3.9, ax) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        _draw_window(axes, data)
        _draw_curves(axes, data)
        _draw_points(axes, data)
        _draw_claimed_slope(axes, data)
        size_axis(axes, data.points[data.axis], data.axis)
        seconds_axis(axes)
        axes.set_title("time per call")
        _label_lines(axes, data)
    return figure


def local_exponents(data: LocalExponents, ax: Axes | None = None) -> Figure:
    """Slopes between neighbouring sizes, over the fitted interval and the claim."""
    with panel(2.7, ax) as (figure, axes):
        axes.set_xscale("log")
        if data.exponent:
            axes.axhspan(data.exponent.estimate.low, data.exponent.estimate.high, color=BAND, linewidth=0, zorder=0)
            axes.axhline(data.exponent.estimate.value, color=SOFT, linewidth=1, zorder=1)
        if data.slope is not None:
            axes.axhline(data.slope, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        for colour, curve in by_rank(data.curves):
            axes.plot(curve["size"], curve["exponent"], color=colour, linewidth=1.2)
        # Where the law's own slopes are drawn, a dot belongs on its line.
        placed = dodged(data.points, "size", data.sizes) if data.curves.empty else data.points
        for colour, line in by_rank(placed):
            dots(axes, (line["size"], line["exponent"]), colour, tips.sloped(line, data.axis, LINE))
        axes.set_xlim(data.sizes[0] / 1.06, data.sizes[-1] * 1.06)
        size_axis(axes, data.sizes, data.axis)
        _exponent_limits(axes, data)
        axes.set_title("local exponent")
        axes.grid(axis="y")
    return figure


def specification_curve(
    axis: str, exponents: Sequence[float], estimate: Estimate | None, ax: Axes | None = None
) -> Figure:
    """The exponent under every admissible way to fit the same data, sorted, over the reported interval.

    Without an `estimate` the values are what a law of several terms leaves over: zero is then the mark.
    """
    with panel(1.9, ax) as (figure, axes):
        if estimate:
            axes.axhspan(estimate.low, estimate.high, color=BAND, linewidth=0, zorder=0)
        axes.axhline(estimate.value if estimate else 0.0, color=SOFT, linewidth=1, zorder=1)
        places = np.arange(1, len(exponents) + 1)
        points = axes.scatter(
            places, sorted(exponents), s=22, color=SERIES[2], edgecolor=PAPER, linewidth=0.5, zorder=3
        )
        tell(points, map(words.exponent, sorted(exponents)))
        at_least(axes, 0.1, ticks=3)
        axes.set_title(f"exponent of {axis}" if estimate else f"left over along {axis}")
        axes.set_xlabel("ways to fit, sorted")
        axes.xaxis.set_major_locator(NullLocator())
        axes.grid(axis="y")
    return figure


def _draw_curves(axes: Axes, data: Growth) -> None:
    whole = data.curves[data.curves[PART] == ""]
    for colour, curve in by_rank(whole):
        axes.plot(curve[data.axis], curve["seconds"], color=colour, linewidth=1.5, zorder=2)
    largest = data.curves[data.curves[RANK] == data.curves[RANK].max()]
    total = largest[largest[PART] == ""]["seconds"].to_numpy()
    floor = data.points["seconds"].min() / 2
    for name, term in largest[largest[PART] != ""].groupby(PART, sort=False):
        seen = term["seconds"] > floor
        axes.plot(term[data.axis][seen], term["seconds"][seen], color=SOFT, linewidth=1.2, linestyle=(0, (1, 1.6)))
        _label_term(axes, (data.axis, str(name)), term[seen], total[seen])


def _label_term(axes: Axes, names: tuple[str, str], term: pd.DataFrame, total: Floats) -> None:
    """The term's text where its line is farthest from the whole, below it."""
    if term.empty:
        return
    farthest = int(np.argmax(total / term["seconds"].to_numpy()))
    row = term.iloc[farthest]
    note(axes, (row[names[0]], row["seconds"]), names[1], (6 if farthest < len(term) / 2 else -2, -4))


def _draw_points(axes: Axes, data: Growth) -> None:
    """Filled inside the window of the law, hollow beyond it."""
    names = distinguishing_axes(data.points)
    for colour, line in by_rank(data.points):
        axes.vlines(
            line[data.axis], line["seconds_low"], line["seconds_high"], color=colour, linewidth=1.1, alpha=0.6, zorder=2
        )
        for part, face, edge in ((line[line[INSIDE]], colour, PAPER), (line[~line[INSIDE]], PAPER, colour)):
            if part.empty:
                continue
            style: dict[str, Any] = {"s": 30, "color": face, "edgecolor": edge, "linewidth": 0.8, "zorder": 3}
            tell(axes.scatter(part[data.axis], part["seconds"], **style), tips.timed(part, names))


def _draw_window(axes: Axes, data: Growth) -> None:
    """A band behind the sizes that the law is read from, where trials lie beyond them."""
    if data.window is None:
        return
    axes.axvspan(data.window[0] / 1.1, data.window[1] * 1.1, color=BAND, alpha=0.55, linewidth=0, zorder=0)
    style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "fontsize": SMALL, "color": SOFT, "va": "bottom"}
    axes.text(math.sqrt(data.window[0] * data.window[1]), 0.015, "window", ha="center", **style)


def _draw_claimed_slope(axes: Axes, data: Growth) -> None:
    """A dashed guide above all points: only its slope has a meaning."""
    inside = data.points[data.points[INSIDE]]
    if data.slope is None or inside[data.axis].nunique() < 2:
        return
    sizes = np.array([inside[data.axis].min(), inside[data.axis].max()], dtype=np.float64)
    guide = float((inside["seconds"] * (sizes[1] / inside[data.axis]) ** data.slope).max()) * 1.9
    heights = guide * (sizes / sizes[1]) ** data.slope
    axes.plot(sizes, heights, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
    text = f"claim: {words.pretty(f'{data.axis}**{words.power(data.slope)}')}" if data.slope else "claim: constant"
    note(axes, (float(np.sqrt(sizes.prod())), float(np.sqrt(heights.prod()))), text, (-6, 5))


def _label_lines(axes: Axes, data: Growth) -> None:
    """The other sizes at the right end of each line, where there is room."""
    ends = data.points.sort_values(data.axis).groupby(RANK).last().sort_values("seconds", ascending=False)
    low, high = axes.get_ylim()
    room = 0.066 * math.log(high / low)
    last = math.inf
    for rank, row in ends.iterrows():
        height = math.log(row["seconds"])
        # A line that ends early has others passing by on its right, unless it is the highest.
        clear = last == math.inf or row[data.axis] == ends[data.axis].max()
        if row[LINE] and clear and last - height >= room:
            colour = series_colour(int(str(rank)), len(ends))
            label_line(axes, (row[data.axis], row["seconds"]), str(row[LINE]), colour)
            last = height


def dodged(points: pd.DataFrame, column: str, sizes: Sequence[int]) -> pd.DataFrame:
    """Points of different lines a little apart, so that equal values do not hide one another."""
    count = points[RANK].nunique()
    step = 0.05 * math.log(sizes[-1] / sizes[0]) / max(count - 1, 1)
    shifts = points[RANK].rank(method="dense") - (count + 1) / 2
    return points.assign(**{column: points[column] * np.exp(step * shifts)})


def _exponent_limits(axes: Axes, data: LocalExponents) -> None:
    if data.slope is not None:
        axes.update_datalim([(axes.get_xlim()[0], data.slope)])
    axes.margins(y=0.12)
    axes.autoscale_view(scalex=False)
    at_least(axes, 0.5)
