"""One panel of a report: its style, its axes and the words on it, readable at the width of a telephone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from attnbench import units
from attnbench.formula.monomial import superscript
from attnbench.report import words
from attnbench.report.data.columns import RANK
from attnbench.report.figures.canvas.palette import HAIR, INK, ON_DARK, ON_LIGHT, PAPER, SOFT, series_colour
from attnbench.report.figures.canvas.svg import SETTINGS, printable, tell

#: Points (1/72 inch) become units of the viewBox: one panel is 342 units wide, a telephone's column.
WIDTH = 4.75
SMALL, TEXT = 10.0, 11.5
_LONGEST_LABEL = 34
DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 2, 1, 2)))
COLOURS = sns.color_palette("mako", as_cmap=True)
_STYLE = {
    "axes.edgecolor": HAIR,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.titlesize": TEXT,
    "font.size": TEXT,
    "grid.color": HAIR,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": HAIR,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": SMALL,
    "ytick.color": HAIR,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": SMALL,
}


@contextmanager
def styled() -> Iterator[None]:
    """The style of all panels, for whatever is made meanwhile."""
    settings: Any = {**sns.axes_style("ticks"), **_STYLE, **SETTINGS}
    with mpl.rc_context(settings):
        yield


@contextmanager
def panels(height: float, columns: int, width: float = WIDTH) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure as wide as a telephone, or `width` inches, with axes side by side."""
    with styled():
        figure = Figure(figsize=(width, height), dpi=72, layout="constrained")
        yield figure, list(figure.subplots(1, columns, squeeze=False)[0])


@contextmanager
def panel(height: float, given: Axes | None = None) -> Iterator[tuple[Figure, Axes]]:
    """One panel of the common width, in the style of all; or axes that somebody has, wherever they are."""
    if given is not None:
        with styled():
            yield cast("Figure", given.get_figure(root=True)), given
        return
    with panels(height, 1) as (figure, (axes,)):
        yield figure, axes


def by_rank(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The lines of `frame`, each with its colour, from small sizes to large."""
    count = int(frame[RANK].max()) + 1 if len(frame) else 0
    for rank, line in frame.groupby(RANK):
        yield series_colour(int(str(rank)), count), line


def dots(axes: Axes, place: tuple[pd.Series[Any], pd.Series[Any]], colour: str, texts: Iterable[str]) -> None:
    """Points of one line, each with its text."""
    style: dict[str, Any] = {"s": 30, "color": colour, "edgecolor": PAPER, "linewidth": 0.7, "zorder": 3}
    tell(axes.scatter(*place, **style), texts)


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


def seconds_axis(axes: Axes) -> None:
    """Ticks of time on the vertical axis, one or three to a decade."""
    low, high = axes.get_ylim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 40 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.shorter(units.seconds(value))))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def at_least(axes: Axes, span: float, ticks: int = 4) -> None:
    """Widen the vertical axis to `span`, so that noise does not look like structure, and write its ticks."""
    low, high = axes.get_ylim()
    missing = max(0.0, span - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10], min_n_ticks=ticks - 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.exponent(value)))


def note(axes: Axes, place: tuple[float, float], text: str, offset: tuple[float, float]) -> None:
    """A few words beside `place`, on the side that `offset` (in points) leads to."""
    axes.annotate(
        printable(text),
        place,
        xytext=offset,
        textcoords="offset points",
        color=SOFT,
        fontsize=SMALL,
        ha="left" if offset[0] > 0 else "right",
        va="bottom" if offset[1] > 0 else "top",
    )


def label_line(axes: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    """A few words at the right end of a line, in its colour."""
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "va": "center", "color": colour}
    axes.annotate(printable(text), place, xytext=(7, 0), annotation_clip=False, **style)


def legend(axes: Axes, *, below: Figure | None, **style: Any) -> None:
    """Names of the lines, below the figure, or inside axes that are not ours to move."""
    usual = {"fontsize": SMALL, "labelcolor": SOFT, "frameon": False, "handlelength": 2.6, "labelspacing": 0.25}
    if below is not None:
        below.legend(loc="outside lower left", borderaxespad=0, **usual | style)
    else:
        axes.legend(loc="best", **usual | style)


def short(label: str) -> str:
    """A label that leaves room for the figure."""
    return printable(label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…")


def power_of_ten(value: float) -> str:
    """``10⁻⁸``."""
    exponent = round(math.log10(value))
    return f"10{superscript(exponent)}" if exponent else "1"


def readable_on(cell: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the higher contrast (WCAG 2) on the colour `cell`."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in cell[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return ON_LIGHT if (luminance + 0.05) ** 2 > 0.05 * 1.05 else ON_DARK
