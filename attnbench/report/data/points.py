"""The trials of one subject as points of a figure, and as its lines: one for each combination of the other sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attnbench.law import Law
from attnbench.record import MEASURED_METRICS, Status
from attnbench.report.data.columns import BYTES, INSIDE, LINE, RANK, TRIAL, axes_of
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject

#: Lines that a reader can tell apart in one figure.
MAX_LINES = 12


def subjects(run: StoredRun) -> tuple[Subject, ...]:
    """Every subject of the run, in the order of its plan."""
    return tuple(dict.fromkeys([*run.places, *(law.subject for law in measured_laws(run))]))


def measured_laws(run: StoredRun) -> list[Law]:
    """Laws of time and of memory."""
    return [law for law in run.found_laws if law.metric in MEASURED_METRICS]


def records_of(run: StoredRun, subject: Subject) -> pd.DataFrame:
    """The rows of the trials of `subject` in the table of trials."""
    return run.records.iloc[run.places.get(subject, [])]


def timed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` that were timed: their sizes, seconds, `TRIAL`, and whether they are `INSIDE`."""
    records = records_of(run, subject)
    timed = records[(records["status"] == Status.OK) & records["seconds"].notna()]
    return _points(run, timed, ("seconds", "seconds_low", "seconds_high"), law)


def weighed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` whose memory was measured: their sizes, `BYTES`, `TRIAL`, and whether `INSIDE`."""
    records = records_of(run, subject)
    return _points(run, records[records["allocated_bytes"].fillna(0).gt(0)], BYTES, law)


def _points(run: StoredRun, records: pd.DataFrame, columns: Sequence[str], law: Law | None) -> pd.DataFrame:
    sizes = pd.DataFrame([run.info.plan.trials[int(str(place))].sizes for place in records.index])
    values = records[list(columns)].astype("float64").reset_index(drop=True)
    return _marked(pd.concat([sizes, values.assign(**{TRIAL: records["trial"].to_numpy()})], axis=1), law)


def _marked(frame: pd.DataFrame, law: Law | None) -> pd.DataFrame:
    window = law.window if law else {}
    inside = np.ones(len(frame), dtype=bool)
    for axis in set(window) & set(frame.columns):
        inside &= frame[axis].between(*window[axis]).to_numpy()
    frame[INSIDE] = inside
    return frame


def varying_axes(points: pd.DataFrame, law: Law | None) -> list[str]:
    """Axes with two sizes or more, those of the law's window when it has one."""
    axes = [axis for axis in axes_of(points) if points[axis].nunique() > 1]
    inside = [axis for axis in axes if law and axis in law.window]
    return inside or axes


def with_lines(points: pd.DataFrame, axis: str) -> pd.DataFrame:
    """`points` line by line: `LINE` has the other sizes that vary, as text, and `RANK` counts lines from small on."""
    others = [a for a in axes_of(points) if a != axis and points[a].nunique() > 1]
    keys = [tuple(row) for row in points[others].to_numpy()]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    labels = [", ".join(f"{a}={int(size)}" for a, size in zip(others, key, strict=True)) for key in keys]
    lined = points.copy()
    lined[LINE], lined[RANK] = labels, [ranks[key] for key in keys]
    return lined.sort_values([RANK, axis])


def drawn_lines(points: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The lines that one figure shows: all, or `MAX_LINES` at even steps from small sizes to large, ranked anew."""
    lined = with_lines(points, axis)
    count = line_count(points, axis)
    if count <= MAX_LINES:
        return lined
    kept = {int(rank): place for place, rank in enumerate(np.linspace(0, count - 1, MAX_LINES).round())}
    few = lined[lined[RANK].isin(list(kept))]
    return few.assign(**{RANK: few[RANK].map(kept)})


def line_count(points: pd.DataFrame, axis: str) -> int:
    """How many combinations of the other sizes there are."""
    others = [a for a in axes_of(points) if a != axis]
    return len(points[others].drop_duplicates()) if others else 1
