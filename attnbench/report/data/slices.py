"""The parts of a run that one figure shows, as small tables. No drawing and no wording here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.record import MEASURED_METRICS, Status
from attnbench.report.data.curves import BYTES, INSIDE, LINE, PART, RANK, TRIAL, Floats, axes_of, drawn_law
from attnbench.trial import ordered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from attnbench.law import Exponent, Law
    from attnbench.store.run_folder import StoredRun
    from attnbench.trial import Subject

__all__ = [
    "BYTES",
    "DRIFT_LIMIT",
    "INSIDE",
    "LINE",
    "MOST_LINES",
    "PART",
    "RANK",
    "TRIAL",
    "Floats",
    "Growth",
    "LocalExponents",
    "RateMap",
    "claimed_slope",
    "drawn_lines",
    "growth",
    "line_count",
    "local_exponents",
    "memory_law",
    "places",
    "rate_map",
    "reference_times",
    "subjects",
    "time_law",
    "timed_points",
    "varying_axes",
    "weighed_points",
    "with_lines",
]

#: Lines that a reader can tell apart in one figure.
MOST_LINES = 12
#: A reference kernel this much slower than its median speaks of a disturbed machine.
DRIFT_LIMIT = 1.15


@dataclass(frozen=True)
class Growth:
    """Time against one axis.

    Attributes:
        axis: the axis.
        points: one row a trial: sizes, ``seconds, seconds_low, seconds_high``, `INSIDE`, and its line: `LINE, RANK`.
        curves: the fitted law: the axis, ``seconds``, `LINE, RANK` and `PART`, empty for the whole law.
        slope: what the claim says, if it says one thing.
        window: the sizes that the law is read from, where points lie beyond them.
    """

    axis: str
    points: pd.DataFrame
    curves: pd.DataFrame
    slope: float | None
    window: tuple[int, int] | None


@dataclass(frozen=True)
class LocalExponents:
    """Slopes between neighbouring sizes of one axis.

    Attributes:
        axis: the axis.
        sizes: its sizes.
        points: ``low, high`` (the neighbours), ``size`` (their geometric middle), ``exponent``, `LINE, RANK`.
        curves: the same columns for the fitted law, where the law has no single exponent.
        exponent: the fitted exponent, where the law has one.
        slope: what the claim says, if it says one thing.
    """

    axis: str
    sizes: tuple[int, ...]
    points: pd.DataFrame
    curves: pd.DataFrame
    exponent: Exponent | None
    slope: float | None


@dataclass(frozen=True)
class RateMap:
    """Achieved FLOP/s over n (columns) and d (rows), the sizes of the other axes, and the window."""

    rates: pd.DataFrame
    others: dict[str, int]
    window: Mapping[str, tuple[int, int]]


def subjects(run: StoredRun) -> tuple[Subject, ...]:
    """Every subject of the run, in the order of its plan."""
    planned = [trial.subject for trial in run.info.plan.trials]
    judged = (law.subject for law in run.found_laws if law.metric in MEASURED_METRICS)
    return tuple(dict.fromkeys([*planned, *judged]))


def time_law(run: StoredRun, subject: Subject) -> Law | None:
    """The law of time of `subject`, once there is one."""
    return _law(run, subject, "time")


def memory_law(run: StoredRun, subject: Subject) -> Law | None:
    """The law of memory of `subject`, once there is one."""
    return _law(run, subject, "memory")


def _law(run: StoredRun, subject: Subject, metric: str) -> Law | None:
    return next((law for law in run.found_laws if law.metric == metric and law.subject == subject), None)


def timed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` that were timed: their sizes, seconds, `TRIAL`, and whether they are `INSIDE`."""
    records = run.records.iloc[places(run, subject)]
    timed = records[(records["status"] == Status.OK) & records["seconds"].notna()]
    return _points(run, timed, ("seconds", "seconds_low", "seconds_high"), law)


