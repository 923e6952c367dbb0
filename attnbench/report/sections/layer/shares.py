"""Which term carries how much of the work and of the time, on the page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attnbench.formula import Formula
from attnbench.law import LEADING_SHARE, Law
from attnbench.report import figures
from attnbench.report.data.columns import SHARE, TERM
from attnbench.report.data.shares import Shares, shares
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.units import percent


def share_gallery(
    points: pd.DataFrame, axes: Sequence[str], law: Law | None, counted: Formula | None, name: str
) -> Gallery:
    """A figure of the shares along each axis; empty where no several terms were along."""
    along = [data for data in (shares(points, axis, law, counted) for axis in axes) if data is not None]
    pictures = tuple(
        picture(figures.term_shares(data), f"{name}: shares of the terms along {data.axis}", _described(data))
        for data in along
    )
    return Gallery(pictures, _caption(along), tuple(data.axis for data in along)) if along else Gallery()


def _caption(along: Sequence[Shares]) -> str:
    lines = any(len(data.curves) for data in along)
    fitted = any(data.fitted for data in along)
    parts = [
        "Lines are the shares of the counted work" if lines else "",
        f"marks are the shares of the fitted {'law' if lines else 'terms'} at the measured sizes" if fitted else "",
    ]
    text = ", ".join(filter(None, parts))
    return (
        f"{text[0].upper()}{text[1:]}, each kind of line and mark one term, in the colours above. "
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
