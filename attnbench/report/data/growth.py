"""How time grows along one axis: the points, the fitted law and the claim, and the slopes between neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Exponent, Law
from attnbench.report.data.columns import LINE, PART, RANK
from attnbench.report.data.curves import drawn_law
from attnbench.report.data.points import drawn_lines


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