def weighed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` whose memory was measured: their sizes, `BYTES`, `TRIAL`, and whether `INSIDE`."""
    records = run.records.iloc[places(run, subject)]
    return _points(run, records[records["allocated_bytes"].fillna(0).gt(0)], BYTES, law)


def places(run: StoredRun, subject: Subject) -> list[int]:
    """Where the trials of `subject` stand in the plan, and so in the records."""
    return run.places.get(subject, [])


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


def growth(points: pd.DataFrame, axis: str, law: Law | None) -> Growth:
    """Time against `axis`, one line for each combination of the other sizes."""
    lined = drawn_lines(points, axis)
    ends = law.window.get(axis) if law else None
    beyond = ends is not None and not lined[axis].between(*ends).all()
    return Growth(axis, lined, drawn_law(lined, axis, law), claimed_slope(law, axis), ends if beyond else None)


def local_exponents(points: pd.DataFrame, axis: str, law: Law | None) -> LocalExponents:
    """Slopes of log seconds against log size between neighbours along `axis`, the other sizes held."""
    lined = drawn_lines(points, axis)
    curves = lined.iloc[:0]
    exponent = law.exponents.get(axis) if law else None
    if exponent is None:
        drawn = drawn_law(lined, axis, law)
        curves = drawn[drawn[PART] == ""]
    return LocalExponents(
        axis=axis,
        sizes=tuple(sorted({int(size) for size in lined[axis]})),
        points=_slopes(lined, axis),
        curves=_slopes(curves, axis),
        exponent=exponent,
        slope=claimed_slope(law, axis),
    )


def with_lines(points: pd.DataFrame, axis: str) -> pd.DataFrame:
    """`points` with `LINE` (the other sizes that vary, as text) and its `RANK` from small sizes to large."""
    others = [a for a in axes_of(points) if a != axis and points[a].nunique() > 1]
    keys = [tuple(row) for row in points[others].to_numpy()]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    labels = [", ".join(f"{a}={int(size)}" for a, size in zip(others, key, strict=True)) for key in keys]
    lined = points.copy()
    lined[LINE], lined[RANK] = labels, [ranks[key] for key in keys]
    return lined.sort_values([RANK, axis])


def drawn_lines(points: pd.DataFrame, axis: str) -> pd.DataFrame:
    """`with_lines`, of more than `MOST_LINES` so many, evenly from small sizes to large, ranked anew."""
    lined = with_lines(points, axis)
    count = line_count(points, axis)
    if count <= MOST_LINES:
        return lined
    kept = {int(rank): place for place, rank in enumerate(np.linspace(0, count - 1, MOST_LINES).round())}
    few = lined[lined[RANK].isin(list(kept))]
    return few.assign(**{RANK: few[RANK].map(kept)})


def line_count(points: pd.DataFrame, axis: str) -> int:
    """How many combinations of the other sizes there are."""
    others = [a for a in axes_of(points) if a != axis]
    return len(points[others].drop_duplicates()) if others else 1


def claimed_slope(law: Law | None, axis: str) -> float | None:
    """The exponent that the claim gives `axis`, unless terms of the claim disagree."""
    if law is None or law.claim is None:
        return None
    if (exponent := law.exponents.get(axis)) and exponent.claimed is not None:
        return exponent.claimed
    try:
        slopes = {float(term.monomial.exponent(axis)) for term in Formula(law.claim).leading}
    except FormulaError:
        return None
    return slopes.pop() if len(slopes) == 1 else None


def rate_map(run: StoredRun, subject: Subject, law: Law | None) -> RateMap | None:
    """Rates that the pilot saw over n and d; of several slabs of the other axes, the one with the most points."""
    cells = [row for row in run.info.plan.calibration if _is_rate_of(row, subject)]
    slabs: dict[tuple[tuple[str, int], ...], list[tuple[int, int, float]]] = {}
    for row in cells:
        others = tuple((a, s) for a, s in ordered(row["sizes"]).items() if a not in ("n", "d"))
        cell = (row["sizes"]["n"], row["sizes"]["d"], row["flops"] / row["seconds"])
        slabs.setdefault(others, []).append(cell)
    if not slabs:
        return None
    others = max(slabs, key=lambda key: len(slabs[key]))
    frame = pd.DataFrame(slabs[others], columns=["n", "d", "rate"])
    rates = frame.pivot_table(index="d", columns="n", values="rate", aggfunc="max").sort_index(ascending=False)
    return RateMap(rates, dict(others), law.window if law else {}) if rates.size > 1 else None


def reference_times(run: StoredRun) -> pd.DataFrame:
    """The drift reference at each visit: ``device, round, started, seconds``, and ``ratio`` to the device's median."""
    devices = {trial.id: trial.choices.device for trial in run.info.plan.trials}
    rows = [
        (devices.get(v.trial, ""), v.round, v.started, v.reference_seconds)
        for v in run.visits
        if v.reference_seconds is not None
    ]
    frame = pd.DataFrame(rows, columns=["device", "round", "started", "seconds"]).astype({"seconds": "float64"})
    return frame.assign(ratio=frame["seconds"] / frame.groupby("device")["seconds"].transform("median"))


def _slopes(lined: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Slopes between neighbours of each line; the rows of a line stand together, from small sizes to large."""
    sizes = lined[axis].to_numpy(dtype=np.float64)
    logs, ranks = np.log(sizes), lined[RANK].to_numpy()
    together = ranks[1:] == ranks[:-1]
    first, second = np.flatnonzero(together), np.flatnonzero(together) + 1
    seconds = np.log(lined["seconds"].to_numpy(dtype=np.float64))
    slopes = (seconds[second] - seconds[first]) / (logs[second] - logs[first])
    middles = np.exp((logs[second] + logs[first]) / 2)
    frame = pd.DataFrame({"low": sizes[first], "high": sizes[second], "size": middles, "exponent": slopes})
    return frame.assign(**{LINE: lined[LINE].to_numpy()[first], RANK: ranks[first]})


def _is_rate_of(row: dict[str, Any], subject: Subject) -> bool:
    return (
        row.get("layer") == subject.layer
        and all(row.get(key, value) == value for key, value in asdict(subject.choices).items())
        and {"n", "d"} <= set(row.get("sizes", {}))
        and bool(row.get("flops"))
        and bool(row.get("seconds"))
    )
