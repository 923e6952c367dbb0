"""The figures of a report: small panels, each readable at the width of a telephone.

Every function takes one small table or tuple and returns a new matplotlib figure; nothing is kept between calls.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from attnbench import units
from attnbench.formula.monomial import superscript
from attnbench.law import MARGIN, Verdict
from attnbench.report import words
from attnbench.report.palette import (
    BAND,
    HAIR,
    INK,
    ON_DARK,
    ON_LIGHT,
    PAPER,
    SERIES,
    SOFT,
    VERDICT_COLOURS,
    series_colour,
)
from attnbench.report.slices import DRIFT_LIMIT, INSIDE, LINE, PART, RANK
from attnbench.report.svg import SETTINGS, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from attnbench.law import Estimate
    from attnbench.report.slices import Floats, Growth, LocalExponents, RateMap

#: Points (1/72 inch) become units of the viewBox: one panel is 342 units wide, a telephone's column.
_WIDTH = 4.75
_SMALL, _TEXT = 10.0, 11.5
_LONGEST_LABEL = 34
#: Gradients below this share of the largest would vanish in a float32 sum beside it, and are not drawn.
LEAST_NORM = 1e-8
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 2, 1, 2)))
_COLOURS = sns.color_palette("mako", as_cmap=True)
_STYLE = {
    "axes.edgecolor": HAIR,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.labelsize": _TEXT,
    "axes.linewidth": 0.9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.titlesize": _TEXT,
    "font.size": _TEXT,
    "grid.color": HAIR,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": HAIR,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": _SMALL,
    "ytick.color": HAIR,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": _SMALL,
}


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One exponent beside the others: whose it is, its estimate, and the claim's value and verdict."""

    label: str
    estimate: Estimate
    claimed: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line through points."""

    label: str
    points: tuple[tuple[float, float], ...]


def time_growth(data: Growth) -> Figure:
    """Seconds against one axis, log–log: points, intervals, the fitted law, its terms, and the claimed slope."""
    with panel(3.9) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        _draw_curves(axes, data)
        _draw_points(axes, data)
        _draw_claimed_slope(axes, data)
        size_axis(axes, data.points[data.axis], data.axis)
        _seconds_axis(axes)
        axes.set_title("time per call")
        _label_lines(axes, data)
    return figure


def local_exponents(data: LocalExponents) -> Figure:
    """Slopes between neighbouring sizes, over the fitted interval and the claim."""
    with panel(2.7) as (figure, axes):
        axes.set_xscale("log")
        if data.exponent:
            axes.axhspan(data.exponent.estimate.low, data.exponent.estimate.high, color=BAND, linewidth=0, zorder=0)
            axes.axhline(data.exponent.estimate.value, color=SOFT, linewidth=1, zorder=1)
        if data.slope is not None:
            axes.axhline(data.slope, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        _hued(sns.lineplot, data.curves, ("size", "exponent"), axes, linewidth=1.2)
        # Where the law's own slopes are drawn, a dot belongs on its line.
        dodged = _dodged(data.points, data.sizes) if data.curves.empty else data.points
        _hued(sns.scatterplot, dodged, ("size", "exponent"), axes, s=34, edgecolor=PAPER, linewidth=0.6, zorder=3)
        axes.set_xlim(data.sizes[0] / 1.06, data.sizes[-1] * 1.06)
        size_axis(axes, data.sizes, data.axis)
        _exponent_limits(axes, data)
        axes.set_title("local exponent")
        axes.grid(axis="y")
    return figure


def forest(axis: str, rows: Sequence[ForestRow]) -> Figure:
    """Exponents along one axis over all layers: value, interval, claim and the margin around it."""
    with panel(0.75 + 0.56 * len(rows)) as (figure, axes):
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


def rate_map(data: RateMap) -> Figure:
    """Achieved rate over sequence length and hidden size, the window of the law outlined."""
    with panel(0.95 + 0.42 * len(data.rates)) as (figure, axes):
        table = data.rates
        gaps: dict[str, Any] = {"linewidths": 0.8, "linecolor": PAPER}
        sns.heatmap(table, ax=axes, cmap=_COLOURS, cbar=False, vmin=0, vmax=_full_scale(table), **gaps)
        _write_rates(axes, table)
        _outline_window(axes, data)
        axes.set(xlabel=words.axis_phrase("n"), ylabel="")
        axes.set_title(words.axis_phrase("d"))
        axes.set_yticklabels([str(d) for d in table.index], rotation=0)
        axes.set_xticklabels([str(n) for n in table.columns], rotation=0)
        axes.tick_params(length=0)
        sns.despine(ax=axes, left=True, bottom=True)
    return figure


def specification_curve(axis: str, exponents: Sequence[float], estimate: Estimate | None) -> Figure:
    """The exponent under every admissible way to fit the same data, sorted, over the reported interval.

    Without an `estimate` the values are what a law of several terms leaves over: zero is then the mark.
    """
    with panel(1.9) as (figure, axes):
        if estimate:
            axes.axhspan(estimate.low, estimate.high, color=BAND, linewidth=0, zorder=0)
        axes.axhline(estimate.value if estimate else 0.0, color=SOFT, linewidth=1, zorder=1)
        places = np.arange(1, len(exponents) + 1)
        axes.scatter(places, sorted(exponents), s=22, color=SERIES[2], edgecolor=PAPER, linewidth=0.5, zorder=3)
        _at_least(axes, 0.1, ticks=3)
        axes.set_title(f"exponent of {axis}" if estimate else f"left over along {axis}")
        axes.set_xlabel("ways to fit, sorted")
        axes.xaxis.set_major_locator(NullLocator())
        axes.grid(axis="y")
    return figure


def steadiness(references: pd.DataFrame) -> Figure:
    """The reference kernel through the run, against its median."""
    with panel(2.2) as (figure, axes):
        axes.axhspan(0, DRIFT_LIMIT, color=BAND, linewidth=0, zorder=0)
        late = references["ratio"] > DRIFT_LIMIT
        for part, colour in ((references[~late], SERIES[2]), (references[late], VERDICT_COLOURS[Verdict.INCONCLUSIVE])):
            axes.scatter(part["started"], part["ratio"], s=16, color=colour, edgecolor=PAPER, linewidth=0.4, zorder=3)
        axes.set_ylim(min(0.9, references["ratio"].min() - 0.02), max(1.25, references["ratio"].max() * 1.05))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.shorter(units.seconds(value))))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{words.exponent(value)}×"))
        axes.set_title("reference kernel, against its median")
        axes.set_xlabel("since the run began")
        axes.grid(axis="y")
    return figure


def path_lengths(curves: Sequence[Curve]) -> Figure:
    """Maximum path length against n, log–log, each curve named at its right end."""
    with panel(4.4) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        ends = sorted(curves, key=lambda curve: curve.points[-1][1])
        for rank, curve in enumerate(ends):
            axes.plot(*zip(*curve.points, strict=True), color=series_colour(rank, len(ends)), linewidth=1.5)
        axes.set_title("maximum path length")
        longest = max(n for curve in curves for n, _ in curve.points)
        size_axis(axes, [4**power for power in range(1, 1 + round(math.log(longest, 4)))], "n")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y")
        for rank, (curve, height) in enumerate(zip(ends, _apart(axes, ends), strict=True)):
            label_line(axes, (longest, height), curve.label, series_colour(rank, len(ends)))
    return figure


def effective_reach(title: str, curves: Sequence[Curve], least: float, farthest: float) -> Figure:
    """Gradient norm against distance, a line for each layer; panels share their scales, to `least` and `farthest`."""
    with panel(2.75 + 0.18 * len(curves)) as (figure, axes):
        axes.set_yscale("log")
        for rank, curve in enumerate(curves):
            seen = [(distance, norm) for distance, norm in curve.points if norm > LEAST_NORM]
            style: dict[str, Any] = {
                "color": series_colour(rank, len(curves)),
                "linestyle": _DASHES[rank % len(_DASHES)],
            }
            if seen:
                style["marker"] = "o" if len(seen) == 1 else ""
                axes.plot(*zip(*seen, strict=True), label=_short(curve.label), linewidth=1.5, **style)
        axes.set_title(f"{title}: gradient norm")
        axes.set_xlabel("distance between input and output position")
        axes.set(xlim=(-0.03 * farthest, 1.03 * farthest or 1), ylim=(max(min(least, 0.1) / 2, LEAST_NORM), 2))
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        place: dict[str, Any] = {"loc": "outside lower left", "frameon": False, "handlelength": 2.6}
        figure.legend(fontsize=_SMALL, labelcolor=SOFT, borderaxespad=0, labelspacing=0.25, **place)
    return figure


def overtaking(title: str, curves: Sequence[Curve], crossings: Mapping[str, tuple[float, float]]) -> Figure:
    """Seconds against n, log–log, the baseline first and thick; a ring where another curve crosses it."""
    with panel(3.9 + 0.18 * len(curves)) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        for rank, curve in enumerate(curves):
            style: dict[str, Any] = {
                "color": series_colour(rank, len(curves)),
                "linestyle": _DASHES[rank % len(_DASHES)],
            }
            if rank == 0:
                style |= {"color": INK, "linewidth": 2.6}
            axes.plot(*zip(*curve.points, strict=True), label=_short(curve.label), **{"linewidth": 1.4} | style)
            if curve.label in crossings:
                ring: dict[str, Any] = {"s": 44, "facecolor": PAPER, "edgecolor": style["color"], "linewidth": 1.6}
                axes.scatter(*crossings[curve.label], zorder=4, **ring)
        axes.set_title(title)
        size_axis(axes, [round(n) for curve in curves for n, _ in curve.points], "n")
        _seconds_axis(axes)
        place: dict[str, Any] = {"loc": "outside lower left", "frameon": False, "handlelength": 2.6}
        figure.legend(fontsize=_SMALL, labelcolor=SOFT, borderaxespad=0, labelspacing=0.25, **place)
    return figure


# ------------------------------------------------------------------------------------------------- one panel


@contextmanager
def panels(height: float, columns: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure as wide as a telephone, with axes side by side."""
    settings: Any = {**sns.axes_style("ticks"), **_STYLE, **SETTINGS}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(_WIDTH, height), dpi=72, layout="constrained")
        yield figure, list(figure.subplots(1, columns, squeeze=False)[0])


