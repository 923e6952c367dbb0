"""Anyone's numbers: a table with one row a measurement, in whatever state it is, becomes observations and a law.

A configuration is one combination of sizes; its rows are replicates. What a configuration read in one visit is the
median of its rows there. Visits are what repeats: a column ``process`` or ``round`` says which rows belong to one, as
measurements made together share what disturbed them. Without one that varies, every row is a visit of its own.
"""

from __future__ import annotations

import contextlib
import keyword
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError, InputError, near_miss
from attnbench.fitting import distributions
from attnbench.fitting.model.observations import Array, Observations
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula
from attnbench.law import Law

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Codes = np.ndarray[Any, np.dtype[np.integer[Any]]]

#: Columns that say which rows were measured together.
CLUSTERS = ("process", "round")
#: Column that says where a row was measured, as in the table of records of a run.
HOST = "host"
#: More visits than this tell an interval nothing more: neighbours are put together.
MAX_VISITS = 40
#: A further column tells rows of the same sizes apart when it leaves less than this share of their variance ...
_MIXED = 0.5
#: ... and would do so by chance less often than this.
_BY_CHANCE = 1e-4
#: Column names that an error shows.
_SHOWN_COLUMNS = 12

_UNUSABLE: tuple[tuple[str, Callable[[Array], Flags]], ...] = (
    ("has no value", np.isnan),
    ("is zero or negative, which a power law cannot be", lambda values: np.asarray(values <= 0)),
    ("is infinite", np.isinf),
    ("is below 1e-30 or above 1e30", lambda values: np.asarray((values < 1e-30) | (values > 1e30))),
)


@dataclass(frozen=True)
class TableObservations:
    """A table, read.

    Attributes:
        observed: the values of each configuration; its axes have the names that formulas use.
        fixed: axis → the one size that every row has.
        rows: how many rows the observations rest on.
        remarks: what was left out or renamed, one sentence each.
    """

    observed: Observations
    fixed: dict[str, int]
    rows: int
    remarks: tuple[str, ...]

    def law(self, claim: str | None, metric: str) -> Law:
        """The law of the values, and the verdict on `claim`.

        Raises:
            FormulaError: the claim cannot be read, or names an axis that the reading does not have.
        """
        claimed = None if claim is None else Formula(claim)
        known = (*self.observed.axes, *self.fixed)
        if claimed is not None and (foreign := sorted(claimed.axes - set(known))):
            raise FormulaError(
                f"the claim {claim!r} names {foreign[0]!r}, which is not among the axes {', '.join(known)}."
                f"{near_miss(foreign[0], known)} Correct the claim, or fit over that axis too"
            )
        return replace(law_of(self.observed, claimed, metric=metric), fixed=self.fixed)


def fit(frame: pd.DataFrame, y: str = "seconds", over: Sequence[str] = ("n", "d"), claim: str | None = None) -> Law:
    """The law of anyone's measurements: how `y` grows over the axes, and the verdict on a claim.

    What is left out of the fit, and why, is said in a `UserWarning`.

    Args:
        frame: one row a measurement; several rows of the same sizes are replicates. Columns ``process`` and ``round``
            say which were measured together.
        y: column of the metric, which is positive.
        over: columns of the sizes.
        claim: a formula over the axes, such as ``n**2*d``.

    Raises:
        InputError: the table cannot be read as positive numbers, or the claim does not fit it.
    """
    reading = read_frame(frame, y, over)
    for remark in reading.remarks:
        warnings.warn(remark, UserWarning, stacklevel=2)  # where it was called
    return reading.law(claim, metric=y)


