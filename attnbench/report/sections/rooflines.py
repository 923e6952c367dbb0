"""The roofline: every trial under what its machine was seen to do at best (Williams, Waterman & Patterson 2009)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pandas as pd

from attnbench.record import Peaks, Status
from attnbench.report import figures, words
from attnbench.report.figures import Roof
from attnbench.report.markup import picture
from attnbench.report.values import Fact, Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Choices, Trial, describe
from attnbench.units import count, flops_per_second, nbytes, percent, significant

#: Bytes of one number of the inputs.
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

_CAPTION = (
    "Both scales are logarithmic. The slope is the measured copy (bytes read and written), the flat part the measured "
    "product of matrices, both under the same dtype and threads as the trials. A mark is a trial: upwards its counted "
    "FLOPs over its time, to the right its counted FLOPs over the bytes that must move at least: its input once, its "
    "weights once, and the largest sum of live tensors once. More bytes may move, so that a mark stands as far to the "
    "right as it can, and its share of the roof is at least what is said. A mark above the roof is no error: what fits "
    "a cache does not wait for memory, and the roof was measured for a fraction of a second, before the trials."
)


@dataclass(frozen=True, slots=True)
class RoofRow:
    """One layer under the roof."""

    layer: str
    trials: str
    intensity: str
    limit: str
    median: str
    best: str
    best_at: str


@dataclass(frozen=True, slots=True)
class Roofline:
    """Trials under the roof that their machine set; where there is no roof, the reason."""

    conditions: str
    roof: tuple[Fact, ...] = ()
    picture: Gallery = field(default_factory=Gallery)
    rows: tuple[RoofRow, ...] = ()
    remarks: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Mark:
    """One trial: sizes as text, operations for each byte, operations a second, and the bytes."""

    sizes: str
    intensity: float
    rate: float
    moved: float

    def share(self, roof: Roof) -> float:
        """Of the best rate at its intensity."""
        return self.rate / roof.at(self.intensity)


def rooflines(run: StoredRun) -> tuple[Roofline, ...]:
    """One for each choice of device, dtype, mode and threads whose peaks were measured; none in older runs."""
    groups: dict[Choices, dict[str, list[_Mark]]] = {}
    for trial, row in zip(run.info.plan.trials, run.records.to_dict("records"), strict=True):
        mark = _mark(trial, row["seconds"], row["flops"], row) if row["status"] == Status.OK else None
        if mark:
            groups.setdefault(trial.choices, {}).setdefault(trial.layer, []).append(mark)
    every = (_under(run, choices, layers) for choices, layers in groups.items())
    return tuple(one for one in every if one is not None)


def _mark(trial: Trial, seconds: float, flops: float, row: dict[Any, Any]) -> _Mark | None:
    """Where a trial stands; None where it counts no operations, or bytes are unknown."""
    known = (row["parameters"], row["peak_bytes"])
    if any(pd.isna(value) for value in (seconds, flops, *known)) or not flops or trial.choices.dtype not in _BYTES:
        return None
    sizes, number = trial.sizes, _BYTES[trial.choices.dtype]
    positions = 1 if trial.choices.mode == "decode" else sizes["n"]
    parameters, peak = (float(value) for value in known)
    moved = number * (sizes["b"] * positions * sizes.get("d", 1) + parameters) + peak
    return _Mark(describe(sizes), float(flops) / moved, float(flops) / float(seconds), moved)


def _under(run: StoredRun, choices: Choices, layers: dict[str, list[_Mark]]) -> Roofline | None:
    alike = (choices.device, choices.dtype, choices.threads)
    peaks = next((one for one in run.info.plan.peaks if (one.device, one.dtype, one.threads) == alike), None)
    conditions = str(choices)
    if peaks is None:
        return None
    if peaks.flops_per_second is None or peaks.bytes_per_second is None:
        return Roofline(conditions, reason=words.sentence(f"unknown: {peaks.reason}"))
    roof = figures.Roof(peaks.flops_per_second, peaks.bytes_per_second)
    marks = [_marks(layer, found, roof) for layer, found in layers.items()]
    drawing = figures.roofline("operations a second (FLOP/s)", roof, marks)
    rows = tuple(_row(layer, found, roof) for layer, found in layers.items())
    drawn = picture(drawing, f"Roofline, {conditions}", _described(rows, roof))
    cache = max(run.info.host.caches.values(), default=0) if choices.device == "cpu" else 0
    remarks = (*_above(layers, roof, cache), *_bounds(run, choices))
    return Roofline(conditions, _facts(peaks, roof), Gallery((drawn,), _CAPTION), rows, remarks)


def _marks(layer: str, marks: Sequence[_Mark], roof: Roof) -> figures.Marks:
    tips = (
        f"{layer}, {one.sizes}: {flops_per_second(one.rate)} at {significant(one.intensity)} FLOP/B, "
        f"{percent(one.share(roof))} of the roof"
        for one in marks
    )
    return figures.Marks(layer, tuple((one.intensity, one.rate) for one in marks), tuple(tips))


def _row(layer: str, marks: Sequence[_Mark], roof: Roof) -> RoofRow:
    best = max(marks, key=lambda one: one.share(roof))
    low, high = (pick(one.intensity for one in marks) for pick in (min, max))
    bound = sum(one.intensity < roof.ridge for one in marks)
    limit = "memory" if bound == len(marks) else "arithmetic" if not bound else f"memory at {bound} of {len(marks)}"
    return RoofRow(
        layer=layer,
        trials=count(len(marks)),
        intensity=f"{significant(low)} to {significant(high)}" if high > low else significant(low),
        limit=limit,
        median=percent(median(one.share(roof) for one in marks)),
        best=percent(best.share(roof)),
        best_at=best.sizes,
    )


def _facts(peaks: Peaks, roof: Roof) -> tuple[Fact, ...]:
    return (
        Fact("Product of matrices", f"{flops_per_second(roof.flops_per_second)}, {peaks.edge} × {peaks.edge}"),
        Fact("Copy", f"{nbytes(roof.bytes_per_second)}/s, a buffer of {nbytes(peaks.copied_bytes or math.nan)}"),
        Fact("Ridge", f"{significant(roof.ridge)} FLOP/B"),
    )


def _above(layers: dict[str, list[_Mark]], roof: Roof, cache: float) -> tuple[str, ...]:
    """What is above the roof, and whether a cache can explain it."""
    above = {layer: [one for one in marks if one.share(roof) > 1] for layer, marks in layers.items()}
    names = words.listing(layer for layer, marks in above.items() if marks)
    every = [one for marks in above.values() for one in marks]
    if not every:
        return ()
    inside = sum(one.moved <= cache and one.intensity < roof.ridge for one in every)
    why = f" {inside} of them move no more than the last cache of {nbytes(cache)} holds." if inside else ""
    return (f"{words.plural(len(every), 'trial')} above the roof, of {names}.{why}",)


def _bounds(run: StoredRun, choices: Choices) -> tuple[str, ...]:
    records = run.records
    alike = [trial.id for trial in run.info.plan.trials if trial.choices == choices]
    bounds = records[records["trial"].isin(alike) & records["lower_bound"].fillna(value=False).astype(bool)]
    names = words.listing(dict.fromkeys(map(str, bounds["layer"])))
    return (
        (f"Counted FLOPs are a lower bound for {names}: its marks stand too low, and too far left.",) if names else ()
    )


def _described(rows: Sequence[RoofRow], roof: Roof) -> str:
    head = (
        f"The roof is {flops_per_second(roof.flops_per_second)}, reached from {significant(roof.ridge)} FLOPs for each "
        "byte on."
    )
    parts = (
        f"{row.layer}: {row.median} of the roof in the median, {row.best} at best, at {row.best_at}." for row in rows
    )
    return " ".join([head, *parts])
