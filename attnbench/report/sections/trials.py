"""Every trial of the run, as a row of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from attnbench import units
from attnbench.record import Status
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Trial, describe


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One row of the table of trials."""

    trial: str
    status: str
    sizes: str
    seconds: str
    median: str
    interval: str
    samples: str
    flops: str
    rate: str
    peak_bytes: str
    allocated: str
    resident: str


def trials(run: StoredRun) -> tuple[TrialRow, ...]:
    """A row for each trial, in the order of the plan."""
    return tuple(map(_row, run.info.plan.trials, run.records.to_dict("records")))


def outcomes(run: StoredRun) -> str:
    """``75 ok, 1 oom, 2 skipped``."""
    counts = run.records["status"].value_counts()
    shown = [f"{counts[status]} {status}" for status in map(str, Status) if status in counts]
    return ", ".join(shown) or "none planned"


def _row(trial: Trial, row: dict[Any, Any]) -> TrialRow:
    seconds, flops = _number(row["seconds"]), _number(row["flops"])
    low, high = _number(row["seconds_low"]), _number(row["seconds_high"])
    return TrialRow(
        trial=trial.id,
        status=str(row["status"]),
        sizes=describe(trial.sizes),
        seconds=cell_text(units.seconds, seconds),
        median=cell_text(units.seconds, row["seconds_median"]),
        interval="—" if low is None or high is None else f"[{units.seconds(low)}, {units.seconds(high)}]",
        samples=units.count(row["samples"]),
        flops=("≥ " if _number(row["lower_bound"]) else "") + cell_text(units.flops, flops),
        rate=cell_text(units.flops_per_second, flops / seconds if seconds and flops else None),
        peak_bytes=cell_text(units.nbytes, row["peak_bytes"]),
        allocated=cell_text(units.nbytes, row["allocated_bytes"]),
        resident=cell_text(units.nbytes, row["resident_bytes"]),
    )


def _number(value: Any) -> float | None:
    """A cell of a table, None where it is empty."""
    return None if pd.isna(value) else float(value)


def cell_text(written: Callable[[float], str], value: Any) -> str:
    """A cell of the table of trials in words, a dash where it is empty."""
    return "—" if pd.isna(value) else written(float(value))
