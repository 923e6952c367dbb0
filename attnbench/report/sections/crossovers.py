"""Where each layer overtakes: the lengths at which layers become faster than the first attention of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attnbench.errors import FormulaError
from attnbench.fitting.predict.crossover import crossover
from attnbench.fitting.predict.inputs import RunInputs
from attnbench.report import figures, words
from attnbench.report.context import NO_MARK, Chip, Fact, Gallery, Overtaking, OvertakingRow, Takeover
from attnbench.report.data.slices import timed_points
from attnbench.report.markup import picture
from attnbench.trial import describe
from attnbench.units import percent, seconds, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from attnbench.fitting.predict.crossover import Crossover, CrossoverRow
    from attnbench.fitting.predict.inputs import LayerInputs
    from attnbench.law import Law
    from attnbench.store.run_folder import StoredRun

#: Columns of the table: the least, the middle and the largest width that was measured.
_MOST_WIDTHS = 3
_FASTER, _SLOWER, _OPEN = Chip("faster", "▲", "faster"), Chip("slower", "▼", "slower"), NO_MARK
#: More pairs of curves than these that say otherwise leave an answer in doubt.
_DOUBT = 0.1


def overtaking(run: StoredRun) -> tuple[Overtaking, ...]:
    """Layers against the first attention, one table for each choice of device, dtype, mode and threads."""
    groups: dict[str, list[Law]] = {}
    for law in run.found_laws:
        if law.metric == "time" and law.curves is not None and "n" in law.window:
            groups.setdefault(str(law.choices), []).append(law)
    inputs = RunInputs(run)
    found = (_compared(run, inputs, conditions, laws) for conditions, laws in groups.items() if len(laws) > 1)
    return tuple(group for group in found if group is not None)


def _compared(run: StoredRun, inputs: RunInputs, conditions: str, laws: list[Law]) -> Overtaking | None:
    first = next((law for law in laws if "attention" in law.layer), laws[0])
    baseline = inputs.of(first)
    points = {law.layer: timed_points(run, law.subject, law) for law in laws}
    widths = _widths(points[first.layer])
    others = [inputs.of(law) for law in laws if law is not first]
    found = {other.law.layer: _crossover(baseline, other, widths) for other in others}
    told = {layer: answer for layer, answer in found.items() if answer is not None and answer.rows}
    if not told:
        return None
    return Overtaking(
        baseline=first.layer,
        conditions=conditions,
        held=words.sentence(held_sizes([baseline, *others])),
        widths=tuple(words.axis_phrase(f"d = {d}") for d in widths),
        rows=tuple(_row(layer, answer, points) for layer, answer in told.items()),
        unknown=tuple(Fact(layer, _why_not(found[layer])) for layer in found if layer not in told),
        picture=_picture(first.layer, told, points, widths[-1]),
    )


def _widths(points: pd.DataFrame) -> list[int]:
    """Few of the widths at which the baseline was measured, the least and the largest among them."""
    every = sorted({int(d) for d in points["d"]})
    step = (len(every) - 1) / (_MOST_WIDTHS - 1)
    return every if len(every) <= _MOST_WIDTHS else [every[round(place * step)] for place in range(_MOST_WIDTHS)]


def _crossover(baseline: LayerInputs, other: LayerInputs, widths: list[int]) -> Crossover | None:
    try:
        return crossover(baseline, other, widths)
    except FormulaError:  # a fitted term without a value at some length
        return None


def _why_not(answer: Crossover | None) -> str:
    return words.sentence(answer.reason if answer else "a term of its law has no value at some of these lengths")


def held_sizes(sides: Sequence[LayerInputs]) -> str:
    """The sizes beside length and width, layer by layer where they have any that is not 1."""
    sizes = {one.law.layer: {axis: size for axis, size in one.held.items() if size != 1} for one in sides}
    told = [f"{layer} with {describe(held)}" for layer, held in sizes.items() if held]
    return "; ".join(told)


# -------------------------------------------------------------------------------------------------- the table


def _row(layer: str, answer: Crossover, points: dict[str, pd.DataFrame]) -> OvertakingRow:
    measured = {name: _lengths(frame) for name, frame in points.items()}
    baseline = next(name for name in answer.layers if name != layer)
    shortest = max(measured[layer][0], measured[baseline][0])
    longest = min(measured[layer][1], measured[baseline][1])
    cells = (_takeover(layer, meeting, (shortest, longest)) for meeting in answer.rows)
    return OvertakingRow(layer, tuple(cells))


def _lengths(points: pd.DataFrame) -> tuple[int, int]:
    return int(points["n"].min()), int(points["n"].max())


def _takeover(layer: str, meeting: CrossoverRow, measured: tuple[int, int]) -> Takeover:
    by_count = _by_count(layer, meeting)
    if not meeting.faster:
        return Takeover("no length within reach of both curves", _OPEN, by_count)
    leads = meeting.faster == layer
    last = _FASTER if leads else _SLOWER
    if meeting.clock is None:
        doubt = f", though {percent(meeting.share)} of the pairs of curves cross" if meeting.share > _DOUBT else ""
        return Takeover(f"at every length measured{doubt}", last, by_count)
    at, length = f"n = {meeting.by_clock}", f"{meeting.clock.value:.6g}"
    if meeting.clock.value < measured[0]:
        return Takeover(f"at every length measured; the curves meet below, at {at}", last, by_count, length)
    if meeting.clock.value > measured[1]:
        before = _SLOWER if leads else _FASTER
        return Takeover(f"at every length measured; the curves meet beyond, at {at}", before, by_count, length)
    return Takeover(f"from {at} on", last, by_count, length)


def _by_count(layer: str, meeting: CrossoverRow) -> str:
    if not meeting.fewer:
        return ""
    what = "fewer" if meeting.fewer == layer else "more"
    if meeting.operations is None:
        return f"{what} at every length"
    return f"{what} from n = {significant(meeting.operations)} on"


# ------------------------------------------------------------------------------------------------- the figure


def _picture(baseline: str, told: dict[str, Crossover], points: dict[str, pd.DataFrame], d: int) -> Gallery:
    drawn = [(layer, _line(points[layer], d)) for layer in (baseline, *told)]
    first, *rest = (figures.Curve(layer, line) for layer, line in drawn)
    rest = [curve for curve in rest if len(curve.points) > 1]
    if len(first.points) < 2 or not rest:
        return Gallery()
    curves = [first, *sorted(rest, key=lambda curve: -curve.points[-1][1])]
    found = {layer: next((row for row in answer.rows if row.d == d), None) for layer, answer in told.items()}
    crossings = {
        layer: place
        for layer, row in found.items()
        if row and row.clock and (place := _on(curves[0], row.clock.value)) is not None
    }
    title = f"Time for a sequence against n at d = {d}"
    marked = "; rings mark where a layer and the baseline change places" if crossings else ""
    caption = f"Measured times at d = {d}, the thick line is the baseline{marked}. Both scales are logarithmic."
    drawing = figures.overtaking(f"time for a sequence, d = {d}", curves, crossings)
    return Gallery((picture(drawing, title, _described(curves, crossings)),), caption)


def _line(points: pd.DataFrame, d: int) -> tuple[tuple[float, float], ...]:
    """Length and seconds for one sequence at a width; of several sizes of other axes those of the first trial."""
    here = points[points["d"] == d]
    others = [axis for axis in here.columns if axis in _sizes(points) and axis not in ("n", "d")]
    for axis in others:
        here = here[here[axis] == here[axis].iloc[0]] if len(here) else here
    rows = here.sort_values("n").to_dict("records")
    return tuple((float(row["n"]), float(row["seconds"]) / float(row.get("b", 1))) for row in rows)


def _sizes(points: pd.DataFrame) -> set[str]:
    known = {"seconds", "seconds_low", "seconds_high", "flops"}
    return {str(column) for column in points.columns if str(column).isidentifier()} - known


def _on(curve: figures.Curve, n: float) -> tuple[float, float] | None:
    """The place of a length on a curve, between its points on logarithmic scales; None outside it."""
    for (left, low), (right, high) in zip(curve.points, curve.points[1:], strict=False):
        if left <= n <= right:
            part = math.log(n / left) / math.log(right / left)
            return n, low * (high / low) ** part
    return None


def _described(curves: list[figures.Curve], crossings: dict[str, tuple[float, float]]) -> str:
    parts = []
    for curve in curves:
        (first, low), *_, (last, high) = curve.points
        parts.append(f"{curve.label}: {seconds(low)} at n={first:g}, {seconds(high)} at n={last:g}.")
    parts += [f"{layer} and {curves[0].label} meet at n={significant(n)}." for layer, (n, _) in crossings.items()]
    return " ".join(parts)