@contextmanager
def panel(height: float) -> Iterator[tuple[Figure, Axes]]:
    """One panel of the common width, in the style of all."""
    with panels(height, 1) as (figure, (axes,)):
        yield figure, axes


def _hued(plot: Callable[..., object], frame: pd.DataFrame, xy: tuple[str, str], axes: Axes, **style: object) -> None:
    """One colour a line of `frame`, from small sizes to large."""
    if frame.empty:
        return
    ranks = sorted(frame[RANK].unique())
    colours = {rank: series_colour(place, len(ranks)) for place, rank in enumerate(ranks)}
    plot(data=frame, x=xy[0], y=xy[1], hue=RANK, palette=colours, legend=False, ax=axes, **style)


def size_axis(axes: Axes, sizes: Iterable[int], axis: str) -> None:
    """Ticks at sizes that were measured, as many as have room."""
    kept: list[float] = []
    wanted = sorted({float(size) for size in sizes})
    room = math.log(wanted[-1] / wanted[0]) / 6 if wanted else 0.0
    for size in wanted:
        if not kept or math.log(size / kept[-1]) >= room:
            kept.append(size)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: str(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=words.axis_phrase(axis), ylabel="")


def _seconds_axis(axes: Axes) -> None:
    low, high = axes.get_ylim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 40 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.shorter(units.seconds(value))))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def _at_least(axes: Axes, span: float, ticks: int = 4) -> None:
    """Widen the vertical axis to `span`, so that noise does not look like structure, and write its ticks."""
    low, high = axes.get_ylim()
    missing = max(0.0, span - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10], min_n_ticks=ticks - 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.exponent(value)))


