"""How far trials lie from the fitted law, along one axis."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from attnbench.report.data.columns import HIGH, LOW, RESIDUAL
from attnbench.report.data.labels import distinguishing_axes
from attnbench.report.figures.canvas import tips
from attnbench.report.figures.canvas.palette import BAND, INK, SOFT
from attnbench.report.figures.canvas.panel import at_least, by_rank, dots, panel, size_axis
from attnbench.report.figures.growth import dodged


def residuals(points: pd.DataFrame, axis: str, noise: tuple[float, float] | None) -> Figure:
    """Measured over fitted, less one: points with intervals, their mean at each size, and the band of noise.

    Args:
        points: one row a trial: sizes, `RESIDUAL, LOW, HIGH`, `LINE` and `RANK`.
        axis: the axis.
        noise: the ends of the band, where there is one.
    """
    with panel(2.7) as (figure, axes):
        axes.set_xscale("log")
        if noise:
            axes.axhspan(*noise, color=BAND, linewidth=0, zorder=0)
        axes.axhline(0, color=SOFT, linewidth=1, zorder=1)
        sizes = sorted(points[axis].unique())
        names = distinguishing_axes(points)
        placed = dodged(points.assign(place=points[axis].astype("float64")), "place", sizes)
        for colour, line in by_rank(placed):
            axes.vlines(line["place"], line[LOW], line[HIGH], color=colour, linewidth=1.1, alpha=0.6, zorder=2)
            dots(axes, (line["place"], line[RESIDUAL]), colour, tips.residual(line.drop(columns="place"), names))
        middles = points.groupby(axis)[RESIDUAL].median().sort_index()
        axes.plot(middles.index, middles, color=INK, linewidth=1.3, zorder=4)
        size_axis(axes, sizes, axis)
        percent_axis(axes)
        axes.set_title("measured / fitted − 1")
        axes.grid(axis="y")
    return figure


def percent_axis(axes: Axes) -> None:
    """Ticks in per cent, with their sign; never so near one another that a small scatter looks like a large one."""
    at_least(axes, 0.1)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:+.0f} %".replace("-", "−") if value else "0 %")
    )
