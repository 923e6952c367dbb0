"""Where one layer becomes faster than another: the length n* at each width d, by the count and by the clock.

By the clock n* is where two fitted curves cross. Its band comes from pairs of curves, one drawn for each layer: a pair
may cross elsewhere, or nowhere within reach, and then the band is open on that side. Within reach is what a forecast
would be given for: not too far from the window of either layer, and on the side of the last cache that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from attnbench.errors import FormulaError
from attnbench.fitting.model.observations import Array
from attnbench.fitting.predict.inputs import Ends, LayerInputs
from attnbench.formula import Formula
from attnbench.formula.crossing import crossing, replaced
from attnbench.html_tables import card, titled
from attnbench.law import FARTHEST, Estimate, Law
from attnbench.published import per_sequence
from attnbench.trial import Sizes
from attnbench.units import percent, significant

#: Widths are asked for up to this many times beyond what was measured; lengths as far as a forecast goes.
REACH = 4.0
#: Lengths at which two curves are compared before the place where they cross is narrowed down.
_LENGTHS = 129
#: Counts are exact at any length; beyond 2 to this power nobody asks.
_OCTAVES = 30
LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class CrossoverRow:
    """The crossover of two layers at one width.

    Attributes:
        d: the width.
        operations: length from which on one layer needs fewer counted operations; None where it does at every length.
        fewer: that layer; empty where the counts are equal or not known.
        clock: length from which on one layer is faster, with a band whose open ends are 0 and infinite; None where one
            is faster at every length within reach.
        faster: that layer; empty where no length is within reach.
        share: share of the pairs of curves that cross within reach.
        within: the shortest and the longest sequence within reach; None where there is none.
        extrapolation: how many times beyond a window the crossover is; 1 inside both.
    """

    d: int
    operations: float | None = None
    fewer: str = ""
    clock: Estimate | None = None
    faster: str = ""
    share: float = 0.0
    within: Ends | None = None
    extrapolation: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Open ends of a band are null."""
        row = asdict(self)
        if self.clock is not None:
            row["clock"]["low"] = self.clock.low or None
            row["clock"]["high"] = self.clock.high if math.isfinite(self.clock.high) else None
        return row

    @property
    def by_operations(self) -> str:
        """The length by the count, in words."""
        return significant(self.operations) if self.operations else "does not cross" if self.fewer else "–"

    @property
    def by_clock(self) -> str:
        """The length by the clock, with its band in brackets: ``512 (480 to 551)``; an open end says so."""
        if self.clock is None:
            return "does not cross" if self.within else "–"
        low = significant(self.clock.low) if self.clock.low else "below reach"
        high = significant(self.clock.high) if math.isfinite(self.clock.high) else "beyond reach"
        return f"{significant(self.clock.value)} ({low} to {high})"


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where two layers change places.

    Attributes:
        layers: the two.
        held: layer → its sizes beside length and width.
        per_sequence: whether each was divided by its batch size, because they differ.
        rows: one a width.
        reason: one sentence on what the clock says.
        operations: one sentence on what the counts say; empty where they give no single answer.
    """

    layers: tuple[str, str]
    held: dict[str, Sizes]
    per_sequence: bool
    rows: tuple[CrossoverRow, ...]
    reason: str
    operations: str = ""

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form."""
        return {**asdict(self), "rows": [row.as_json() for row in self.rows]}

    def __repr__(self) -> str:
        return f"<Crossover {'; '.join(filter(None, (self.operations, self.reason)))}>"

    def _repr_html_(self) -> str:
        caption = titled(filter(None, (" and ".join(self.layers), self.operations, self.reason)))
        heads = ("d", "n* by operations", "n* by the clock", "faster beyond")
        rows = [(str(row.d), row.by_operations, row.by_clock, row.faster or "–") for row in self.rows]
        return str(card(caption, rows, heads if rows else ()))


