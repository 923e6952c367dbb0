"""The parts of a run that one figure shows, as small tables. No drawing and no wording here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.record import MEASURED_METRICS, Status
from attnbench.trial import Choices, ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from attnbench.law import Curves, Exponent, FittedTerm, Law
    from attnbench.store import StoredRun

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Curve = Callable[[pd.DataFrame], Floats]

#: Columns beside the sizes. None of these is an identifier, so no layer can have an axis of that name.
INSIDE, LINE, RANK, PART = "inside the window", "line label", "line rank", "part of the law"
#: Columns of bytes: measured ones, and the counted one.
BYTES = ("allocated_bytes", "resident_bytes", "peak_bytes")
#: A reference kernel this much slower than its median speaks of a disturbed machine.
DRIFT_LIMIT = 1.15
_GRID = 33


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What one section of the page is about: a layer under one choice of device, dtype, mode, threads and the like."""

    layer: str
    choices: Choices


@dataclass(frozen=True)
class Growth:
    """Time against one axis.

    Attributes:
        axis: the axis.
        points: one row a trial: sizes, ``seconds, seconds_low, seconds_high``, `INSIDE`, and its line: `LINE, RANK`.
        curves: the fitted law: the axis, ``seconds``, `LINE, RANK` and `PART`, empty for the whole law.
        slope: what the claim says, if it says one thing.
    """

    axis: str
    points: pd.DataFrame
    curves: pd.DataFrame
    slope: float | None


@dataclass(frozen=True)
class LocalExponents:
    """Slopes between neighbouring sizes of one axis.

    Attributes:
        axis: the axis.
        sizes: its sizes.
        points: ``size`` (the geometric middle), ``exponent``, `LINE, RANK`.
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
    planned = [Subject(trial.layer, trial.choices) for trial in run.info.trials]
    judged = (subject_of(law) for law in run.found_laws if law.metric in MEASURED_METRICS)
    return tuple(dict.fromkeys([*planned, *judged]))


def subject_of(law: Law) -> Subject:
    """The subject that a law is about."""
    return Subject(law.layer, law.choices)


def time_law(run: StoredRun, subject: Subject) -> Law | None:
    """The law of time of `subject`, once there is one."""
    return _law(run, subject, "time")


def memory_law(run: StoredRun, subject: Subject) -> Law | None:
    """The law of memory of `subject`, once there is one."""
    return _law(run, subject, "memory")


def _law(run: StoredRun, subject: Subject, metric: str) -> Law | None:
    return next((law for law in run.found_laws if law.metric == metric and subject_of(law) == subject), None)


def timed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` that were timed: their sizes, seconds, and whether they are `INSIDE` the law's window."""
    sizes = {t.id: t.sizes for t in run.info.trials if Subject(t.layer, t.choices) == subject}
    records = run.records
    timed = records[records["trial"].isin(list(sizes)) & (records["status"] == Status.OK) & records["seconds"].notna()]
    rows = [
        {**sizes[row["trial"]], **{key: float(row[key]) for key in ("seconds", "seconds_low", "seconds_high")}}
        for row in timed.to_dict("records")
    ]
    return _marked(pd.DataFrame(rows), law)


def weighed_points(run: StoredRun, subject: Subject, law: Law | None) -> pd.DataFrame:
    """The trials of `subject` whose memory was measured: their sizes, `BYTES`, and whether they are `INSIDE`."""
    sizes = {t.id: t.sizes for t in run.info.trials if Subject(t.layer, t.choices) == subject}
    records = run.records
    weighed = records[records["trial"].isin(list(sizes)) & records["allocated_bytes"].fillna(0).gt(0)]
    rows = [
        {**sizes[row["trial"]], **{key: math.nan if pd.isna(row[key]) else float(row[key]) for key in BYTES}}
        for row in weighed.to_dict("records")
    ]
    return _marked(pd.DataFrame(rows), law)


