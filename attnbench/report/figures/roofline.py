"""Trials under the roof of their machine: rate against intensity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from attnbench import units
from attnbench.report import words
from attnbench.report.figures.canvas.palette import INK, PAPER, SOFT, series_colour
from attnbench.report.figures.canvas.panel import legend, note, panel, power_of_ten, short
from attnbench.report.figures.canvas.svg import tell

#: To either side of the ridge, the roof is shown over this factor at least.
_SLOPE = 16.0
#: Marks beyond this number have no texts of their own: the page would grow by a megabyte for what its tables say.
_MAX_TIPS = 2000
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


@dataclass(frozen=True, slots=True)
class Roof:
    """What a machine does at best."""

    flops_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """Operations for each byte from which on arithmetic is the limit."""
        return self.flops_per_second / self.bytes_per_second

    def at(self, intensity: float) -> float:
        """The best rate at an intensity."""
        return min(self.flops_per_second, intensity * self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class Marks:
    """The trials of one layer: intensity and rate of each, and a line of text."""

    layer: str
    points: tuple[tuple[float, float], ...]
    tips: tuple[str, ...]


def roofline(title: str, roof: Roof, marks: Sequence[Marks]) -> Figure:
    """FLOP/s against FLOPs for each byte, log–log, a shape and a colour for each layer; the ridge is named."""
    with panel(4.0 + 0.19 * len(marks)) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        every = [point for layer in marks for point in layer.points]
        left = min([roof.ridge / _SLOPE, *(intensity / 2 for intensity, _ in every)])
        right = max([roof.ridge * _SLOPE, *(intensity * 2 for intensity, _ in every)])
        axes.plot(*zip(*((x, roof.at(x)) for x in (left, roof.ridge, right)), strict=True), color=INK, linewidth=1.8)
        axes.vlines(roof.ridge, 0, roof.flops_per_second, color=SOFT, linewidth=0.9, linestyle=(0, (1, 1.6)))
        for rank, layer in enumerate(marks):
            style: dict[str, Any] = {"color": series_colour(rank, len(marks)), "marker": _SHAPES[rank % len(_SHAPES)]}
            x, y = zip(*layer.points, strict=True)
            drawn = axes.scatter(
                x, y, s=26, edgecolor=PAPER, linewidth=0.5, zorder=3, label=short(layer.layer), **style
            )
            if len(every) <= _MAX_TIPS:
                tell(drawn, layer.tips)
        lowest = min([roof.at(left), *(rate / 1.5 for _, rate in every)])
        highest = max([roof.flops_per_second, *(rate for _, rate in every)])
        axes.set(xlim=(left, right), ylim=(lowest, highest * 2.5))
        _write(axes, roof, title)
        legend(axes, below=figure, handlelength=1.2)
    return figure


def _write(axes: Axes, roof: Roof, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("FLOPs for each byte that must move")
    for axis, written in (
        (axes.xaxis, lambda value, _: power_of_ten(value) if value < 1e-2 else f"{value:g}"),
        (axes.yaxis, lambda value, _: words.shorter(units.flops_per_second(value)).removesuffix("FLOP/s").rstrip()),
    ):
        low, high = sorted(axis.get_view_interval())
        decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        step = math.ceil(len(decades) / 6) or 1
        axis.set_major_locator(FixedLocator([10.0**decade for decade in decades[::step]]))
        axis.set_major_formatter(FuncFormatter(written))
        axis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    rate = words.shorter(units.flops_per_second(roof.flops_per_second))
    note(
        axes,
        (axes.get_xlim()[1], roof.flops_per_second),
        f"{rate} from {units.significant(roof.ridge)} FLOP/B on",
        (-1, 6),
    )