# ------------------------------------------------------------------------------------------- time and slopes


def _draw_curves(axes: Axes, data: Growth) -> None:
    whole = data.curves[data.curves[PART] == ""]
    _hued(sns.lineplot, whole, (data.axis, "seconds"), axes, linewidth=1.5, zorder=2)
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
    _note(axes, (row[names[0]], row["seconds"]), names[1], (6 if farthest < len(term) / 2 else -2, -4))


def _draw_points(axes: Axes, data: Growth) -> None:
    """Filled inside the window of the law, hollow beyond it."""
    count = int(data.points[RANK].max()) + 1
    for rank, line in data.points.groupby(RANK):
        colour = series_colour(int(str(rank)), count)
        x, low, high = line[data.axis], line["seconds_low"], line["seconds_high"]
        axes.vlines(x, low, high, color=colour, linewidth=1.1, alpha=0.6, zorder=2)
        for part, face, edge in ((line[line[INSIDE]], colour, PAPER), (line[~line[INSIDE]], PAPER, colour)):
            style: dict[str, Any] = {"s": 30, "color": face, "edgecolor": edge, "linewidth": 0.8, "zorder": 3}
            axes.scatter(part[data.axis], part["seconds"], **style)


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
    _note(axes, (float(np.sqrt(sizes.prod())), float(np.sqrt(heights.prod()))), text, (-6, 5))