def _marked(frame: pd.DataFrame, law: Law | None) -> pd.DataFrame:
    window = law.window if law else {}
    inside = np.ones(len(frame), dtype=bool)
    for axis in set(window) & set(frame.columns):
        inside &= frame[axis].between(*window[axis]).to_numpy()
    frame[INSIDE] = inside
    return frame


def varying_axes(points: pd.DataFrame, law: Law | None) -> list[str]:
    """Axes with two sizes or more, those of the law's window when it has one."""
    axes = [axis for axis in _axes(points) if points[axis].nunique() > 1]
    inside = [axis for axis in axes if law and axis in law.window]
    return inside or axes


def growth(points: pd.DataFrame, axis: str, law: Law | None) -> Growth:
    """Time against `axis`, one line for each combination of the other sizes."""
    lined = with_lines(points, axis)
    return Growth(axis, lined, _drawn_law(lined, axis, law), claimed_slope(law, axis))


def local_exponents(points: pd.DataFrame, axis: str, law: Law | None) -> LocalExponents:
    """Slopes of log seconds against log size between neighbours along `axis`, the other sizes held."""
    lined = with_lines(points, axis)
    curves = lined.iloc[:0]
    exponent = law.exponents.get(axis) if law else None
    if exponent is None:
        drawn = _drawn_law(lined, axis, law)
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
    others = [a for a in _axes(points) if a != axis and points[a].nunique() > 1]
    keys = [tuple(row) for row in points[others].to_numpy()]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    labels = [", ".join(f"{a}={int(size)}" for a, size in zip(others, key, strict=True)) for key in keys]
    lined = points.copy()
    lined[LINE], lined[RANK] = labels, [ranks[key] for key in keys]
    return lined.sort_values([RANK, axis])


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
    cells = [row for row in run.info.calibration if _is_rate_of(row, subject)]
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
    devices = {trial.id: trial.choices.device for trial in run.info.trials}
    rows = [
        (devices.get(v.trial, ""), v.round, v.started, v.reference_seconds)
        for v in run.visits
        if v.reference_seconds is not None
    ]
    frame = pd.DataFrame(rows, columns=["device", "round", "started", "seconds"]).astype({"seconds": "float64"})
    return frame.assign(ratio=frame["seconds"] / frame.groupby("device")["seconds"].transform("median"))


# ------------------------------------------------------------------------------------------ the law as curves


def _axes(points: pd.DataFrame) -> list[str]:
    names = [c for c in points.columns if c.isidentifier() and not c.startswith("seconds") and c not in BYTES]
    return [axis for axis in ordered(dict.fromkeys(names, 0)) if points[axis].notna().all()]


def _drawn_law(lined: pd.DataFrame, axis: str, law: Law | None) -> pd.DataFrame:
    empty = pd.DataFrame(columns=[axis, "seconds", LINE, RANK, PART])
    curves = _curves(lined, law) if law else {}
    pieces = [
        _evaluated(curve, line[line[INSIDE]], axis).assign(**{PART: part})
        for _, line in lined.groupby(RANK)
        for part, curve in curves.items()
        if line[INSIDE].sum() > 1
    ]
    return pd.concat(pieces, ignore_index=True) if pieces else empty


def _evaluated(curve: Curve, line: pd.DataFrame, axis: str) -> pd.DataFrame:
    grid = np.geomspace(line[axis].min(), line[axis].max(), _GRID)
    fixed = {column: line[column].iloc[0] for column in [*_axes(line), LINE, RANK] if column != axis}
    frame = pd.DataFrame({axis: grid}).assign(**fixed)
    return frame.assign(seconds=curve(frame))


def _curves(points: pd.DataFrame, law: Law) -> dict[str, Curve]:
    """The whole law under the empty name; for several terms, each term under its own text too."""
    if law.curves and set(law.curves.bends) <= set(_axes(points)):
        return {"": _best_of(law.curves)} | (_term_curves(points, law) if len(law.terms) > 1 else {})
    if law.exponents and len(law.terms) < 2:
        return {"": _power_law(points, {axis: e.estimate.value for axis, e in law.exponents.items()})}
    parts = _term_curves(points, law)
    if not parts:
        return {}

    def whole(frame: pd.DataFrame) -> Floats:
        total = np.zeros(len(frame))
        for curve in parts.values():
            total += curve(frame)
        return total

    return {"": whole} | (parts if len(parts) > 1 else {})