def read_frame(frame: pd.DataFrame, y: str, over: Sequence[str]) -> TableObservations:
    """The observations in a table.

    Raises:
        InputError: a column is missing or ambiguous, is no numbers, or no row is left.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"a pandas DataFrame is needed, not {type(frame).__name__}; pandas.read_csv reads a file")
    axes = [axis.strip() for axis in over.split(",")] if isinstance(over, str) else list(over)
    _check_names(frame, y, axes)
    columns = {name: _numbers(frame[name]) for name in (y, *axes)}
    usable, remarks = _usable(columns)
    columns = {name: values[usable] for name, values in columns.items()}
    _refuse_two_hosts(frame.loc[usable], columns)
    names = _written(axes)
    remarks += [f"the axis {axis!r} is written {name} in formulas" for axis, name in names.items() if axis != name]
    fixed = {axis: _whole(columns[axis][:1]).item() for axis in axes if (columns[axis] == columns[axis][0]).all()}
    for axis, size in fixed.items():
        remarks.append(f"{axis} is {size} in every row, so it has no part in the fit")
    sizes, configuration = _configurations({a: columns[a] for a in axes if a not in fixed}, int(usable.sum()))
    others = frame.loc[usable, [name not in columns for name in frame.columns]]
    clusters = others[[name for name in CLUSTERS if name in others.columns]]
    visit, said = _visits(clusters.loc[:, clusters.nunique(dropna=False) > 1], configuration)
    mixed = _mixed(others.drop(columns=clusters.columns), np.log(columns[y]), configuration)
    return TableObservations(
        Observations(sizes.rename(columns=names), _table(columns[y], configuration, visit)),
        {names[axis]: size for axis, size in fixed.items()},
        int(usable.sum()),
        (*remarks, *mixed, *said),
    )


def _check_names(frame: pd.DataFrame, y: str, axes: list[str]) -> None:
    if not axes or "" in axes:
        raise InputError("name the columns to fit over, such as n,d")
    if odd := [name for name in (y, *axes) if not isinstance(name, str)]:
        raise InputError(f"{odd[0]!r} is no text; rename the column, as formulas name the axes")
    if y in axes:
        raise InputError(f"{y!r} is named as the metric and as an axis; fit over the other columns")
    if twice := [axis for axis, number in Counter(axes).items() if number > 1]:
        raise InputError(f"the axis {twice[0]!r} is named twice; once is enough")
    columns = Counter(frame.columns)
    for name in (y, *axes):
        if name not in columns:
            shown = [*map(str, columns)][:_SHOWN_COLUMNS] + ["…"] * (len(columns) > _SHOWN_COLUMNS)
            index = " It is in the index: call reset_index() first." if name in frame.index.names else ""
            hint = near_miss(name, map(str, columns))
            raise InputError(f"there is no column {name!r} among {', '.join(shown) or 'none'}.{index or hint}")
    for name in (y, *axes, *CLUSTERS, HOST):
        if columns[name] > 1:
            raise InputError(f"{columns[name]} columns are named {name!r}; rename or remove all but one")


def _refuse_two_hosts(frame: pd.DataFrame, columns: Collection[str]) -> None:
    """Times of two machines have two laws: whoever names the machines knows it, and must not get one by mistake."""
    hosts = [] if HOST in columns or HOST not in frame.columns else [*frame[HOST].dropna().astype(str).unique()]
    if len(hosts) > 1:
        raise InputError(
            f"the rows come from {len(hosts)} hosts, {hosts[0]!r} and {hosts[1]!r}"
            f"{' among them' if len(hosts) > 2 else ''}, as the column {HOST!r} says; fit each of them apart, "
            "or take the column away to fit them as one"
        )


def _numbers(column: pd.Series[Any]) -> Array:
    """Values of a column, NaN where there is none; text is read as numbers."""
    plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if plain and not pd.api.types.is_complex_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    cells = column.astype(object)
    numbers = pd.to_numeric(cells.where(cells.map(_may_be_a_number), "no number"), errors="coerce")
    bad = (numbers.isna() & cells.notna()).to_numpy()
    for row in np.flatnonzero(bad):
        if (text := str(cells.iloc[row]).strip()) and text.lower() != "nan":
            raise InputError(f"column {column.name!r}, row {row + 1}: {_complaint(text)}")
    return np.asarray(numbers, dtype=float)


def _may_be_a_number(cell: object) -> bool:
    return not isinstance(cell, bool | np.bool_ | complex)


def _complaint(text: str) -> str:
    if re.fullmatch(r"[+-]?\d[\d.,'_\s]*", text):
        return f"{text!r} is no number here; write a point before decimals and nothing between thousands"
    return f"{text!r} is not a number; correct it, or leave it empty where a value is missing"


def _usable(columns: dict[str, Array]) -> tuple[Flags, list[str]]:
    """Rows that can be fitted, and a sentence for each reason to leave others out; a row is left out once."""
    rows = len(next(iter(columns.values())))
    if not rows:
        raise InputError("the table has no rows; at least one measurement is needed")
    usable, remarks = np.ones(rows, dtype=bool), []
    for name, values in columns.items():
        for reason, unusable in _UNUSABLE:
            if left_out := int((usable & unusable(values)).sum()):
                were = "row was" if rows == 1 else "rows was" if left_out == 1 else "rows were"
                remarks.append(f"{left_out} of {rows} {were} left out: {name} {reason}")
                usable &= ~unusable(values)
    if not usable.any():
        raise InputError(f"no row is left to fit: {'; '.join(remarks)}")
    return usable, remarks


def _written(axes: list[str]) -> dict[str, str]:
    """Axis → its name in formulas, which have no spaces and no signs in names."""
    names = {axis: _in_formulas(axis) for axis in axes}
    for name, number in Counter(names.values()).items():
        if number > 1:
            same = " and ".join(repr(axis) for axis in axes if names[axis] == name)
            raise InputError(f"the axes {same} would both be written {name} in formulas; rename one of the columns")
    return names


def _in_formulas(axis: str) -> str:
    plain = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", axis)).strip("_") or "x"
    candidates = (axis, plain, f"{plain}_", f"x_{plain}")
    return next(name for name in candidates if name.isidentifier() and _names_itself(name))


def _names_itself(name: str) -> bool:
    """Whether a formula that is only `name` reads it as an axis: not so for ``min``, ``inf`` or ``lambda``."""
    try:
        return not keyword.iskeyword(name) and Formula(name).axes == {name}
    except FormulaError:
        return False


def _whole(values: Array) -> np.ndarray[Any, Any]:
    """`values`, as integers when all of them are."""
    return values.astype(np.int64) if ((values == np.floor(values)) & (values < 2**53)).all() else values


def _configurations(columns: dict[str, Array], rows: int) -> tuple[pd.DataFrame, Codes]:
    """The combinations of sizes in ascending order, and for each row which it has; one of no axes when none varies."""
    if not columns:
        return pd.DataFrame(index=[0]), np.zeros(rows, dtype=np.intp)
    sizes = pd.DataFrame({axis: _whole(values) for axis, values in columns.items()})
    groups = sizes.groupby(list(columns), sort=True)
    codes: Codes = groups.ngroup().to_numpy(dtype=np.intp)
    return sizes.drop_duplicates().sort_values(list(columns)).reset_index(drop=True), codes


def _visits(clusters: pd.DataFrame, configuration: Codes) -> tuple[Codes, Iterator[str]]:
    """For each row, the visit that it belongs to, and a sentence when visits had to be put together."""
    if len(clusters.columns):
        visit: Codes = clusters.groupby(list(clusters.columns), sort=False, dropna=False).ngroup().to_numpy(np.intp)
        number: Any = visit.max() + 1
    else:
        rows = pd.Series(configuration)
        visit = rows.groupby(configuration).cumcount().to_numpy(np.intp)
        number = np.bincount(configuration)[configuration]
    most = int(np.max(number))
    said = f"{most} visits of a configuration were put together into {MAX_VISITS}, each with its neighbours"
    shrunk: Codes = visit * np.minimum(number, MAX_VISITS) // number
    return shrunk, iter([said] if most > MAX_VISITS else [])


def _mixed(others: pd.DataFrame, logs: Array, configuration: Codes) -> Iterator[str]:
    """A sentence for each further column that accounts for most of what tells rows of the same sizes apart.

    Such rows are no replicates: they come from several layers, say, or from several sizes that were not asked for.
    """
    rest = logs - _means(logs, configuration)[configuration]
    whole, free = float(rest @ rest), len(rest) - configuration.max() - 1
    for name, column in others.items():
        with contextlib.suppress(TypeError):  # cells such as lists are no labels
            codes, labels = pd.factorize(column, use_na_sentinel=False)
            between, left = len(labels) - 1, free - len(labels) + 1
            if not between or left <= 0 or not whole:
                continue
            unexplained = float(np.square(rest - _means(rest, codes)[codes]).sum()) / whole
            ratio = (1 - unexplained) / between * left / max(unexplained, np.finfo(float).tiny)
            if unexplained / left * free < _MIXED and distributions.f_beyond(ratio, between, left) < _BY_CHANCE:
                yield (
                    f"rows of the same sizes differ mostly by {name} ({len(labels)} values): "
                    "fit each of them apart, or fit over it too"
                )


def _means(values: Array, codes: Codes) -> Array:
    means: Array = np.bincount(codes, values) / np.bincount(codes)
    return means


def _table(values: Array, configuration: Codes, visit: Codes) -> Array:
    """Median of the values of each configuration (row) in each visit (column); NaN where there are none."""
    medians = pd.Series(values).groupby([configuration, visit]).median()
    table = np.full((configuration.max() + 1, visit.max() + 1), np.nan)
    table[medians.index.get_level_values(0), medians.index.get_level_values(1)] = medians.to_numpy()
    return table
