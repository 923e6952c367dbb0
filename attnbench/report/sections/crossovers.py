"""Where each layer crosses over: the lengths from which on layers are faster than the first attention of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from attnbench.errors import FormulaError
from attnbench.fitting.predict.crossover import Crossover, CrossoverRow, crossover
from attnbench.fitting.predict.inputs import LayerInputs, RunInputs
from attnbench.law import Law
from attnbench.report import words
from attnbench.report.data.columns import axes_of
from attnbench.report.data.points import timed_points
from attnbench.report.figures.canvas.lines import NamedLine
from attnbench.report.figures.crossover import times_with_crossovers
from attnbench.report.markup import picture
from attnbench.report.values import NO_MARK, Chip, Fact, Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import describe
from attnbench.units import percent, seconds, significant

#: Columns of the table: the least, the middle and the largest width that was measured.
_MAX_WIDTHS = 3
_FASTER, _SLOWER, _OPEN = Chip("faster", "▲", "faster"), Chip("slower", "▼", "slower"), NO_MARK
#: More pairs of curves than these that say otherwise leave an answer in doubt.
_DOUBT = 0.1


@dataclass(frozen=True, slots=True)
class CrossoverCell:
    """Where one layer becomes faster than the baseline at one width: by the clock, in a word, and by counted work.

    `length` is the sequence length at which the two meet, to sort by; empty where they do not.
    """

    text: str
    mark: Chip
    by_count: str
    length: str = ""


@dataclass(frozen=True, slots=True)
class LayerCrossovers:
    """One layer, and a cell for each width."""

    layer: str
    cells: tuple[CrossoverCell, ...]


@dataclass(frozen=True, slots=True)
class CrossoverTable:
    """Layers under one choice of device, dtype, mode and threads against the first attention among them."""

    baseline: str
    conditions: str
    held: str
    widths: tuple[str, ...]
    rows: tuple[LayerCrossovers, ...]
    unknown: tuple[Fact, ...]
    picture: Gallery


def crossovers(run: StoredRun) -> tuple[CrossoverTable, ...]:
    """Layers against the first attention, one table for each choice of device, dtype, mode and threads."""
    groups: dict[str, list[Law]] = {}
    for law in run.found_laws:
        if law.metric == "time" and law.curves is not None and "n" in law.window:
            groups.setdefault(str(law.choices), []).append(law)
    inputs = RunInputs(run)
    tables = (_table(run, inputs, conditions, laws) for conditions, laws in groups.items() if len(laws) > 1)
    return tuple(table for table in tables if table is not None)


def _table(run: StoredRun, inputs: RunInputs, conditions: str, laws: list[Law]) -> CrossoverTable | None:
    first = next((law for law in laws if "attention" in law.layer), laws[0])
    baseline = inputs.of(first)
    points = {law.layer: timed_points(run, law.subject, law) for law in laws}
    widths = _widths(points[first.layer])
    others = [inputs.of(law) for law in laws if law is not first]
    answers = {other.law.layer: _crossover(baseline, other, widths) for other in others}
    known = {layer: answer for layer, answer in answers.items() if answer is not None and answer.rows}
    if not known:
        return None
    return CrossoverTable(
        baseline=first.layer,
        conditions=conditions,
        held=words.sentence(held_sizes([baseline, *others])),
        widths=tuple(words.axis_phrase(f"d = {d}") for d in widths),
        rows=tuple(_row(layer, answer, points) for layer, answer in known.items()),
        unknown=tuple(Fact(layer, _why_not(answers[layer])) for layer in answers if layer not in known),
        picture=_picture(first.layer, known, points, widths[-1]),
    )


def _widths(points: pd.DataFrame) -> list[int]:
    """Few of the widths at which the baseline was measured, the least and the largest among them."""
    every = sorted({int(d) for d in points["d"]})
    step = (len(every) - 1) / (_MAX_WIDTHS - 1)
    return every if len(every) <= _MAX_WIDTHS else [every[round(place * step)] for place in range(_MAX_WIDTHS)]


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
    return "; ".join(f"{layer} with {describe(held)}" for layer, held in sizes.items() if held)


# -------------------------------------------------------------------------------------------------- the table


def _row(layer: str, answer: Crossover, points: dict[str, pd.DataFrame]) -> LayerCrossovers:
    measured = {name: _lengths(frame) for name, frame in points.items()}
    baseline = next(name for name in answer.layers if name != layer)
    shortest = max(measured[layer][0], measured[baseline][0])
    longest = min(measured[layer][1], measured[baseline][1])
    cells = (_cell(layer, crossing, (shortest, longest)) for crossing in answer.rows)
    return LayerCrossovers(layer, tuple(cells))


def _lengths(points: pd.DataFrame) -> tuple[int, int]:
    return int(points["n"].min()), int(points["n"].max())


def _cell(layer: str, crossing: CrossoverRow, measured: tuple[int, int]) -> CrossoverCell:
    by_count = _by_count(layer, crossing)
    if not crossing.faster:
        return CrossoverCell("no length within reach of both curves", _OPEN, by_count)
    leads = crossing.faster == layer
    last = _FASTER if leads else _SLOWER
    if crossing.clock is None:
        doubt = f", though {percent(crossing.share)} of the pairs of curves cross" if crossing.share > _DOUBT else ""
        return CrossoverCell(f"at every length measured{doubt}", last, by_count)
    at, length = f"n = {crossing.by_clock}", f"{crossing.clock.value:.6g}"
    if crossing.clock.value < measured[0]:
        return CrossoverCell(f"at every length measured; the curves meet below, at {at}", last, by_count, length)
    if crossing.clock.value > measured[1]:
        before = _SLOWER if leads else _FASTER
        return CrossoverCell(f"at every length measured; the curves meet beyond, at {at}", before, by_count, length)
    return CrossoverCell(f"from {at} on", last, by_count, length)


def _by_count(layer: str, crossing: CrossoverRow) -> str:
    if not crossing.fewer:
        return ""
    what = "fewer" if crossing.fewer == layer else "more"
    if crossing.operations is None:
        return f"{what} at every length"
    return f"{what} from n = {significant(crossing.operations)} on"


# ------------------------------------------------------------------------------------------------- the figure


def _picture(baseline: str, answers: dict[str, Crossover], points: dict[str, pd.DataFrame], d: int) -> Gallery:
    first, *others = (NamedLine(layer, _line(points[layer], d)) for layer in (baseline, *answers))
    rest = [line for line in others if len(line.points) > 1]
    if len(first.points) < 2 or not rest:
        return Gallery()
    lines = [first, *sorted(rest, key=lambda line: -line.points[-1][1])]
    crossings = {
        layer: place
        for layer, answer in answers.items()
        for row in answer.rows
        if row.d == d and row.clock and (place := _on(first, row.clock.value)) is not None
    }
    title = f"Time for a sequence against n at d = {d}"
    marked = "; rings mark where a layer and the baseline change places" if crossings else ""
    caption = f"Measured times at d = {d}, the thick line is the baseline{marked}. Both scales are logarithmic."
    drawing = times_with_crossovers(f"time for a sequence, d = {d}", lines, crossings)
    return Gallery((picture(drawing, title, _described(lines, crossings)),), caption)


def _line(points: pd.DataFrame, d: int) -> tuple[tuple[float, float], ...]:
    """Length and seconds for one sequence at a width; of several sizes of other axes those of the first trial."""
    here = points[points["d"] == d]
    for axis in set(axes_of(points)) - {"n", "d"}:
        here = here[here[axis] == here[axis].iloc[0]] if len(here) else here
    rows = here.sort_values("n").to_dict("records")
    return tuple((float(row["n"]), float(row["seconds"]) / float(row.get("b", 1))) for row in rows)


def _on(line: NamedLine, n: float) -> tuple[float, float] | None:
    """The place of a length on a line, between its points on logarithmic scales; None outside it."""
    for (left, low), (right, high) in zip(line.points, line.points[1:], strict=False):
        if left <= n <= right:
            part = math.log(n / left) / math.log(right / left)
            return n, low * (high / low) ** part
    return None


def _described(lines: list[NamedLine], crossings: dict[str, tuple[float, float]]) -> str:
    parts = []
    for line in lines:
        (first, low), *_, (last, high) = line.points
        parts.append(f"{line.label}: {seconds(low)} at n={first:g}, {seconds(high)} at n={last:g}.")
    parts += [f"{layer} and {lines[0].label} meet at n={significant(n)}." for layer, (n, _) in crossings.items()]
    return " ".join(parts)
