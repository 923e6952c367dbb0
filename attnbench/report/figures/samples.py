"""Timed blocks in the order in which they were taken, a row for each trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from attnbench import units
from attnbench.law import Verdict
from attnbench.report.data.samples import Strip, Strips
from attnbench.report.figures.canvas import tips
from attnbench.report.figures.canvas.palette import BAND, HAIR, INK, PAPER, SERIES, VERDICT_COLOURS
from attnbench.report.figures.canvas.panel import legend, panel
from attnbench.report.figures.canvas.svg import tell

_DOUBT, _ALARM = VERDICT_COLOURS[Verdict.INCONCLUSIVE], VERDICT_COLOURS[Verdict.REFUTED]
#: Label of an outlier → how it is drawn: another shape, and another colour.
_STYLES: dict[str, dict[str, Any]] = {
    "": {"s": 9, "marker": "o", "color": SERIES[2], "linewidth": 0},
    "mild": {"s": 22, "marker": "D", "facecolor": PAPER, "edgecolor": _DOUBT, "linewidth": 1.1},
    "severe": {"s": 28, "marker": "x", "color": _ALARM, "linewidth": 1.4},
}
_NAMES = {"": "block", "mild": "mild outlier", "severe": "severe outlier"}
#: Half the height of a row, of a step from row to row.
_HALF = 0.42


def sample_strips(data: Strips) -> Figure:
    """Each block over the median of its trial, each trial a row of its own."""
    rows, reach = data.rows, data.reach
    with panel(1.25 + 0.4 * len(rows)) as (figure, axes):
        _draw_visits(axes, rows)
        levels = [place - _height(row.location, reach) for place, row in enumerate(rows)]
        lengths = [len(row.visits) for row in rows]
        level = axes.hlines(levels, 0, lengths, color=INK, linewidth=1.1, zorder=2, label="what the law reads")
        tell(level, [f"{row.sizes}: the law reads {tips.share(row.location)}" for row in rows])
        for kind, style in _STYLES.items():
            _draw_blocks(axes, rows, reach, (kind, style))
        axes.set(xlim=(0, max(lengths)), ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticks(range(len(rows)), [row.sizes for row in rows])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.xaxis.set_major_locator(FixedLocator([number + 0.5 for number in range(max(lengths))]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _visit_name(value, max(lengths))))
        axes.set_title(f"blocks about their median, rows ±{100 * reach:.0f} %")
        axes.set_xlabel("visits in the order they were made")
        legend(axes, below=figure, ncols=2, handlelength=None, labelspacing=None)
    return figure


def _draw_visits(axes: Axes, rows: Sequence[Strip]) -> None:
    """Every other process shaded, and a line where a visit ends."""
    for place, row in enumerate(rows):
        processes = list(dict.fromkeys(row.blocks["process"]))
        shaded = [
            (number, 1)
            for number, process in zip(row.visits["visit"], row.visits["process"], strict=True)
            if processes.index(process) % 2
        ]
        axes.broken_barh(shaded, (place - _HALF, 2 * _HALF), facecolor=BAND, linewidth=0, zorder=0)
        ends = range(len(row.visits) + 1)
        axes.vlines(ends, place - _HALF, place + _HALF, color=HAIR, linewidth=0.8, zorder=1)


def _draw_blocks(axes: Axes, rows: Sequence[Strip], reach: float, drawn: tuple[str, dict[str, Any]]) -> None:
    kind, style = drawn
    parts = [row.blocks[row.blocks["outlier"] == kind] for row in rows]
    if not sum(map(len, parts)):
        return
    across = np.concatenate([part["place"] for part in parts])
    down = np.concatenate([place - _height(part["apart"], reach) for place, part in enumerate(parts)])
    texts = [text for row, part in zip(rows, parts, strict=True) for text in _texts(row.sizes, part)]
    tell(axes.scatter(across, down, label=_NAMES[kind], clip_on=False, zorder=3, **style), texts)


def _texts(sizes: str, blocks: pd.DataFrame) -> list[str]:
    return [
        f"{sizes}, round {row['round']}, process {row['process']}, block {row['block']}: "
        f"{units.seconds(row['seconds'])}, {tips.share(row['apart'])}"
        + (f", {_NAMES[row['outlier']]}" if row["outlier"] else "")
        for row in blocks.to_dict("records")
    ]


def _height(apart: Any, reach: float) -> Any:
    """How far above the middle of its row something stands."""
    return np.clip(apart, -reach, reach) / reach * _HALF


def _visit_name(place: float, count: int) -> str:
    """Visits counted from 1; not all of many."""
    number = round(place + 0.5)
    return str(number) if count <= 12 or number % 5 == 0 else ""
