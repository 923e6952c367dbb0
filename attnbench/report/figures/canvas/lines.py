"""Named lines over sequence length or distance, one for each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from attnbench.report.figures.canvas.palette import series_colour
from attnbench.report.figures.canvas.panel import (
    DASHES,
    label_line,
    legend,
    panel,
    power_of_ten,
    short,
    size_axis,
)

#: Gradients below this share of the largest would vanish in a float32 sum beside it, and are not drawn.
MIN_NORM = 1e-8


@dataclass(frozen=True, slots=True)
class NamedLine:
    """A line through points, with the name that is written at its end or in the legend."""

    label: str
    points: tuple[tuple[float, float], ...]


def growing(title: str, curves: Sequence[NamedLine]) -> Figure:
    """A counted number against n, log–log, each curve named at its right end."""
    with panel(4.4) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        ends = sorted(curves, key=lambda curve: curve.points[-1][1])
        for rank, curve in enumerate(ends):
            axes.plot(*zip(*curve.points, strict=True), color=series_colour(rank, len(ends)), linewidth=1.5)
        axes.set_title(title)
        longest = max(n for curve in curves for n, _ in curve.points)
        size_axis(axes, [4**power for power in range(1, 1 + round(math.log(longest, 4)))], "n")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y")
        beside = longest * 1.2
        for rank, (curve, height) in enumerate(zip(ends, _apart(axes, ends), strict=True)):
            colour, leader = series_colour(rank, len(ends)), ((longest, beside), (curve.points[-1][1], height))
            axes.plot(*leader, color=colour, linewidth=0.7, clip_on=False)
            label_line(axes, (beside, height), curve.label, colour)
        axes.set_xlim(right=longest)
    return figure


def effective_reach(title: str, curves: Sequence[NamedLine], least: float, farthest: float) -> Figure:
    """Gradient norm against distance, a line for each layer; panels share their scales, to `least` and `farthest`."""
    with panel(2.75 + 0.18 * len(curves)) as (figure, axes):
        axes.set_yscale("log")
        for rank, curve in enumerate(curves):
            seen = [(distance, norm) for distance, norm in curve.points if norm > MIN_NORM]
            style: dict[str, Any] = {
                "color": series_colour(rank, len(curves)),
                "linestyle": DASHES[rank % len(DASHES)],
            }
            if seen:
                style["marker"] = "o" if len(seen) == 1 else ""
                axes.plot(*zip(*seen, strict=True), label=short(curve.label), linewidth=1.5, **style)
        axes.set_title(f"{title}: gradient norm")
        axes.set_xlabel("distance between input and output position")
        axes.set(xlim=(-0.03 * farthest, 1.03 * farthest or 1), ylim=(max(min(least, 0.1) / 2, MIN_NORM), 2))
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        legend(axes, below=figure)
    return figure


def _apart(axes: Axes, ends: Sequence[NamedLine]) -> list[float]:
    """Heights for labels at the ends of lines, from the lowest up: none on top of another, each as near as can be.

    Labels that would touch move apart around their common mean (isotonic regression, by pooling neighbours), and all
    stay beside the axes.
    """
    low, high = (math.log(end) for end in axes.get_ylim())
    room = 0.055 * (high - low)
    pools: list[tuple[float, int]] = []  # mean place and number of labels
    for rank, curve in enumerate(ends):
        place, count = math.log(curve.points[-1][1]) - rank * room, 1
        while pools and pools[-1][0] >= place:
            mean, others = pools.pop()
            place, count = (mean * others + place * count) / (others + count), others + count
        pools.append((place, count))
    places = [place for place, count in pools for _ in range(count)]
    most = high - (len(places) - 1) * room
    return [math.exp(max(low, min(most, place)) + rank * room) for rank, place in enumerate(places)]
