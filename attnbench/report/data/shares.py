"""Which term carries how much of the work and of the time, and how that moves along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula, Monomial
from attnbench.law import COUNTED_FOR, Law
from attnbench.report.data.columns import INSIDE, SHARE, TERM, Floats, axes_of
from attnbench.report.data.curves import grid_of
from attnbench.report.data.points import drawn_lines
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject

Terms = Sequence[tuple[float, Monomial]]

#: A term that nowhere carries so much is not shown, nor is a figure where one term carries all but so much everywhere.
_MIN_SHARE = 0.01
#: Terms that a reader can tell apart.
_MAX_TERMS = 4


@dataclass(frozen=True)
class Shares:
    """The shares of the terms along one axis.

    Attributes:
        axis: the axis.
        terms: their names, the largest first.
        curves: shares of what was counted: the axis, `LINE, RANK, TERM, SHARE`; empty where nobody can say.
        points: the same at the measured sizes, with those sizes; of the fitted law where it has several terms.
        fitted: whether `points` are of the fitted law.
    """

    axis: str
    terms: tuple[str, ...]
    curves: pd.DataFrame
    points: pd.DataFrame
    fitted: bool


def shares(points: pd.DataFrame, axis: str, law: Law | None, counted: Formula | None) -> Shares | None:
    """The shares along `axis` at the sizes in the window; None where one term carries everything."""
    inside = drawn_lines(points[points[INSIDE]], axis)
    fitted, known = _fitted(law), _counted(counted, axes_of(points))
    parts = fitted if len(fitted) > 1 else known
    if len(parts) < 2 or len(inside) < 2:
        return None
    rows = _share_rows(inside, parts, points)
    largest = rows.groupby(TERM)[SHARE].max().sort_values(ascending=False)
    kept = [str(name) for name in largest.index[largest > _MIN_SHARE][:_MAX_TERMS]]
    if len(kept) < 2:
        return None
    curves = _share_rows(grid_of(inside, axis), known, points) if len(known) > 1 else rows.iloc[:0]
    drawn = curves[curves[TERM].isin(kept)]
    return Shares(axis, tuple(kept), drawn, rows[rows[TERM].isin(kept)], parts is fitted)


def _fitted(law: Law | None) -> Terms:
    try:
        rows = [(row.coefficient.value, Formula(row.term).terms) for row in (law.terms if law else ())]
    except FormulaError:
        return []
    return [(value * float(term.coefficient), term.monomial) for value, terms in rows for term in terms]


def _counted(formula: Formula | None, axes: Sequence[str]) -> Terms:
    if formula is None or not formula.is_sum_of_terms or formula.axes - set(axes):
        return []
    return [(float(term.coefficient), term.monomial) for term in formula.terms]


def _share_rows(frame: pd.DataFrame, terms: Terms, points: pd.DataFrame) -> pd.DataFrame:
    """A row for each row of `frame` and each kind of growth along the axes that vary."""
    swept = [axis for axis in axes_of(points) if points[axis].nunique() > 1]
    values: dict[str, Floats] = {}
    for coefficient, monomial in terms:
        name = _restricted(monomial, swept).pretty
        values[name] = values.get(name, np.zeros(len(frame))) + coefficient * _value(monomial, frame)
    total = np.sum(list(values.values()), axis=0)
    return pd.concat([frame.assign(**{TERM: name, SHARE: value / total}) for name, value in values.items()])


def _restricted(monomial: Monomial, axes: Sequence[str]) -> Monomial:
    """What of it varies; sizes that are held are constants."""
    return Monomial(
        tuple(part for part in monomial.powers if part[0] in axes),
        tuple(part for part in monomial.logs if part[0] in axes),
    )


def _value(monomial: Monomial, frame: pd.DataFrame) -> Floats:
    result = np.ones(len(frame))
    for axis, power in monomial.powers:
        result *= frame[axis].to_numpy(dtype=np.float64) ** float(power)
    for axis, exponent in monomial.logs:
        result *= np.log2(frame[axis].to_numpy(dtype=np.float64)) ** exponent
    return result


def counted_formula(run: StoredRun, subject: Subject, metric: str) -> Formula | None:
    """What was counted of what costs a measured `metric`, where that is no lower bound; None in a stranger's words."""
    try:
        return Formula(run.exact_formulas[subject.count_key, COUNTED_FOR[metric]])
    except (KeyError, FormulaError):
        return None