def _term_curves(points: pd.DataFrame, law: Law) -> dict[str, Curve]:
    try:
        return {Formula(term.term).pretty: _term_curve(term, points) for term in law.terms}
    except FormulaError:
        return {}


def _best_of(curves: Curves) -> Curve:
    best = replace(curves, draws=curves.draws[:1])
    axes = sorted({*curves.bends, *(axis for term in curves.terms for axis in Formula(term).axes)})

    def curve(frame: pd.DataFrame) -> Floats:
        rows: list[Any] = frame[axes].to_dict("records")
        return np.asarray([best.at(row)[0] for row in rows])

    return curve


def _term_curve(term: FittedTerm, points: pd.DataFrame) -> Curve:
    formula = Formula(term.term)
    if formula.axes - set(_axes(points)):
        raise FormulaError(f"{term.term!r} uses sizes that the trials do not have")
    parts = formula.terms

    def curve(frame: pd.DataFrame) -> Floats:
        rows = frame[sorted(formula.axes)].to_dict("records")
        values = [sum(part.evaluate({str(k): v for k, v in row.items()}) for part in parts) for row in rows]
        return term.coefficient.value * np.asarray(values, dtype=np.float64)

    return curve


def _power_law(points: pd.DataFrame, exponents: Mapping[str, float]) -> Curve:
    """The fitted powers, at the height of the points inside the window (one height for each size outside the law)."""
    known = [axis for axis in exponents if axis in _axes(points)]
    free = [a for a in _axes(points) if a not in exponents and points[a].nunique() > 1]

    def shape(frame: pd.DataFrame) -> Floats:
        result = np.ones(len(frame))
        for axis in known:
            result *= frame[axis].to_numpy(dtype=np.float64) ** exponents[axis]
        return result

    inside = points[points[INSIDE]]
    heights: dict[tuple[Any, ...], list[float]] = {}
    for key, ratio in zip(_rows(inside, free), inside["seconds"] / shape(inside), strict=True):
        heights.setdefault(key, []).append(math.log(ratio))

    def curve(frame: pd.DataFrame) -> Floats:
        # A size outside the law that was never measured has no height: the line stops there.
        known_heights = [heights.get(key, [math.nan]) for key in _rows(frame, free)]
        constants = [math.exp(sum(logs) / len(logs)) for logs in known_heights]
        return np.asarray(constants) * shape(frame)

    return curve


def _rows(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame[list(columns)].to_numpy()]


def _slopes(lined: pd.DataFrame, axis: str) -> pd.DataFrame:
    pieces = []
    for (rank, label), line in lined.groupby([RANK, LINE]):
        ordered_line = line.sort_values(axis)
        size = np.log(ordered_line[axis].to_numpy(dtype=np.float64))
        seconds = np.log(ordered_line["seconds"].to_numpy(dtype=np.float64))
        middle = np.exp((size[1:] + size[:-1]) / 2)
        slopes = pd.DataFrame({"size": middle, "exponent": np.diff(seconds) / np.diff(size)})
        slopes[LINE], slopes[RANK] = str(label), int(str(rank))
        pieces.append(slopes)
    empty = pd.DataFrame(columns=["size", "exponent", LINE, RANK])
    return pd.concat(pieces, ignore_index=True) if pieces else empty


def _is_rate_of(row: dict[str, Any], subject: Subject) -> bool:
    return (
        row.get("layer") == subject.layer
        and all(row.get(key, value) == value for key, value in asdict(subject.choices).items())
        and {"n", "d"} <= set(row.get("sizes", {}))
        and bool(row.get("flops"))
        and bool(row.get("seconds"))
    )
