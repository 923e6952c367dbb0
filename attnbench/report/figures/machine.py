"""What the machine did: its rate over the sizes of a layer, and its steadiness through the run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from attnbench import units
from attnbench.law import Verdict
from attnbench.report import words
from attnbench.report.data.machine import DRIFT_LIMIT, RateMap
from attnbench.report.figures.canvas.palette import BAND, ON_DARK, ON_LIGHT, PAPER, SERIES, VERDICT_COLOURS
from attnbench.report.figures.canvas.panel import COLOURS, SMALL, panel, readable_on
from attnbench.report.figures.canvas.svg import tell


def rate_map(data: RateMap, ax: Axes | None = None) -> Figure:
    """Achieved rate over sequence length and hidden size, the window of the law outlined."""
    with panel(0.95 + 0.42 * len(data.rates), ax) as (figure, axes):
        table = data.rates
        rates = np.ma.masked_invalid(table.to_numpy(dtype=np.float64))
        gaps: dict[str, Any] = {"linewidth": 0.8, "edgecolor": PAPER}
        mesh = axes.pcolormesh(rates, cmap=COLOURS, vmin=0, vmax=_full_scale(table), **gaps)
        tell(mesh, _cells(table))
        axes.invert_yaxis()
        _write_rates(axes, table)
        _outline_window(axes, data)
        axes.set(xlabel=words.axis_phrase("n"), ylabel="")
        axes.set_title(words.axis_phrase("d"))
        axes.set_yticks(np.arange(len(table.index)) + 0.5, [str(d) for d in table.index])
        axes.set_xticks(np.arange(len(table.columns)) + 0.5, [str(n) for n in table.columns])
        axes.tick_params(length=0)
        sns.despine(ax=axes, left=True, bottom=True)
    return figure


def steadiness(references: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """The reference kernel through the run, against its median."""
    with panel(2.2, ax) as (figure, axes):
        axes.axhspan(0, DRIFT_LIMIT, color=BAND, linewidth=0, zorder=0)
        late = references["ratio"] > DRIFT_LIMIT
        for part, colour in ((references[~late], SERIES[2]), (references[late], VERDICT_COLOURS[Verdict.INCONCLUSIVE])):
            style: dict[str, Any] = {"s": 16, "color": colour, "edgecolor": PAPER, "linewidth": 0.4, "zorder": 3}
            tell(axes.scatter(part["started"], part["ratio"], **style), _moments(part))
        axes.set_ylim(min(0.9, references["ratio"].min() - 0.02), max(1.25, references["ratio"].max() * 1.05))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.shorter(units.seconds(value))))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{words.exponent(value)}×"))
        axes.set_title("reference kernel, against its median")
        axes.set_xlabel("since the run began")
        axes.grid(axis="y")
    return figure


def _moments(references: pd.DataFrame) -> list[str]:
    return [
        f"after {units.seconds(row['started'])}, round {row['round']}: {units.seconds(row['seconds'])}, "
        f"{words.exponent(row['ratio'])} times the median"
        for row in references.to_dict("records")
    ]


def _cells(table: pd.DataFrame) -> list[str]:
    """What each cell says, row by row."""
    rates = np.ndenumerate(table.to_numpy(dtype=np.float64))
    return [
        f"n={table.columns[column]}, d={table.index[row]}: "
        + (units.flops_per_second(float(rate)) if math.isfinite(rate) else "not measured")
        for (row, column), rate in rates
    ]


def _full_scale(table: pd.DataFrame) -> float:
    """The rate of the brightest colour, a little above the highest rate: the very end of the scale is glaring."""
    return 1.05 * float(np.nanmax(table.to_numpy(dtype=np.float64)))


def _write_rates(axes: Axes, table: pd.DataFrame) -> None:
    """The rate in each cell, without the unit that the caption gives."""
    if table.shape[1] > 8:
        return
    full = _full_scale(table)
    for (row, column), rate in np.ndenumerate(table.to_numpy(dtype=np.float64)):
        if math.isfinite(rate):
            text = units.flops_per_second(float(rate)).removesuffix("FLOP/s").rstrip()
            colour = readable_on(COLOURS(rate / full))
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL - 1, color=colour)


def _outline_window(axes: Axes, data: RateMap) -> None:
    spans = []
    for axis, sizes in (("n", data.rates.columns), ("d", data.rates.index)):
        low, high = data.window.get(axis, (-math.inf, math.inf))
        spans.append([place for place, size in enumerate(sizes) if low <= size <= high])
    columns, rows = spans
    if data.window and columns and rows:
        corner, width, height = (columns[0], rows[0]), len(columns), len(rows)
        for colour, line in ((ON_DARK, 4.5), (ON_LIGHT, 2.0)):
            outline = Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=line, clip_on=False)
            axes.add_patch(outline)
