"""Who wins where: over length n and width d, which layer takes least time for a sequence, and which least memory.

By the clock the winner of a cell is the layer whose fitted curve is lowest there, of those that may be followed so far:
the reach is that of a crossover. The winner is told from another layer where the band of their ratio, over pairs of
curves drawn one for each, stays on one side of 1. By counted bytes the winner is exact, and so is a tie.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

from attnbench.errors import FormulaError
from attnbench.fitting.model.observations import Array
from attnbench.fitting.predict.crossover import LEVEL, REACH
from attnbench.fitting.predict.inputs import Ends, LayerInputs
from attnbench.law import FARTHEST

#: Cells of a map to an octave, along each axis; powers of two are among them.
_CELLS = 3
#: A map needs this many cells along each axis.
_MIN_CELLS = 2
#: Of a map with fewer curves in a cell nothing is said there.
_MIN_CURVES = 2

Grid = np.ndarray[Any, np.dtype[np.intp]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Sizes:
    """The cells of a map: lengths from left to right, and widths from the bottom up."""

    lengths: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Widths × lengths."""
        return len(self.widths), len(self.lengths)


@dataclass(frozen=True)
class Winners:
    """A map, each table widths × lengths.

    Attributes:
        sizes: its cells.
        holders: who holds cells: a layer, or several that tie.
        owner: number of the holder of each cell; -1 where nothing is said.
        close: where the holder cannot be told from another layer.
        least: seconds or bytes that one sequence takes with the holder.
        rival: number, in `layers`, of the next layer; -1 where there is none.
        ratio: of the rival's seconds or bytes to the holder's.
        compared: how many layers there were to compare.
        layers: names of all layers.
    """

    sizes: Sizes
    holders: tuple[tuple[str, ...], ...]
    owner: Grid
    close: Flags
    least: Array
    rival: Grid
    ratio: Array
    compared: Grid
    layers: tuple[str, ...]

    @property
    def cells(self) -> dict[tuple[str, ...], int]:
        """Holder → number of its cells, the largest first."""
        counts = Counter(int(number) for number in self.owner.flat if number >= 0)
        return {self.holders[number]: count for number, count in counts.most_common()}

    @property
    def leaders(self) -> tuple[str, str] | None:
        """The two layers that hold most cells; where one holds all, it and whoever is next to it most often."""
        first, *others = [layer for holder in self.cells for layer in holder] or [""]
        if others:
            return first, others[0]
        rivals = Counter(int(number) for number in self.rival[self.owner >= 0] if number >= 0)
        return (first, self.layers[rivals.most_common(1)[0][0]]) if rivals else None

    def cropped(self) -> Winners:
        """The same without the rows and columns at its edges of which nothing is said."""
        decided = self.owner >= 0
        if not decided.any():
            return self
        rows, columns = (np.flatnonzero(decided.any(axis=axis)) for axis in (1, 0))
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        sizes = Sizes(self.sizes.lengths[part[1]], self.sizes.widths[part[0]])
        tables = {name: getattr(self, name)[part] for name in ("owner", "close", "least", "rival", "ratio", "compared")}
        return replace(self, sizes=sizes, **tables)


def sizes_within_reach(inputs: Sequence[LayerInputs]) -> Sizes:
    """Every size that at least two curves may be followed to, on the grid that all maps share."""
    n, d = ([layer.reach(axis, factor) for layer in inputs] for axis, factor in (("n", FARTHEST), ("d", REACH)))
    return Sizes(_grid(n), _grid(d))


def _grid(ends: Sequence[Ends]) -> tuple[int, ...]:
    """Sizes between the second lowest end and the second highest: beyond them is one layer at the most."""
    low, high = sorted(low for low, _ in ends)[1], sorted(high for _, high in ends)[-2]
    steps = range(math.ceil(_CELLS * math.log2(low) - 1e-9), math.floor(_CELLS * math.log2(high) + 1e-9) + 1)
    return tuple(sorted({round(2 ** (step / _CELLS)) for step in steps}))


def unanswerable(inputs: Sequence[LayerInputs]) -> str:
    """Why no map can be drawn of these layers; empty when one may be."""
    if len(inputs) < _MIN_CURVES:
        return "a map compares layers, and fewer than two have a curve over length and width"
    sizes = sizes_within_reach(inputs)
    if min(sizes.shape) < _MIN_CELLS:
        return "no two of the curves reach a common range of lengths and widths"
    return ""


def fastest(inputs: Sequence[LayerInputs], sizes: Sizes) -> Winners:
    """Who takes least time for a sequence; where fewer than two curves reach, nothing is said.

    Raises:
        FormulaError: a fitted term has no value at some size.
    """
    drawing = _Drawing(inputs, sizes)
    for row, d in enumerate(sizes.widths):
        logs = [_shuffled(layer.log_seconds(np.array(sizes.lengths), d), place) for place, layer in enumerate(inputs)]
        count = min(map(len, logs))
        curves = np.array([log[:count] for log in logs])  # layer × curve × length
        for column, n in enumerate(sizes.lengths):
            here = [place for place, layer in enumerate(inputs) if _reaches(layer, n, d)]
            if len(here) >= _MIN_CURVES:
                drawing.put((row, column), here, np.exp(curves[here, 0, column]))
                drawing.close[row, column] = _undecided(curves[here, :, column])
    return drawing.done()


