"""The law that was fitted, as curves over tables of sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Curves, FittedTerm, Law
from attnbench.report.data.columns import INSIDE, LINE, PART, RANK, Floats, axes_of

#: Seconds, or bytes, at the sizes of each row.
FittedCurve = Callable[[pd.DataFrame], Floats]

_GRID = 33


def drawn_law(lined: pd.DataFrame, axis: str, law: Law | None) -> pd.DataFrame:
    """The fitted law along `axis` for each line of points: the axis, ``seconds``, `LINE, RANK` and `PART`."""
    empty = pd.DataFrame(columns=[axis, "seconds", LINE, RANK, PART])
    curves = curves_of(lined, law) if law else {}
    pieces = [
        grid.assign(seconds=curve(grid), **{PART: part})
        for grid in [grid_of(lined[lined[INSIDE]], axis)]
        for part, curve in curves.items()
        if len(grid)
    ]
    return pd.concat(pieces, ignore_index=True) if pieces else empty


def grid_of(lined: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Sizes along each line that has two points or more, dense enough to draw a curve through."""
    lines = [line for _, line in lined.groupby(RANK) if len(line) > 1]
    names = [column for column in [*axes_of(lined), LINE, RANK] if column != axis]
    grids = [np.geomspace(line[axis].min(), line[axis].max(), _GRID) for line in lines]
    firsts = [line[names].iloc[np.zeros(_GRID, dtype=int)] for line in lines]
    if not lines:
        return lined[[axis, *names]].iloc[:0]
    return pd.concat(firsts, ignore_index=True).assign(**{axis: np.concatenate(grids)})


def curves_of(points: pd.DataFrame, law: Law) -> dict[str, FittedCurve]:
    """The whole law under the empty name; for several terms, each term under its own text too."""
    if law.curves and _needed_axes(law.curves) <= set(axes_of(points)):
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


def _term_curves(points: pd.DataFrame, law: Law) -> dict[str, FittedCurve]:
    try:
        return {Formula(term.term).pretty: _term_curve(term, points) for term in law.terms}
    except FormulaError:
        return {}


def _best_of(curves: Curves) -> FittedCurve:
    best = replace(curves, draws=curves.draws[:1])
    axes = sorted(_needed_axes(curves))

    def curve(frame: pd.DataFrame) -> Floats:
        rows: list[Any] = frame[axes].to_dict("records")
        return np.asarray([best.at(row)[0] for row in rows])

    return curve


def _needed_axes(curves: Curves) -> set[str]:
    """Axes that the curves need sizes of."""
    return {*curves.bends, *(axis for term in curves.terms for axis in Formula(term).axes)}


def _term_curve(term: FittedTerm, points: pd.DataFrame) -> FittedCurve:
    formula = Formula(term.term)
    if formula.axes - set(axes_of(points)):
        raise FormulaError(f"{term.term!r} uses sizes that the trials do not have")
    parts = formula.terms

    def curve(frame: pd.DataFrame) -> Floats:
        rows = frame[sorted(formula.axes)].to_dict("records")
        values = [sum(part.evaluate({str(k): v for k, v in row.items()}) for part in parts) for row in rows]
        return term.coefficient.value * np.asarray(values, dtype=np.float64)

    return curve


def _power_law(points: pd.DataFrame, exponents: Mapping[str, float]) -> FittedCurve:
    """The fitted powers, at the height of the points inside the window (one height for each size outside the law)."""
    known = [axis for axis in exponents if axis in axes_of(points)]
    free = [a for a in axes_of(points) if a not in exponents and points[a].nunique() > 1]

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
