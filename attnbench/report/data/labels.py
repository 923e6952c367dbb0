"""Names of points by their sizes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from attnbench.report.data.columns import axes_of
from attnbench.trial import describe


def size_labels(points: pd.DataFrame, axes: Iterable[str]) -> list[str]:
    """``n=64, d=512`` for each row."""
    names = list(axes)
    return [describe(dict(zip(names, map(int, row), strict=True))) for row in points[names].to_numpy()]


def distinguishing_axes(points: pd.DataFrame) -> list[str]:
    """The axes that tell `points` apart; all of them where there is but one point."""
    every = axes_of(points)
    return [axis for axis in every if points[axis].nunique() > 1] or every
