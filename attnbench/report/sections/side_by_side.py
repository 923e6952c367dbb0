"""All layers of a run side by side at the sizes they share: what each costs, in counts and on the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from markupsafe import Markup

from attnbench import units
from attnbench.law import Law
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.record import Status
from attnbench.report.figures import maps
from attnbench.report.markup import math_text, picture
from attnbench.report.sections.trials import cell_text
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import CHOICES, describe

Sizes = tuple[int, ...]
Row = dict[Any, Any]
Table = dict[str, dict[Sizes, Row]]

#: Layers are compared where these agree; what else a layer has, such as heads or a kernel width, is its own.
_SHARED = ("b", "n", "d")
_MIN_LAYERS = 3
#: Dots of one layer that can be told apart.
_MAX_DOTS = 60


@dataclass(frozen=True, slots=True)
class SideBySideRow:
    """One layer at sizes that all layers share: its counts, its time, and its time over that of the first layer."""

    layer: str
    about: str
    flops: str
    formula: Markup
    parameters: str
    peak_bytes: str
    seconds: str
    ratio: str


@dataclass(frozen=True, slots=True)
class SideBySide:
    """All layers at the same sizes; without rows where they share none."""

    sizes: str = ""
    first: str = ""
    rows: tuple[SideBySideRow, ...] = ()
    spread: Gallery = field(default_factory=Gallery)


def side_by_side(run: StoredRun) -> SideBySide:
    """All layers at the largest sizes they share; empty where fewer than three were timed or they share none."""
    table = _table(run)
    shared = set.intersection(*map(set, table.values())) if table else set()
    if len(table) < _MIN_LAYERS or not shared:
        return SideBySide()
    largest = max(shared, key=lambda sizes: (math.prod(sizes), sizes))
    first = next(iter(table))
    work = {law.layer: law for law in reversed(run.found_laws) if law.metric == "flops"}
    rows = tuple(_row(work.get(layer), rows[largest], table[first][largest]) for layer, rows in table.items())
    at = describe(dict(zip(_SHARED, largest, strict=True)))
    return SideBySide(at, first, rows, _spread(table, sorted(shared), first))


def _table(run: StoredRun) -> Table:
    """What was timed, in the order of the suite.

    Of a layer that was timed at several sizes of its own, such as numbers of heads, the first counts. Only the first
    of all choices is looked at, and only where it is the forward pass.
    """
    rows = [row for row in run.records.to_dict("records") if row["status"] == Status.OK and row["mode"] == "forward"]
    table: Table = {layer: {} for layer in run.info.plan.suite.layers}
    for row in rows:
        if all(row[choice] == rows[0][choice] for choice in CHOICES):
            table.setdefault(row["layer"], {}).setdefault(tuple(row[axis] for axis in _SHARED), row)
    return {layer: timed for layer, timed in table.items() if timed}


def _row(work: Law | None, row: Row, first: Row) -> SideBySideRow:
    layer = row["layer"]
    return SideBySideRow(
        layer=layer,
        about=Registry().summary(layer) if layer in BUILT_IN else "",
        flops=cell_text(units.flops, row["flops"]),
        formula=math_text(work.formula if work else None),
        parameters=cell_text(units.count, row["parameters"]),
        peak_bytes=cell_text(units.nbytes, row["peak_bytes"]),
        seconds=units.seconds(row["seconds"]),
        ratio=_times(row["seconds"] / first["seconds"]),
    )


def _times(ratio: float) -> str:
    """``1.04×``, ``0.00071×``."""
    return f"{float(units.significant(ratio, 3 if ratio >= 1 else 2)):g}×"


def _spread(table: Table, shared: list[Sizes], first: str) -> Gallery:
    """Every layer's time over that of the first, a dot for each of the sizes that they share."""
    if len(shared) < 2:
        return Gallery()
    ratios = {
        layer: [(sizes[1], rows[sizes]["seconds"] / table[first][sizes]["seconds"]) for sizes in shared]
        for layer, rows in table.items()
        if layer != first
    }
    step = -(-len(shared) // _MAX_DOTS)
    few = {layer: row[::step] for layer, row in ratios.items()}
    drawn = picture(maps.spread(few, first), f"Time over that of {first}", _describe(ratios))
    which = "each" if step == 1 else f"{len(shared[::step])}"
    caption = (
        f"A dot for {which} of the {len(shared)} sizes that all layers were timed at, in the colour of its length n, "
        f"from the shortest (green on light paper, blue on dark) to the longest. The dashed line is {first}."
    )
    return Gallery((drawn,), caption)


def _describe(ratios: dict[str, list[tuple[int, float]]]) -> str:
    sorted_ratios = {layer: sorted(ratio for _, ratio in row) for layer, row in ratios.items()}
    return " ".join(
        f"{layer}: from {_times(row[0])} to {_times(row[-1])}, middle {_times(median(row))}."
        for layer, row in sorted_ratios.items()
    )