def crossover(one: LayerInputs, other: LayerInputs, at: Sequence[int] = ()) -> Crossover:
    """Where two layers change places along n, at each d of `at`; without any, at powers of two within reach of both.

    Raises:
        FormulaError: a fitted term has no value at some length.
    """
    names = (one.law.layer, other.law.layer)
    widths = _overlap(one.reach("d", REACH), other.reach("d", REACH))
    lengths = _overlap(one.reach("n", FARTHEST), other.reach("n", FARTHEST))
    rows: tuple[CrossoverRow, ...] = ()
    if not (reason := _unanswerable(one.law, other.law, widths, lengths)):
        rows = tuple(_row(one, other, d, lengths) for d in at or _widths(widths))
        reason = _sentence(names, rows)
    held = {layer.law.layer: layer.held for layer in (one, other)}
    return Crossover(names, held, one.batch != other.batch, rows, reason)


def by_operations(one: LayerInputs, other: LayerInputs) -> str:
    """The exact answer of the counts where it is one line n = ratio·d; empty where it is not."""
    if one.flops is None or other.flops is None:
        return ""
    first, second = (replaced(per_sequence(layer.flops.text), layer.held) for layer in (one, other) if layer.flops)
    if (exact := crossing(first, second)) is None:
        return ""
    if exact.where == "equal":
        return f"{one.law.layer} needs as many counted operations as {other.law.layer}"
    where = {"never": "at no length", "always": "at every length"}.get(exact.where, "")
    if not where:
        bound = "d" if exact.ratio == 1 else f"{exact.ratio.numerator}*d/{exact.ratio.denominator}".removesuffix("/1")
        where = f"where n {'<' if exact.where == 'below' else '>'} {Formula(bound).pretty}"
    return f"{one.law.layer} needs fewer counted operations than {other.law.layer} {where}"


def _overlap(one: Ends, other: Ends) -> Ends:
    return max(one[0], other[0]), min(one[1], other[1])


def _unanswerable(one: Law, other: Law, widths: Ends, lengths: Ends) -> str:
    """Why the clock has no answer at all; empty when it may have one."""
    for law in (one, other):
        if law.curves is None:
            return f"no curve was fitted for {law.layer}: {law.reason}"
        if "n" not in law.window:
            return f"{law.layer} was measured at one length only, so nothing is known of how its time grows with n"
    for axis, (low, high), factor in (("d", widths, REACH), ("n", lengths, FARTHEST)):
        if low > high:
            ends = " and ".join(f"{law.layer} at {axis} = {_measured(law, axis)}" for law in (one, other))
            return f"{ends} were measured too far apart: a curve is followed {factor:.0f} times beyond its window"
    return ""


def _measured(law: Law, axis: str) -> str:
    low, high = law.window.get(axis, (law.fixed.get(axis, 0),) * 2)
    return f"{low}" if low == high else f"{low} to {high}"


def _widths(ends: Ends) -> list[int]:
    """Powers of two between `ends`; where there is none, the one size or the middle."""
    low, high = ends[0], min(ends[1], 2.0**_OCTAVES)
    powers = [2**power for power in range(_OCTAVES + 1) if low <= 2**power <= high]
    return powers if powers and low < high else [round(math.sqrt(low * high))]


def _row(one: LayerInputs, other: LayerInputs, d: int, lengths: Ends) -> CrossoverRow:
    operations, fewer = _by_operations(one, other, d)
    both = (one, other)
    grid = np.geomspace(*lengths, _LENGTHS)
    grid = np.array([n for n in grid if not any(layer.footprint.objection(layer.at(n, d)) for layer in both)])
    if len(grid) < 2:
        return CrossoverRow(d, operations, fewer)
    ratios = _log_ratios(one, other, grid, d)
    last = int(ratios[0, -1] >= 0)
    # From here on a negative ratio speaks for the layer that is faster at the longest sequence.
    crossings = _crossings(np.log(grid), ratios * (-1 if last else 1))
    best, pairs = crossings[0], crossings[1:] if len(crossings) > 1 else crossings
    share = float(np.mean((pairs > 0) & np.isfinite(pairs)))
    within = (float(grid[0]), float(grid[-1]))
    faster = both[last].law.layer
    if not best:
        return CrossoverRow(d, operations, fewer, None, faster, share, within)
    n = _narrowed(lambda n: float(_log_ratios(one, other, np.array([n]), d)[0, 0]), grid, best)
    low = float(np.quantile(pairs, (1 - LEVEL) / 2, method="lower"))
    high = float(np.quantile(pairs, (1 + LEVEL) / 2, method="higher"))
    clock = Estimate(n, min(low, n), max(high, n), LEVEL)
    factor = max(layer.law.extrapolation(layer.at(n, d))[0] for layer in both)
    return CrossoverRow(d, operations, fewer, clock, faster, share, within, factor)