def _note(axes: Axes, place: tuple[float, float], text: str, offset: tuple[float, float]) -> None:
    """A few words beside `place`, on the side that `offset` (in points) leads to."""
    axes.annotate(
        printable(text),
        place,
        xytext=offset,
        textcoords="offset points",
        color=SOFT,
        fontsize=_SMALL,
        ha="left" if offset[0] > 0 else "right",
        va="bottom" if offset[1] > 0 else "top",
    )


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


def label_line(axes: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    """A few words at the right end of a line, in its colour."""
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": _SMALL, "va": "center", "color": colour}
    axes.annotate(printable(text), place, xytext=(7, 0), **style)


def _short(label: str) -> str:
    return printable(label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…")


def _apart(axes: Axes, ends: Sequence[Curve]) -> list[float]:
    """Heights for labels at the ends of lines, from the lowest up, none on top of another."""
    low, high = axes.get_ylim()
    room = (high / low) ** 0.055
    heights: list[float] = []
    for curve in ends:
        heights.append(max(curve.points[-1][1], heights[-1] * room if heights else 0.0))
    return heights


def power_of_ten(value: float) -> str:
    """``10⁻⁸``."""
    exponent = round(math.log10(value))
    return f"10{superscript(exponent)}" if exponent else "1"


def _dodged(points: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """Points of different lines a little apart, so that equal slopes do not hide one another."""
    count = points[RANK].nunique()
    step = 0.05 * math.log(sizes[-1] / sizes[0]) / max(count - 1, 1)
    shifts = points[RANK].rank(method="dense") - (count + 1) / 2
    return points.assign(size=points["size"] * np.exp(step * shifts))


def _exponent_limits(axes: Axes, data: LocalExponents) -> None:
    if data.slope is not None:
        axes.update_datalim([(axes.get_xlim()[0], data.slope)])
    axes.margins(y=0.12)
    axes.autoscale_view(scalex=False)
    _at_least(axes, 0.5)


# ------------------------------------------------------------------------------------------- forest and map


def _forest_row(axes: Axes, place: int, row: ForestRow) -> None:
    estimate, colour = row.estimate, VERDICT_COLOURS[row.verdict]
    if row.claimed is not None:
        box = Rectangle((row.claimed - MARGIN, place - 0.14), 2 * MARGIN, 0.28, color=BAND, linewidth=0, zorder=1)
        axes.add_patch(box)
        axes.vlines(row.claimed, place - 0.2, place + 0.2, color=INK, linewidth=1.1, zorder=2)
    axes.hlines(place, estimate.low, estimate.high, color=colour, linewidth=2.4, zorder=3)
    axes.scatter([estimate.value], [place], s=42, color=colour, edgecolor=PAPER, linewidth=0.9, zorder=4)
    across = axes.get_yaxis_transform()
    axes.text(0, place - 0.36, _short(row.label), transform=across, fontsize=_TEXT, va="center")
    numbers = f"{words.exponent(estimate.value)} {words.interval(estimate)}"
    axes.text(1, place - 0.36, numbers, transform=across, fontsize=_SMALL, va="center", ha="right", color=SOFT)


def _forest_limits(rows: Sequence[ForestRow]) -> tuple[float, float]:
    claimed = [row.claimed for row in rows if row.claimed is not None]
    lows = [row.estimate.low for row in rows] + [value - MARGIN for value in claimed]
    highs = [row.estimate.high for row in rows] + [value + MARGIN for value in claimed]
    pad = max(0.1, 0.06 * (max(highs) - min(lows)))
    return min(lows) - pad, max(highs) + pad


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
            colour = readable_on(_COLOURS(rate / full))
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=_SMALL - 1, color=colour)


def readable_on(cell: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2) on the colour `cell`."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in cell[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return ON_LIGHT if (luminance + 0.05) ** 2 > 0.05 * 1.05 else ON_DARK


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
