"""Figures of attention weights and of positions: maps in coloured cells, waves, turns, and what fades with depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from attnbench.report.data.columns import Floats
from attnbench.report.figures.canvas.palette import HAIR, INK, PAPER, SOFT, series_colour
from attnbench.report.figures.canvas.panel import COLOURS, DASHES, SMALL, TEXT, legend, panels, readable_on
from attnbench.report.figures.canvas.svg import printable, tell

#: Cells of one colour are one path of the file: shades that nobody could tell apart need no paths of their own.
_SHADES = 24
_DIVERGING = sns.color_palette("vlag", as_cmap=True)
_FAR = sns.color_palette("mako_r", as_cmap=True)
_COLUMNS = 4
#: Inches: two of these maps fit side by side into a telephone's column.
_SMALL_MAP = 2.2
_PEN = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])


def weight_maps(title: str, heads: Sequence[Floats]) -> Figure:
    """Keys × queries, a map for each head; the brightest colour is the largest weight of them all."""
    largest = max(float(head.max()) for head in heads)
    single = heads[0].shape[0] == 1
    with panels(1.25 if single else 1.95, _COLUMNS) as (figure, axes):
        for number, (one, head) in enumerate(zip(axes, heads, strict=False), start=1):
            _cells(one, head, (0.0, largest), COLOURS)
            one.set_title(f"head {number}" if len(heads) > 1 else "weights", fontsize=SMALL)
            one.set_xlabel("keys", fontsize=SMALL)
        axes[0].set_ylabel("query" if single else "queries", fontsize=SMALL)
        for one in axes[len(heads) :]:
            one.set_axis_off()
        figure.suptitle(printable(title), x=0.01, ha="left", fontsize=TEXT, color=INK)
    return figure


def dependency_map(hops: Floats, farthest: int) -> Figure:
    """Output × input positions, coloured by hops on a scale up to `farthest`, and hatched where they are inf."""
    length, never = len(hops), np.isinf(hops)
    with panels(_SMALL_MAP, 1, width=_SMALL_MAP) as (figure, (axes,)):
        _cells(axes, _compressed(np.where(never, np.nan, hops)), (0.0, float(_compressed(farthest))), _FAR)
        if never.any():
            axes.add_patch(_hatched(_bars(never)))
        axes.set_xlabel("from", fontsize=SMALL, labelpad=1)
        axes.set_ylabel("to", fontsize=SMALL, labelpad=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator([0.5, length - 0.5]))
            axis.set_major_formatter(FuncFormatter(lambda place, _: f"{place + 0.5:.0f}"))
        axes.tick_params(length=0, pad=2, labelsize=SMALL)
    return figure


def hops_scale(farthest: int) -> Figure:
    """The colours of `dependency_map`, with numbers below, and its hatching, with the word."""
    end, steps = float(_compressed(farthest)), 240
    ticks = [0, *(2**power for power in range(30) if 2**power < 0.8 * farthest), farthest]
    with panels(0.62, 1) as (figure, (axes,)):
        shades = np.linspace(0, end, steps)[None, :]
        _cells(axes, shades, (0.0, end), _FAR, aspect="auto")
        axes.add_patch(_hatched(Path(_SQUARE * (0.12 * steps, 1) + (1.08 * steps, 0), _PEN)))
        axes.set_xlim(0, 1.2 * steps)
        places = {tick: float(_compressed(tick)) / end * steps for tick in ticks} | {"never": 1.14 * steps}
        axes.xaxis.set_major_locator(FixedLocator(list(places.values())))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda _, rank: str(list(places)[rank or 0])))
        axes.tick_params(length=0, labelsize=SMALL)
        axes.set_title("hops")
    return figure


def _compressed(hops: Any) -> Any:
    """Short distances apart, long ones together: 0, 1, 3 and 7 hops are as far from one another on the scale."""
    return np.log2(1 + np.asarray(hops, dtype=float))


def _hatched(cells: Path) -> PathPatch:
    """Cells that no number fits: strokes on bare paper."""
    return PathPatch(cells, facecolor="none", edgecolor=SOFT, linewidth=0, hatch="/////", clip_on=False)


def wave_map(waves: Floats) -> Figure:
    """The encoding as it is: position downwards, feature to the right, from −1 to 1."""
    with panels(4.6, 1) as (figure, (axes,)):
        _cells(axes, waves, (-1.0, 1.0), _DIVERGING, aspect="auto")
        axes.set_title("value, from −1 (blue) to 1 (red)")
        axes.set(xlabel="feature", ylabel="position")
        axes.tick_params(length=0)
        axes.xaxis.set_major_locator(FixedLocator([place + 0.5 for place in range(0, waves.shape[1], 8)]))
        axes.yaxis.set_major_locator(FixedLocator([place + 0.5 for place in range(0, waves.shape[0], 10)]))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(
                FuncFormatter(lambda value, _: f"{value:.0f}" if value % 1 else f"{value - 0.5:.0f}")
            )
    return figure


def wave_columns(waves: Floats, columns: Sequence[int]) -> Figure:
    """Some features of the encoding against the position, each named at its right end."""
    with panels(3.0, 1) as (figure, (axes,)):
        ends = sorted((float(waves[-1, column]), column) for column in columns)
        heights = _apart([end for end, _ in ends], 0.2)
        for rank, ((_, column), height) in enumerate(zip(ends, heights, strict=True)):
            colour, dashes = series_colour(rank, len(columns)), DASHES[rank % len(DASHES)]
            axes.plot(waves[:, column], color=colour, linestyle=dashes, linewidth=1.5)
            axes.annotate(
                f"feature {column}",
                (len(waves) - 1, height),
                xytext=(6, 0),
                textcoords="offset points",
                color=colour,
                fontsize=SMALL,
                va="center",
                annotation_clip=False,
            )
        axes.set_title("value")
        axes.set_xlabel("position")
        axes.yaxis.set_major_locator(FixedLocator([-1, 0, 1]))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y")
    return figure


def binary_digits(count: int, bits: int) -> Figure:
    """The numbers from 0 in binary, one row each: the lowest bit, to the right, alternates fastest."""
    digits = np.array([[number >> bit & 1 for bit in reversed(range(bits))] for number in range(count)], dtype=float)
    with panels(3.0, 1) as (figure, (axes,)):
        _cells(axes, digits, (-0.3, 1.3), COLOURS, aspect="auto")
        for (row, column), digit in np.ndenumerate(digits):
            colour = readable_on(_shade(digit, (-0.3, 1.3), COLOURS))
            axes.text(column + 0.5, row + 0.5, f"{digit:.0f}", ha="center", va="center", fontsize=SMALL, color=colour)
        axes.set_title("numbers in binary")
        axes.xaxis.set_major_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator([row + 0.5 for row in range(count)]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value - 0.5:.0f}"))
        axes.tick_params(length=0)
    return figure


def turns(pairs: Mapping[str, tuple[Floats, Floats]]) -> Figure:
    """For each pair of features, points ``(positions, 2)`` on their circle and what one rotation makes of them."""
    with panels(2.75, len(pairs)) as (figure, axes):
        for one, (title, (before, after)) in zip(axes, pairs.items(), strict=True):
            one.plot(*np.array([[np.sin(a), np.cos(a)] for a in np.linspace(0, 2 * np.pi, 90)]).T, color=HAIR, lw=0.9)
            for rank, (start, end) in enumerate(zip(before, after, strict=True)):
                colour = series_colour(rank, len(before))
                arrow = {"arrowstyle": "->", "color": colour, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
                one.annotate("", tuple(end), tuple(start), arrowprops=arrow)
                one.plot(*start, marker="o", markersize=3.5, color=colour)
            one.set_title(title, fontsize=SMALL)
            one.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal", xlabel="sine")
            for axis in (one.xaxis, one.yaxis):
                axis.set_major_locator(FixedLocator([-1, 0, 1]))
        axes[0].set_ylabel("cosine")
    return figure


def fading(title: str, curves: Mapping[str, Floats]) -> Figure:
    """What is left of the position after each layer: mean over draws, from the least to the most, for each layer."""
    with panels(2.75 + 0.18 * len(curves), 1) as (figure, (axes,)):
        for rank, (name, draws) in enumerate(curves.items()):
            colour, places = series_colour(rank, len(curves)), range(draws.shape[1])
            axes.fill_between(places, draws.min(axis=0), draws.max(axis=0), color=colour, alpha=0.18, linewidth=0)
            dashes = DASHES[rank % len(DASHES)]
            axes.plot(places, draws.mean(axis=0), color=colour, linestyle=dashes, linewidth=1.5, label=printable(name))
        axes.set_title(title)
        axes.set_xlabel("layers")
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        axes.grid(axis="y")
        legend(axes, below=figure)
    return figure


def spread(rows: Mapping[str, Sequence[tuple[int, float]]], first: str) -> Figure:
    """Ratios of times, one row for each layer: a dot for each length and ratio, in the colour of the length."""
    lengths = sorted({n for row in rows.values() for n, _ in row})
    with panels(0.75 + 0.5 * len(rows), 1) as (figure, (axes,)):
        axes.set_xscale("log")
        axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        for place, (name, row) in enumerate(rows.items()):
            colours = [series_colour(lengths.index(n), len(lengths)) for n, _ in row]
            style: dict[str, Any] = {"s": 30, "color": colours, "edgecolor": PAPER, "linewidth": 0.6, "zorder": 3}
            dots = axes.scatter([ratio for _, ratio in row], [place] * len(row), **style)
            tell(dots, [f"{name}, n={n}: {ratio:.3g} times {first}" for n, ratio in row])
            across = axes.get_yaxis_transform()
            axes.text(0, place - 0.36, printable(name), transform=across, fontsize=TEXT, va="center")
        axes.set(ylim=(len(rows) - 0.55, -0.72), yticks=[])
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 40 else (1,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(axis="x")
        axes.set_xlabel(printable(f"time, × {first}"))
        sns.despine(ax=axes, left=True)
    return figure


def _cells(axes: Axes, values: Floats, ends: tuple[float, float], colours: Any, aspect: str = "equal") -> None:
    """One square for each value, row by row downwards; all squares of one shade are one path."""
    rows, columns = values.shape
    shades = _levels(values, ends)
    for shade in np.unique(shades[shades >= 0]):
        colour = colours((shade + 0.5) / _SHADES)
        seams: dict[str, Any] = {"edgecolor": colour, "linewidth": 0.5, "clip_on": False}
        axes.add_patch(PathPatch(_bars(shades == shade), facecolor=colour, **seams))
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect=aspect)
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    for side in axes.spines.values():
        side.set_visible(False)


def _bars(chosen: NDArray[np.bool_]) -> Path:
    """Chosen cells as one path: neighbours in a row are one rectangle."""
    steps = np.diff(np.pad(chosen.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    corners = (
        np.stack([starts, rows], axis=-1)[:, None] + _SQUARE * np.stack([ends - starts, rows * 0 + 1], axis=-1)[:, None]
    )
    return Path(corners.reshape(-1, 2), _PEN * len(rows))


def _levels(values: Any, ends: tuple[float, float]) -> NDArray[np.int64]:
    """The shade of each value; -1, which is none, for what is no number."""
    low, high = ends
    share = (np.asarray(values, dtype=float) - low) / ((high - low) or 1.0)
    shades = np.clip(np.nan_to_num(share * _SHADES).astype(np.int64), 0, _SHADES - 1)
    return np.where(np.isnan(share), -1, shades)


def _shade(value: float, ends: tuple[float, float], colours: Any) -> Any:
    return colours((int(_levels(value, ends)) + 0.5) / _SHADES)


def _apart(heights: Sequence[float], room: float) -> list[float]:
    """Sorted heights for labels, none on top of another."""
    places: list[float] = []
    for height in heights:
        places.append(max(height, places[-1] + room if places else height))
    return places