def leanest(inputs: Sequence[LayerInputs], sizes: Sizes) -> Winners:
    """Whose counted live tensors are smallest for a sequence; layers whose bytes are not known are left out."""
    drawing = _Drawing(inputs, sizes)
    for row, d in enumerate(sizes.widths):
        for column, n in enumerate(sizes.lengths):
            known = {place: size for place, layer in enumerate(inputs) if (size := _bytes(layer, n, d)) is not None}
            if len(known) >= _MIN_CURVES:
                drawing.put((row, column), list(known), np.array(list(known.values())))
    return drawing.done()


def equal_work(one: LayerInputs, other: LayerInputs, sizes: Sizes) -> tuple[Point, ...]:
    """Places (n, d) at which both need as many counted operations for a sequence, as one line across the map.

    It is followed along whichever axis it crosses more often; where it meets a row or a column several times, the last
    crossing counts, from which on the order stays.
    """
    if one.flops is None or other.flops is None:
        return ()
    try:
        rows = [(_last_root(partial(_excess, one, other, d=d), sizes.lengths), d) for d in sizes.widths]
        columns = [(n, _last_root(partial(_excess, one, other, n), sizes.widths)) for n in sizes.lengths]
    except (FormulaError, ArithmeticError, ValueError):  # a count that is zero or has no value somewhere
        return ()
    by_row = tuple((n, float(d)) for n, d in rows if n is not None)
    by_column = tuple((float(n), d) for n, d in columns if d is not None)
    return by_row if len(by_row) >= len(by_column) else by_column


def _excess(one: LayerInputs, other: LayerInputs, n: float, d: float) -> float:
    """Logarithm of the counted operations of `one` for a sequence over those of `other`."""
    return math.log(one.work(n, d) / other.work(n, d))


def _last_root(excess: Callable[[float], float], sizes: Sequence[int]) -> float | None:
    values = [excess(float(size)) for size in sizes]
    for (left, low), (right, high) in reversed(list(pairwise(zip(sizes, values, strict=True)))):
        if low * high < 0 or (high == 0) != (low == 0):
            return float(brentq(excess, left, right, xtol=1e-9))
    return None


class _Drawing:
    """A map in the making."""

    def __init__(self, inputs: Sequence[LayerInputs], sizes: Sizes) -> None:
        self._layers, self._sizes = tuple(layer.law.layer for layer in inputs), sizes
        self._holders: dict[tuple[str, ...], int] = {}
        self.owner, self.rival = np.full(sizes.shape, -1), np.full(sizes.shape, -1)
        self.least, self.ratio = np.full(sizes.shape, np.nan), np.full(sizes.shape, np.nan)
        self.compared, self.close = np.zeros(sizes.shape, dtype=int), np.zeros(sizes.shape, dtype=bool)

    def put(self, cell: tuple[int, int], here: Sequence[int], values: Array) -> None:
        """What each of the layers `here` takes in a cell."""
        least = values.min()
        winners = tuple(self._layers[place] for place, value in zip(here, values, strict=True) if value == least)
        self.owner[cell] = self._holders.setdefault(winners, len(self._holders))
        self.least[cell], self.compared[cell] = least, len(here)
        others = [(value, place) for place, value in zip(here, values, strict=True) if value > least]
        if others:
            value, self.rival[cell] = min(others)
            self.ratio[cell] = value / least

    def done(self) -> Winners:
        tables = (self.owner, self.close, self.least, self.rival, self.ratio, self.compared)
        return Winners(self._sizes, tuple(self._holders), *tables, self._layers)


def _shuffled(logs: Array, seed: int) -> Array:
    """Curves in an order of their own: those of two laws may have been drawn alike, and pairs are independent."""
    order = np.random.default_rng(seed).permutation(len(logs) - 1) + 1
    return np.asarray(logs[[0, *order]])


def _undecided(curves: Array) -> bool:
    """Whether the band of the best curve's ratio to another, over pairs that were drawn, reaches across 1."""
    best = int(curves[:, 0].argmin())
    pairs = curves[:, 1:] if curves.shape[1] > 1 else curves
    ratios = np.delete(pairs[best] - pairs, best, axis=0)
    return bool((np.quantile(ratios, (1 + LEVEL) / 2, axis=1, method="higher") >= 0).any())


def _reaches(layer: LayerInputs, n: int, d: int) -> bool:
    """Whether a curve may be followed to a size: near enough its window, and on the measured side of the cache."""
    near = all(
        low <= size <= high for size, (low, high) in ((n, layer.reach("n", FARTHEST)), (d, layer.reach("d", REACH)))
    )
    return near and not layer.footprint.objection(layer.at(n, d))


def _bytes(layer: LayerInputs, n: int, d: int) -> float | None:
    """Counted bytes of the live tensors for one sequence; None where they are not known."""
    peak, sizes = layer.footprint.peak, layer.at(n, d)
    if peak is None or not peak.axes <= set(sizes):
        return None
    try:
        return float(Fraction(peak.evaluate(sizes)) / layer.batch)
    except FormulaError:
        return None
