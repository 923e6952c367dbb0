"""The figures of the report on axes of one's own, by name: what ``run.plot`` draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from attnbench.errors import InputError, near_miss
from attnbench.fitting.predict.crossover import Crossover
from attnbench.law import Law
from attnbench.report import figures
from attnbench.report.data.growth import claimed_slope, growth, local_exponents
from attnbench.report.data.machine import rate_map, reference_times
from attnbench.report.data.points import timed_points, varying_axes, weighed_points, with_lines
from attnbench.report.figures.canvas.palette import PAPER
from attnbench.report.figures.canvas.panel import WIDTH, styled
from attnbench.report.figures.canvas.svg import printable
from attnbench.report.figures.crossover import crossover_lengths
from attnbench.report.figures.memory import memory_growth
from attnbench.report.sections.glance import forest_rows
from attnbench.store.run_folder import StoredRun


@dataclass(frozen=True)
class Drawn:
    """What a figure is to show, and where.

    Attributes:
        run: the run.
        over: the axis, or nothing for the first that varies.
        ax: where to draw; None for a new figure.
    """

    run: StoredRun
    over: str | None = None
    ax: Axes | None = None

    def place(self, height: float) -> Axes:
        """The axes to draw on; new ones are `height` inches high, on light paper wherever they are shown."""
        if self.ax is not None:
            return self.ax
        with styled():
            _, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)
        return axes

    def axis(self, what: str, possible: Sequence[str]) -> str:
        """The axis that is meant, of those that are `possible` for `what`.

        Raises:
            InputError: there is none, or another one.
        """
        if not possible:
            raise InputError(f"there is nothing to draw of {what}: no size varies")
        if self.over is not None and self.over not in possible:
            hint = near_miss(self.over, possible)
            raise InputError(f"{what} varies over {', '.join(possible)}, and not over {self.over!r}.{hint}")
        return self.over or possible[0]


def time(drawn: Drawn, law: Law) -> Axes:
    """Seconds against one axis: points, the fitted law, its terms, and the claimed slope."""
    points, axis = _points(drawn, law, timed_points(drawn.run, law.subject, law))
    axes = drawn.place(3.9)
    figures.time_growth(growth(points, axis, law), axes)
    return _named(axes, law.layer)


def memory(drawn: Drawn, law: Law) -> Axes:
    """Bytes against one axis: allocated, resident, counted, and the claimed slope."""
    points, axis = _points(drawn, law, weighed_points(drawn.run, law.subject, law))
    axes = drawn.place(3.9)
    memory_growth(with_lines(points, axis), axis, claimed_slope(law, axis), axes)
    return _named(axes, law.layer)


def exponents(drawn: Drawn, law: Law) -> Axes:
    """Slopes of time between neighbouring sizes, over the fitted exponent and the claim."""
    points, axis = _points(drawn, law, timed_points(drawn.run, law.subject, law))
    axes = drawn.place(2.7)
    figures.local_exponents(local_exponents(points, axis, law), axes)
    return _named(axes, law.layer)


def ways(drawn: Drawn, law: Law) -> Axes:
    """The exponent under every admissible way to fit the same data, over the reported interval."""
    possible = list(dict.fromkeys(axis for row in law.specifications for axis in row.exponents))
    axis = drawn.axis(f"the ways to fit {law.layer}", possible)
    values = [row.exponents[axis] for row in law.specifications if axis in row.exponents]
    exponent = law.exponents.get(axis)
    axes = drawn.place(2.4)
    figures.specification_curve(axis, values, exponent.estimate if exponent else None, axes)
    return _named(axes, law.layer)


def rates(drawn: Drawn, law: Law) -> Axes:
    """The rate that the pilot achieved over sequence length and hidden size, the window of the law outlined."""
    data = rate_map(drawn.run, law.subject, law)
    if data is None:
        raise InputError(f"there is nothing to draw of the rates of {law.layer}: no pilot timed it over n and d")
    axes = drawn.place(0.95 + 0.42 * len(data.rates))
    figures.rate_map(data, axes)
    return axes


def forest(drawn: Drawn) -> Axes:
    """The exponents of all layers along one axis, each beside its claim."""
    rows = forest_rows(drawn.run)
    axis = drawn.axis("the exponents of the run", list(rows))
    axes = drawn.place(0.75 + 0.56 * len(rows[axis]))
    figures.forest(axis, rows[axis], axes)
    return axes


def steadiness(drawn: Drawn) -> Axes:
    """The reference kernel through the run, against its median."""
    references = reference_times(drawn.run)
    if len(references) < 2:
        raise InputError("there is nothing to draw of the steadiness: no reference kernel was timed")
    axes = drawn.place(2.2)
    figures.steadiness(references, axes)
    return axes


def crossover(drawn: Drawn, answer: Crossover) -> Axes:
    """The length at which two layers change places, against the width: by the clock and by the counted operations."""
    if not answer.rows:
        raise InputError(f"there is nothing to draw of the crossover: {answer.reason}")
    axes = drawn.place(3.6)
    crossover_lengths(answer, axes)
    return axes


#: Figures of one layer, each with the metric of the law that it shows.
OF_A_LAYER: dict[str, tuple[str, Callable[[Drawn, Law], Axes]]] = {
    "time": ("time", time),
    "memory": ("memory", memory),
    "exponents": ("time", exponents),
    "ways": ("time", ways),
    "rates": ("time", rates),
}
#: Figures of a whole run.
OF_A_RUN: dict[str, Callable[[Drawn], Axes]] = {"forest": forest, "steadiness": steadiness}
KINDS = (*OF_A_LAYER, "crossover", *OF_A_RUN)


def _points(drawn: Drawn, law: Law, points: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The points and the axis to draw them against."""
    what = f"the {law.metric} of {law.layer}"
    if points.empty:
        raise InputError(f"there is nothing to draw of {what}: {law.reason}")
    return points, drawn.axis(what, varying_axes(points, law))


def _named(axes: Axes, layer: str) -> Axes:
    """The name of the layer before the title, whatever signs it holds."""
    axes.set_title(printable(f"{layer}: {axes.get_title(loc='left')}"), loc="left", parse_math=False)
    return axes
