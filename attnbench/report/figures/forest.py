"""The exponents of all layers along one axis, each beside its claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from attnbench.law import MARGIN, Estimate, Verdict
from attnbench.report import words
from attnbench.report.figures.canvas.palette import BAND, INK, PAPER, SOFT, VERDICT_COLOURS
from attnbench.report.figures.canvas.panel import SMALL, TEXT, panel, short
from attnbench.report.figures.canvas.svg import tell


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One exponent beside the others: whose it is, its estimate, and the claim's value and verdict."""

    label: str
    estimate: Estimate
    claimed: float | None
    verdict: Verdict


def forest(axis: str, rows: Sequence[ForestRow], ax: Axes | None = None) -> Figure:
    """Exponents along one axis over all layers: value, interval, claim and the margin around it."""
    with panel(0.75 + 0.56 * len(rows), ax) as (figure, axes):
        for place, row in enumerate(rows):
            _forest_row(axes, place, row)
        low, high = _forest_limits(rows)
        axes.set(xlim=(low, high), ylim=(len(rows) - 0.55, -0.72), yticks=[])
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.power(value)))
        axes.grid(axis="x")
        axes.set_xlabel(f"exponent of {words.axis_phrase(axis)}")
        sns.despine(ax=axes, left=True)
    return figure


def _forest_row(axes: Axes, place: int, row: ForestRow) -> None:
    estimate, colour = row.estimate, VERDICT_COLOURS[row.verdict]
    if row.claimed is not None:
        box = Rectangle((row.claimed - MARGIN, place - 0.14), 2 * MARGIN, 0.28, color=BAND, linewidth=0, zorder=1)
        axes.add_patch(box)
        axes.vlines(row.claimed, place - 0.2, place + 0.2, color=INK, linewidth=1.1, zorder=2)
    axes.hlines(place, estimate.low, estimate.high, color=colour, linewidth=2.4, zorder=3)
    numbers = f"{words.exponent(estimate.value)} {words.interval(estimate)}"
    claim = "" if row.claimed is None else f", claimed {words.power(row.claimed)}"
    point = axes.scatter([estimate.value], [place], s=42, color=colour, edgecolor=PAPER, linewidth=0.9, zorder=4)
    tell(point, [f"{row.label}: {numbers}{claim}, {words.VERDICT_WORDS[row.verdict].lower()}"])
    across = axes.get_yaxis_transform()
    axes.text(0, place - 0.36, short(row.label), transform=across, fontsize=TEXT, va="center")
    axes.text(1, place - 0.36, numbers, transform=across, fontsize=SMALL, va="center", ha="right", color=SOFT)


def _forest_limits(rows: Sequence[ForestRow]) -> tuple[float, float]:
    claimed = [row.claimed for row in rows if row.claimed is not None]
    lows = [row.estimate.low for row in rows] + [value - MARGIN for value in claimed]
    highs = [row.estimate.high for row in rows] + [value + MARGIN for value in claimed]
    pad = max(0.1, 0.06 * (max(highs) - min(lows)))
    return min(lows) - pad, max(highs) + pad
