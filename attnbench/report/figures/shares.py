"""Shares of the terms of a law along one axis."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from attnbench.law import LEADING_SHARE
from attnbench.report.data.columns import SHARE, TERM
from attnbench.report.data.labels import distinguishing_axes, size_labels
from attnbench.report.data.shares import Shares
from attnbench.report.figures.canvas.palette import INK, PAPER, SOFT
from attnbench.report.figures.canvas.panel import DASHES, by_rank, legend, panel, size_axis
from attnbench.report.figures.canvas.svg import tell

#: One mark for each term, as `DASHES` has one dash.
_MARKS = ("o", "s", "^", "D")


def term_shares(data: Shares) -> Figure:
    """Counted shares as lines, fitted ones as marks, and the share that a claim has to carry."""
    with panel(3.0) as (figure, axes):
        axes.set_xscale("log")
        axes.axhline(LEADING_SHARE, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        for kind, name in enumerate(data.terms):
            for colour, line in by_rank(data.curves[data.curves[TERM] == name]):
                axes.plot(line[data.axis], line[SHARE], color=colour, linewidth=1.2, linestyle=DASHES[kind])
            for colour, line in by_rank(data.points[data.points[TERM] == name]):
                _draw_marks(axes, line, data, (_MARKS[kind], colour))
        axes.set_ylim(min(0.0, float(data.points[SHARE].min())) - 0.03, 1.03)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, LEADING_SHARE, 1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "" if value == 1 else f"{100 * value:.0f} %"))
        size_axis(axes, data.points[data.axis], data.axis)
        axes.set_title("share of each term")
        axes.grid(axis="y")
        handles = [_handle(kind, name, data) for kind, name in enumerate(data.terms)]
        legend(axes, below=figure, handles=handles, ncols=2, labelspacing=None)
    return figure


def _draw_marks(axes: Axes, line: pd.DataFrame, data: Shares, drawn: tuple[str, str]) -> None:
    mark, colour = drawn
    style: dict[str, Any] = {"s": 24, "color": colour, "edgecolor": PAPER, "linewidth": 0.6, "zorder": 3}
    points = axes.scatter(line[data.axis], line[SHARE], marker=mark, **style)
    whose = "the fitted time" if data.fitted else "the counted work"
    places = size_labels(line, distinguishing_axes(data.points))
    tell(
        points,
        [
            f"{place}: {name} carries {100 * share:.1f} % of {whose}"
            for place, name, share in zip(places, line[TERM], line[SHARE], strict=True)
        ],
    )


def _handle(kind: int, name: str, data: Shares) -> Line2D:
    dash: Any = DASHES[kind] if len(data.curves) else ""
    style: dict[str, Any] = {"color": SOFT, "marker": _MARKS[kind], "markersize": 5, "linewidth": 1.2}
    return Line2D([], [], linestyle=dash, label=name, **style)