def _log_ratios(one: LayerInputs, other: LayerInputs, lengths: Array, d: float) -> Array:
    """Logarithm of the time of `one` over that of `other`, for one sequence: best curves and pairs × lengths."""
    first, second = (layer.log_seconds(lengths, d) for layer in (one, other))
    number = min(len(first), len(second))
    # The curves of two laws may have been drawn alike, one for one: as pairs they have to be independent.
    pairs = 1 + np.random.default_rng(0).permutation(len(second) - 1)[: number - 1]
    ratios: Array = first[:number] - second[[0, *pairs]]
    return ratios


def _crossings(logs: Array, ratios: Array) -> Array:
    """Length from which on each row stays negative: 0 where it always is, infinite where it is not at the end."""
    crossings = np.zeros(len(ratios))
    for number, row in enumerate(ratios):
        behind = np.flatnonzero(row >= 0)
        if not len(behind):
            continue
        if (left := behind[-1]) == len(row) - 1:
            crossings[number] = math.inf
            continue
        part = row[left] / (row[left] - row[left + 1])
        crossings[number] = math.exp(logs[left] + part * (logs[left + 1] - logs[left]))
    return crossings


def _narrowed(ratio: Callable[[float], float], grid: Array, near: float) -> float:
    """The root of `ratio` between the two lengths of `grid` about `near`."""
    right = min(max(int(np.searchsorted(grid, near)), 1), len(grid) - 1)
    ends = float(grid[right - 1]), float(grid[right])
    # A root on the grid itself is found from either side.
    return float(brentq(ratio, *ends, xtol=1e-9)) if ratio(ends[0]) * ratio(ends[1]) <= 0 else float(near)


def _by_operations(one: LayerInputs, other: LayerInputs, d: int) -> tuple[float | None, str]:
    """Length from which on one layer needs fewer counted operations for a sequence, if there is one, and which."""
    if one.flops is None or other.flops is None:
        return None, ""

    def ratio(n: float) -> float:
        return math.log(one.work(n, d) / other.work(n, d))

    grid = 2.0 ** np.linspace(0, _OCTAVES, 4 * _OCTAVES + 1)
    try:
        ratios = np.array([ratio(n) for n in grid])
    except (FormulaError, ArithmeticError, ValueError):  # a count that is zero or has no value somewhere
        return None, ""
    if not ratios[-1]:
        return None, ""
    last = int(ratios[-1] > 0)
    [length] = _crossings(np.log(grid), ratios[None] * (-1 if last else 1))
    return _narrowed(ratio, grid, length) if length else None, (one, other)[last].law.layer


def _sentence(names: tuple[str, str], rows: Sequence[CrossoverRow]) -> str:
    """What the clock says, in one sentence."""
    within = [row for row in rows if row.within]
    crossed = [row for row in within if row.clock]
    if not within:
        return "at no width is a length on the measured side of the last cache for both layers"
    if not crossed:
        leads = {name: [str(row.d) for row in within if row.faster == name] for name in names}
        where = (f"{name} is faster at d = {', '.join(widths)}" for name, widths in leads.items() if widths)
        doubt = max(row.share for row in within)
        text = f"the two do not cross at any length within reach: {' and '.join(where)}"
        return text if doubt <= 1 - LEVEL else f"{text}, but up to {percent(doubt)} of the pairs of curves do cross"
    nearest = min(crossed, key=lambda row: row.extrapolation)
    slower = names[names[0] == nearest.faster]
    far = f"{nearest.extrapolation:.3g} times beyond a window" if nearest.extrapolation > 1 else "inside both windows"
    text = f"{nearest.faster} is faster than {slower} beyond n = {nearest.by_clock} at d = {nearest.d}, {far}"
    if len({row.faster for row in crossed}) > 1:
        text += "; which of the two is faster beyond changes with d"
    if len(crossed) < len(within):
        text += f"; at {len(within) - len(crossed)} of {len(within)} widths they do not cross within reach"
    return text
