"""All layers of a run side by side at the sizes they share: what each costs, in counts and on the clock."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any

import pandas as pd

from attnbench import units
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.record import Status
from attnbench.report.context import Beside, BesideRow, Gallery
from attnbench.report.figures import maps
from attnbench.report.markup import math_text, picture
from attnbench.trial import CHOICES, describe

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun

    Sizes = tuple[int, ...]
    Row = dict[Any, Any]
    #: Layer → shared sizes → its row of the table of trials.
    Table = dict[str, dict[Sizes, Row]]

#: Layers are compared where these agree; what else a layer has, such as heads or a kernel width, is its own.
_SHARED = ("b", "n", "d")
_FEWEST_LAYERS = 3
#: Dots of one layer that can be told apart.
_MOST_DOTS = 60


def beside(run: StoredRun) -> Beside:
    """The table, where at least three layers were timed and all of them at some same sizes; else nothing of it."""
    table = _table(run)
    shared = set.intersection(*map(set, table.values())) if table else set()
    if len(table) < _FEWEST_LAYERS or not shared:
        return Beside()
    largest = max(shared, key=lambda sizes: (math.prod(sizes), sizes))
    first = next(iter(table))
    rows = tuple(_row(run, layer, rows[largest], table[first][largest]) for layer, rows in table.items())
    at = describe(dict(zip(_SHARED, largest, strict=True)))
    return Beside(at, first, rows, _spread(table, sorted(shared), first))


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
    return {layer: found for layer, found in table.items() if found}


def _row(run: StoredRun, layer: str, row: Row, first: Row) -> BesideRow:
    work = next((law for law in run.found_laws if (law.layer, law.metric) == (layer, "flops")), None)
    return BesideRow(
        layer=layer,
        about=Registry().summary(layer) if layer in BUILT_IN else "",
        flops=_text(units.flops, row["flops"]),
        formula=math_text(work.formula if work else None),
        parameters=_text(units.count, row["parameters"]),
        peak_bytes=_text(units.nbytes, row["peak_bytes"]),
        seconds=units.seconds(row["seconds"]),
        ratio=_times(row["seconds"] / first["seconds"]),
    )


def _times(ratio: float) -> str:
    """``1.04×``, ``0.00071×``."""
    return f"{float(units.significant(ratio, 3 if ratio >= 1 else 2)):g}×"


def _text(written: Any, value: Any) -> str:
    return "—" if pd.isna(value) else str(written(value))


def _spread(table: Table, shared: list[Sizes], first: str) -> Gallery:
    """Every layer's time over that of the first, a dot for each of the sizes that they share."""
    if len(shared) < 2:
        return Gallery()
    ratios = {
        layer: [(sizes[1], rows[sizes]["seconds"] / table[first][sizes]["seconds"]) for sizes in shared]
        for layer, rows in table.items()
        if layer != first
    }
    step = -(-len(shared) // _MOST_DOTS)
    few = {layer: row[::step] for layer, row in ratios.items()}
    drawn = picture(maps.spread(few, first), f"Time over that of {first}", _describe(ratios))
    which = "each" if step == 1 else f"{len(shared[::step])}"
    caption = (
        f"A dot for {which} of the {len(shared)} sizes that all layers were timed at, in the colour of its length n, "
        f"from the shortest (green on light paper, blue on dark) to the longest. The dashed line is {first}."
    )
    return Gallery((drawn,), caption)


def _describe(ratios: dict[str, list[tuple[int, float]]]) -> str:
    found = {layer: sorted(ratio for _, ratio in row) for layer, row in ratios.items()}
    return " ".join(
        f"{layer}: from {_times(row[0])} to {_times(row[-1])}, middle {_times(median(row))}."
        for layer, row in found.items()
    )
