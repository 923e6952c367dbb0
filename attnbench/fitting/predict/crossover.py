"""Where one layer overtakes another: the length n* at each width d, by the counted operations and by the clock.

By the clock n* is where two fitted curves meet. Its band comes from pairs of curves, one drawn for each layer: a pair
may meet elsewhere, or nowhere within reach, and then the band is open on that side. Within reach is what a forecast
would be given for: not too far from the window of either layer, and on the side of the last cache that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq

from attnbench.errors import FormulaError
from attnbench.fitting.model.observations import Array
from attnbench.fitting.predict.forecast import Footprint
from attnbench.formula import Formula
from attnbench.law import FARTHEST, Estimate, Law
from attnbench.trial import Sizes
from attnbench.units import percent, significant

#: Widths are asked for up to this many times beyond what was measured; lengths as far as a forecast goes.
REACH = 4.0
#: Lengths at which two curves are compared before the place where they meet is narrowed down.
_LENGTHS = 129
#: Counts are exact at any length; beyond 2 to this power nobody asks.
_OCTAVES = 30
LEVEL = 0.9

Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two layers.

    Attributes:
        law: its law of time.
        flops: counted operations; None where they are not counted exactly.
        footprint: what is known of its memory.
    """

    law: Law
    flops: Formula | None = None
    footprint: Footprint = field(default_factory=Footprint)

    @property
    def held(self) -> Sizes:
        """Sizes beside length and width: those that every trial had, or the middle of what was measured."""
        middles = {axis: round(math.sqrt(low * high)) for axis, (low, high) in self.law.window.items()}
        return {axis: size for axis, size in {**self.law.fixed, **middles}.items() if axis not in ("n", "d")}

    @property
    def batch(self) -> int:
        """Sequences in a batch."""
        return self.held.get("b", 1)

    def at(self, n: float, d: float) -> dict[str, float]:
        """All sizes at a length and a width."""
        return {**self.held, "n": n, "d": d}

    def reach(self, axis: str, factor: float) -> Ends:
        """Smallest and largest size of an axis, `factor` times beyond the window; the only size of a fixed axis."""
        if axis in self.law.window:
            low, high = self.law.window[axis]
            return max(1.0, low / factor), high * factor
        size = self.law.fixed.get(axis)
        return (1.0, math.inf) if size is None else (float(size), float(size))


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two layers at one width.

    Attributes:
        d: the width.
        operations: length from which on one layer needs fewer counted operations; None where it does at every length.
        fewer: that layer; empty where the counts are equal or not known.
        clock: length from which on one layer is faster, with a band whose open ends are 0 and infinite; None where one
            is faster at every length within reach.
        faster: that layer; empty where no length is within reach.
        share: share of the pairs of curves that meet within reach.
        within: the shortest and the longest sequence within reach; None where there is none.
        extrapolation: how many times beyond a window the meeting is; 1 inside both.
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
    rows: tuple[Meeting, ...]
    reason: str
    operations: str = ""

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form."""
        return {**asdict(self), "rows": [row.as_json() for row in self.rows]}

    def __repr__(self) -> str:
        return f"<Crossover {'; '.join(filter(None, (self.operations, self.reason)))}>"

    def _repr_html_(self) -> str:
        from attnbench.fitting.show import crossover_card

        return str(crossover_card(self))


def crossover(one: Side, other: Side, at: Sequence[int] = ()) -> Crossover:
    """Where two layers change places along n, at each d of `at`; without any, at powers of two within reach of both.

    Raises:
        FormulaError: a fitted term has no value at some length.
    """
    names = (one.law.layer, other.law.layer)
    widths = _overlap(one.reach("d", REACH), other.reach("d", REACH))
    lengths = _overlap(one.reach("n", FARTHEST), other.reach("n", FARTHEST))
    rows: tuple[Meeting, ...] = ()
    if not (reason := _unanswerable(one.law, other.law, widths, lengths)):
        rows = tuple(_meeting(one, other, d, lengths) for d in at or _widths(widths))
        reason = _said(names, rows)
    held = {side.law.layer: side.held for side in (one, other)}
    return Crossover(names, held, one.batch != other.batch, rows, reason)


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


def _meeting(one: Side, other: Side, d: int, lengths: Ends) -> Meeting:
    operations, fewer = _by_operations(one, other, d)
    sides = (one, other)
    grid = np.geomspace(*lengths, _LENGTHS)
    grid = np.array([n for n in grid if not any(side.footprint.objection(side.at(n, d)) for side in sides)])
    if len(grid) < 2:
        return Meeting(d, operations, fewer)
    ratios = _log_ratios(one, other, grid, d)
    last = int(ratios[0, -1] >= 0)
    # From here on a negative ratio speaks for the layer that is faster at the longest sequence.
    meetings = _takeovers(np.log(grid), ratios * (-1 if last else 1))
    found, pairs = meetings[0], meetings[1:] if len(meetings) > 1 else meetings
    share = float(np.mean((pairs > 0) & np.isfinite(pairs)))
    within = (float(grid[0]), float(grid[-1]))
    faster = sides[last].law.layer
    if not found:
        return Meeting(d, operations, fewer, None, faster, share, within)
    n = _narrowed(lambda n: float(_log_ratios(one, other, np.array([n]), d)[0, 0]), grid, found)
    low = float(np.quantile(pairs, (1 - LEVEL) / 2, method="lower"))
    high = float(np.quantile(pairs, (1 + LEVEL) / 2, method="higher"))
    clock = Estimate(n, min(low, n), max(high, n), LEVEL)
    factor = max(side.law.extrapolation(side.at(n, d))[0] for side in sides)
    return Meeting(d, operations, fewer, clock, faster, share, within, factor)


def _log_ratios(one: Side, other: Side, lengths: Array, d: float) -> Array:
    """Logarithm of the time of `one` over that of `other`, for one sequence: best curves and pairs × lengths."""
    first, second = (log_seconds(side, lengths, d) for side in (one, other))
    number = min(len(first), len(second))
    # The curves of two laws may have been drawn alike, one for one: as pairs they have to be independent.
    pairs = 1 + np.random.default_rng(0).permutation(len(second) - 1)[: number - 1]
    ratios: Array = first[:number] - second[[0, *pairs]]
    return ratios


def log_seconds(side: Side, lengths: Array, d: float) -> Array:
    """Logarithm of the seconds for one sequence: curve × length. It is `Curves.at` for many lengths at once."""
    curves, sizes = side.law.curves, [side.at(n, d) for n in map(float, lengths)]
    if curves is None:
        raise ValueError(f"{side.law.layer} has no curve")
    formulas, rows = [Formula(term) for term in curves.terms], np.array(curves.draws)
    terms = np.array([[float(formula.evaluate(at)) for formula in formulas] for at in sizes])
    logs = np.log([[at[axis] for axis in curves.bends] for at in sizes])
    split = 1 + len(formulas)
    whole = rows[:, :1] + (rows[:, 1:split] @ terms.T) * np.exp(rows[:, split:] @ logs.T)
    # A curve that was drawn far from the others may fall below zero outside its window.
    seconds: Array = np.log(np.maximum(whole / side.batch, np.finfo(float).tiny))
    return seconds


def _takeovers(logs: Array, ratios: Array) -> Array:
    """Length from which on each row stays negative: 0 where it always is, infinite where it is not at the end."""
    found = np.zeros(len(ratios))
    for number, row in enumerate(ratios):
        behind = np.flatnonzero(row >= 0)
        if not len(behind):
            continue
        if (left := behind[-1]) == len(row) - 1:
            found[number] = math.inf
            continue
        part = row[left] / (row[left] - row[left + 1])
        found[number] = math.exp(logs[left] + part * (logs[left + 1] - logs[left]))
    return found


def _narrowed(ratio: Callable[[float], float], grid: Array, near: float) -> float:
    """The root of `ratio` between the two lengths of `grid` about `near`."""
    right = min(max(int(np.searchsorted(grid, near)), 1), len(grid) - 1)
    ends = float(grid[right - 1]), float(grid[right])
    # A root on the grid itself is found from either side.
    return float(brentq(ratio, *ends, xtol=1e-9)) if ratio(ends[0]) * ratio(ends[1]) <= 0 else float(near)


def _by_operations(one: Side, other: Side, d: int) -> tuple[float | None, str]:
    """Length from which on one layer needs fewer counted operations for a sequence, if there is one, and which."""
    sides = (one, other)
    if one.flops is None or other.flops is None:
        return None, ""

    def ratio(n: float) -> float:
        work = [float(side.flops.evaluate(side.at(n, d))) / side.batch for side in sides if side.flops]
        return math.log(work[0] / work[1])

    grid = 2.0 ** np.linspace(0, _OCTAVES, 4 * _OCTAVES + 1)
    try:
        ratios = np.array([ratio(n) for n in grid])
    except (FormulaError, ArithmeticError, ValueError):  # a count that is zero or has no value somewhere
        return None, ""
    if not ratios[-1]:
        return None, ""
    last = int(ratios[-1] > 0)
    [found] = _takeovers(np.log(grid), ratios[None] * (-1 if last else 1))
    return _narrowed(ratio, grid, found) if found else None, sides[last].law.layer


def _said(names: tuple[str, str], rows: Sequence[Meeting]) -> str:
    """What the clock says, in one sentence."""
    asked = [row for row in rows if row.within]
    crossed = [row for row in asked if row.clock]
    if not asked:
        return "at no width is a length on the measured side of the last cache for both layers"
    if not crossed:
        leads = {name: [str(row.d) for row in asked if row.faster == name] for name in names}
        where = (f"{name} is faster at d = {', '.join(widths)}" for name, widths in leads.items() if widths)
        doubt = max(row.share for row in asked)
        text = f"the two do not cross at any length within reach: {' and '.join(where)}"
        return text if doubt <= 1 - LEVEL else f"{text}, but up to {percent(doubt)} of the pairs of curves do cross"
    nearest = min(crossed, key=lambda row: row.extrapolation)
    slower = names[names[0] == nearest.faster]
    far = f"{nearest.extrapolation:.3g} times beyond a window" if nearest.extrapolation > 1 else "inside both windows"
    text = f"{nearest.faster} is faster than {slower} beyond n = {band(nearest)} at d = {nearest.d}, {far}"
    if len({row.faster for row in crossed}) > 1:
        text += "; which of the two is faster beyond changes with d"
    if len(crossed) < len(asked):
        text += f"; at {len(asked) - len(crossed)} of {len(asked)} widths they do not cross within reach"
    return text


def band(row: Meeting) -> str:
    """Where two curves meet, with the band in brackets: ``512 (480 to 551)``; an open end says so."""
    if row.clock is None:
        return "does not cross"
    low = significant(row.clock.low) if row.clock.low else "below reach"
    high = significant(row.clock.high) if math.isfinite(row.clock.high) else "beyond reach"
    return f"{significant(row.clock.value)} ({low} to {high})"
