"""Who wins where, over length and width: the fastest layer by fitted curves, and the leanest by counted bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

import numpy as np

from attnbench.errors import FormulaError
from attnbench.fitting.predict.crossover import REACH
from attnbench.fitting.predict.inputs import LayerInputs, RunInputs
from attnbench.fitting.predict.winners import Winners, equal_work, fastest, leanest, sizes_within_reach, unanswerable
from attnbench.formula.crossing import crossing, replaced
from attnbench.law import FARTHEST, Law
from attnbench.report import figures, words
from attnbench.report.markup import picture
from attnbench.report.sections.crossovers import held_sizes
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.units import nbytes, percent, seconds, significant

Holder = tuple[str, ...]

#: Areas with a letter and a colour of their own: that many, and none that is smaller than this share of its map.
_MAX_AREAS, _MIN_SHARE = 8, 0.02
#: Letters of a name in a legend.
_LONGEST_NAME = 44
#: Lengths and widths of the table.
_ROWS, _COLUMNS = 4, 3


@dataclass(frozen=True, slots=True)
class WinnerCell:
    """Who wins at one size, or a dash; and how clearly."""

    layer: str
    note: str
    close: bool = False


@dataclass(frozen=True, slots=True)
class WinnerTable:
    """A map read at a few sizes: a row for each length, a cell for each width."""

    title: str
    widths: tuple[str, ...]
    rows: tuple[tuple[str, tuple[WinnerCell, ...]], ...]


@dataclass(frozen=True, slots=True)
class WinnerMaps:
    """Maps of one choice of device, dtype, mode and threads; where none can be drawn, the reason."""

    conditions: str
    maps: Gallery = field(default_factory=Gallery)
    tables: tuple[WinnerTable, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Kind:
    """One of the two maps: its words, and how its values are written."""

    title: str
    wins: str
    written: Callable[[float], str]


_TIME = _Kind("least time for a sequence", "fastest", seconds)
_BYTES = _Kind("least counted memory for a sequence", "leanest", nbytes)


def winners(run: StoredRun) -> tuple[WinnerMaps, ...]:
    """Two maps for each choice of device, dtype, mode and threads; one reason where there is no map at all."""
    groups: dict[str, list[Law]] = {}
    for law in run.found_laws:
        if law.metric == "time":
            groups.setdefault(str(law.choices), []).append(law)
    inputs = RunInputs(run)
    every = [_group(inputs, conditions, laws) for conditions, laws in groups.items()]
    return tuple(one for one in every if one.tables) or tuple(every[:1])


def _group(inputs: RunInputs, conditions: str, laws: Sequence[Law]) -> WinnerMaps:
    sides = [inputs.of(law) for law in laws if law.curves is not None and {"n", "d"} <= set(law.window)]
    if reason := unanswerable(sides):
        return WinnerMaps(conditions, reason=words.sentence(reason))
    try:
        by_time = fastest(sides, sizes_within_reach(sides)).cropped()
    except FormulaError:
        return WinnerMaps(conditions, reason="A term of a law has no value at some of these sizes.")
    if min(by_time.sizes.shape) < 2:
        return WinnerMaps(conditions, reason="Nowhere may two of the curves be followed to the same sizes.")
    by_bytes = leanest(sides, by_time.sizes)
    return _Drawn(sides, by_time, by_bytes).values(conditions)


@dataclass(frozen=True)
class _Drawn:
    """The two maps of a group, on the same sizes."""

    sides: Sequence[LayerInputs]
    by_time: Winners
    by_bytes: Winners

    def values(self, conditions: str) -> WinnerMaps:
        kinds = [(_TIME, self.by_time), *([(_BYTES, self.by_bytes)] if self.by_bytes.cells else [])]
        boundary = _Boundary(self.sides, self.by_time)
        pictures = tuple(
            picture(
                figures.winner_map(self._map(kind, territory, boundary)),
                f"Territories: {kind.title}",
                _described(kind, territory, boundary),
            )
            for kind, territory in kinds
        )
        tables = tuple(self._table(kind, territory) for kind, territory in kinds)
        return WinnerMaps(conditions, Gallery(pictures, self._caption(boundary)), tables)

    def _map(self, kind: _Kind, territory: Winners, boundary: _Boundary) -> figures.WinnerMap:
        return figures.WinnerMap(
            title=kind.title,
            lengths=territory.sizes.lengths,
            widths=territory.sizes.widths,
            areas=tuple(self._areas(territory)),
            close=territory.close & (territory.owner >= 0),
            boundary=boundary.line,
            boundary_name=boundary.name,
            measured=_measured(self.sides, territory),
            complete=territory.compared == len(self.sides),
        )

    @property
    def _main(self) -> dict[Holder, int]:
        """Holders of a colour → its rank, on both maps alike."""
        shares: dict[Holder, float] = {}
        for territory in (self.by_time, self.by_bytes):
            for holder, share in _shares(territory).items():
                shares[holder] = max(share, shares.get(holder, 0.0))
        largest = sorted(shares, key=lambda holder: -shares[holder])[:_MAX_AREAS]
        return {holder: rank for rank, holder in enumerate(largest) if shares[holder] >= _MIN_SHARE}

    def _areas(self, territory: Winners) -> list[figures.WinnerArea]:
        main, shares, areas, others = self._main, _shares(territory), [], []
        for holder, share in shares.items():
            if holder in main:
                name, cells = _name(holder), territory.owner == territory.holders.index(holder)
                legend = f"{_cut(name)}, {100 * share:.0f} %"
                areas.append(figures.WinnerArea(ascii_uppercase[main[holder]], name, legend, cells, main[holder]))
            else:
                others.append(holder)
        if others:
            cells = np.isin(territory.owner, [territory.holders.index(holder) for holder in others])
            names = ", ".join(map(_name, others))
            areas.append(figures.WinnerArea("*", "others", _cut(f"others: {names}"), cells, None))
        return areas

    def _table(self, kind: _Kind, territory: Winners) -> WinnerTable:
        rows = _few(territory.sizes.lengths, [one.law.window["n"] for one in self.sides], _ROWS)
        columns = _few(territory.sizes.widths, [one.law.window["d"] for one in self.sides], _COLUMNS)
        lengths, widths = territory.sizes.lengths, territory.sizes.widths
        return WinnerTable(
            f"The {kind.wins} at a few sizes",
            tuple(f"d = {widths[row]}" for row in columns),
            tuple(
                (f"n = {lengths[column]}", tuple(self._cell(kind, territory, (row, column)) for row in columns))
                for column in rows
            ),
        )

    def _cell(self, kind: _Kind, territory: Winners, cell: tuple[int, int]) -> WinnerCell:
        if territory.owner[cell] < 0:
            return WinnerCell("—", "fewer than two curves reach" if kind is _TIME else "not counted")
        holder, rival = territory.holders[territory.owner[cell]], territory.rival[cell]
        value = kind.written(float(territory.least[cell]))
        next_one = ""
        if rival >= 0:
            next_one = f"; next {territory.layers[rival]}, {significant(float(territory.ratio[cell]))}×"
        close = bool(territory.close[cell])
        compared = int(territory.compared[cell])
        of = "" if compared == len(self.sides) else f"; of {compared} layers"
        return WinnerCell(_name(holder), f"{value}{next_one}{of}", close)

    def _caption(self, boundary: _Boundary) -> str:
        decided = float((self.by_time.owner >= 0).mean())
        blank = f"{percent(1 - decided)} of the first map is blank." if decided < 1 else ""
        every = self.by_time.compared == len(self.sides)
        within = "Only within the thin line are all layers compared." if every.any() else "Nowhere are all compared."
        held = held_sizes(self.sides)
        other = f"Sizes beside n and d: {held}." if held else ""
        return " ".join(filter(None, (_CAPTION, blank, "" if every.all() else within, boundary.sentence, other)))


_CAPTION = (
    "Both scales are logarithmic, with three cells to an octave. By the clock the lowest fitted curve wins a cell, "
    "among the layers whose curves may be followed there: up to "
    f"{FARTHEST:.0f} times beyond the lengths and {REACH:.0f} times beyond the widths that were measured, and not "
    "across the edge of the last cache; a cell that fewer than two curves reach is left blank. Hatched cells are too "
    "close to call: the 90 % band of the ratio to another layer, over pairs of curves drawn within the uncertainty of "
    "both, reaches across 1. Memory is the counted peak of live tensors, exact at every size, without weights; equal "
    "bytes are a tie."
)


class _Boundary:
    """Where the counted work of the two that lead by the clock is equal."""

    def __init__(self, sides: Sequence[LayerInputs], territory: Winners) -> None:
        leaders = territory.leaders
        self._pair = [one for name in leaders or () for one in sides if one.law.layer == name]
        self.line = equal_work(self._pair[0], self._pair[1], territory.sizes) if leaders else ()

    @property
    def _names(self) -> str:
        return " and ".join(one.law.layer for one in self._pair)

    @property
    def _where(self) -> str:
        """The boundary as an equation, where it is a straight line through the origin: ``n = 2d``."""
        first, second = (f"({replaced(one.flops.text, one.held)})/{one.batch}" for one in self._pair if one.flops)
        try:
            border = crossing(first, second)
        except FormulaError:
            return ""
        if border is None or not border.ratio:
            return ""
        return f"n = {'' if border.ratio == 1 else words.shorter(significant(float(border.ratio)))}d"

    @property
    def name(self) -> str:
        """For the legend."""
        return f"equal counted work{f': {self._where}' if self.line and self._where else ''}"

    @property
    def sentence(self) -> str:
        """For the caption."""
        if not self._pair:
            return ""
        if self.line:
            where = f" ({self._where})" if self._where else ""
            return f"The dashed line is where {self._names}, which lead by the clock, need equal counted FLOPs{where}."
        if any(one.flops is None for one in self._pair):
            return f"There is no line of equal work: that of {self._names} is not counted exactly for both."
        return f"There is no line of equal work: that of {self._names}, which lead by the clock, is nowhere equal here."


def _name(holder: Holder) -> str:
    return " = ".join(holder)


def _cut(text: str) -> str:
    """A name that leaves room in a legend; the text alternative has all of it."""
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _shares(territory: Winners) -> dict[Holder, float]:
    decided = int((territory.owner >= 0).sum())
    return {holder: cells / decided for holder, cells in territory.cells.items()}


def _measured(sides: Sequence[LayerInputs], territory: Winners) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The lengths and the widths within the windows of all layers; None where they have none in common."""
    ends = []
    for axis in ("n", "d"):
        windows = [one.law.window[axis] for one in sides]
        ends.append((max(low for low, _ in windows), min(high for _, high in windows)))
    return (ends[0], ends[1]) if all(low < high for low, high in ends) else None


