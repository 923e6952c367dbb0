"""Which term carries how much of the work and of the time, and how that moves along each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula, Monomial
from attnbench.law import COUNTED_FOR, LEADING_SHARE
from attnbench.report import figures
from attnbench.report.context import Gallery
from attnbench.report.data.curves import INSIDE, SHARE, TERM, axes_of, grid_of
from attnbench.report.data.slices import drawn_lines
from attnbench.report.markup import picture
from attnbench.units import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnbench.law import Law
    from attnbench.report.data.curves import Floats
    from attnbench.store.run_folder import StoredRun
    from attnbench.trial import Subject

    Terms = Sequence[tuple[float, Monomial]]

#: A term that nowhere carries so much is not shown, nor is a figure where one term carries all but so much everywhere.
_LEAST = 0.01
#: Terms that a reader can tell apart.
_MOST = 4


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
    found = _told(inside, parts, points)
    largest = found.groupby(TERM)[SHARE].max().sort_values(ascending=False)
    kept = [str(name) for name in largest.index[largest > _LEAST][:_MOST]]
    if len(kept) < 2:
        return None
    curves = _told(grid_of(inside, axis), known, points) if len(known) > 1 else found.iloc[:0]
    drawn = curves[curves[TERM].isin(kept)]
    return Shares(axis, tuple(kept), drawn, found[found[TERM].isin(kept)], parts is fitted)


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


def _told(frame: pd.DataFrame, terms: Terms, points: pd.DataFrame) -> pd.DataFrame:
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
    """What was counted of what costs a measured `metric`, where that is no lower bound."""
    for law in run.info.plan.counted_laws:
        asked = law.metric == COUNTED_FOR[metric] and law.subject.count_key == subject.count_key
        if asked and law.formula and not law.lower_bound:
            return _read(law.formula)
    return None


def _read(text: str) -> Formula | None:
    """The formula of a stranger's run; None where it is none."""
    try:
        return Formula(text)
    except FormulaError:
        return None


def share_gallery(
    points: pd.DataFrame, axes: Sequence[str], law: Law | None, counted: Formula | None, name: str
) -> Gallery:
    """A figure of the shares along each axis; empty where no several terms were found."""
    found = [data for data in (shares(points, axis, law, counted) for axis in axes) if data is not None]
    pictures = tuple(
        picture(figures.term_shares(data), f"{name}: shares of the terms along {data.axis}", _described(data))
        for data in found
    )
    return Gallery(pictures, _caption(found), tuple(data.axis for data in found)) if found else Gallery()


def _caption(found: Sequence[Shares]) -> str:
    lines = any(len(data.curves) for data in found)
    fitted = any(data.fitted for data in found)
    parts = [
        "Lines are the shares of the counted work" if lines else "",
        f"marks are the shares of the fitted {'law' if lines else 'terms'} at the measured sizes" if fitted else "",
    ]
    said = ", ".join(filter(None, parts))
    return (
        f"{said[0].upper()}{said[1:]}, each kind of line and mark one term, in the colours above. "
        f"A claim is read where its terms together carry {100 * LEADING_SHARE:.0f} % of the counted work (dashed)."
    )


def _described(data: Shares) -> str:
    whose = "the fitted time" if data.fitted else "the counted work"
    ends = (data.points[data.axis].min(), data.points[data.axis].max())
    parts = []
    for name in data.terms:
        of_term = data.points[data.points[TERM] == name]
        least, most = (of_term.loc[of_term[data.axis] == end, SHARE].median() for end in ends)
        parts.append(f"{name} goes from {percent(least)} to {percent(most)}")
    return f"Shares of {whose} from {data.axis}={round(ends[0])} to {data.axis}={round(ends[1])}: {'; '.join(parts)}."