def _few(sizes: Sequence[int], windows: Sequence[tuple[int, int]], most: int) -> list[int]:
    """Places of a few powers of two among `sizes`, spread evenly over what was measured for any layer."""
    low, high = min(low for low, _ in windows), max(high for _, high in windows)
    inside = [place for place, size in enumerate(sizes) if low <= size <= high]
    places = [place for place in inside if sizes[place] & (sizes[place] - 1) == 0] or inside or [len(sizes) // 2]
    step = (len(places) - 1) / (most - 1)
    return places if len(places) <= most else [places[round(number * step)] for number in range(most)]


def _described(kind: _Kind, territory: Winners, boundary: _Boundary) -> str:
    parts = []
    for holder, share in _shares(territory).items():
        rows, columns = np.nonzero(territory.owner == territory.holders.index(holder))
        n, d = territory.sizes.lengths, territory.sizes.widths
        where = f"n from {n[columns.min()]} to {n[columns.max()]}, d from {d[rows.min()]} to {d[rows.max()]}"
        parts.append(f"{_name(holder)}: {kind.wins} in {percent(share)} of the map, {where}.")
    decided = territory.owner >= 0
    if territory.close.any():
        parts.append(f"Too close to call in {percent(float(territory.close[decided].mean()))} of it.")
    if not decided.all():
        parts.append(f"Nothing is said of {percent(float(1 - decided.mean()))} of the sizes shown.")
    return " ".join([*parts, boundary.sentence])
