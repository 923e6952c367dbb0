"""Time against each size, and its slopes between neighbouring sizes, on the page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attnbench import units
from attnbench.law import Law
from attnbench.report import figures, words
from attnbench.report.data.columns import INSIDE, LINE, PART
from attnbench.report.data.growth import Growth, LocalExponents, growth, local_exponents
from attnbench.report.markup import picture
from attnbench.report.values import Gallery


def growth_gallery(points: pd.DataFrame, axes: Sequence[str], law: Law | None, name: str) -> Gallery:
    """A figure of the time against each axis; `name` says whose."""
    along = [growth(points, axis, law) for axis in axes]
    pictures = tuple(
        picture(
            figures.time_growth(data), f"{name}: time against {words.axis_phrase(data.axis)}", _describe_growth(data)
        )
        for data in along
    )
    return Gallery(pictures, _growth_caption(along), tuple(axes))


def _growth_caption(along: Sequence[Growth]) -> str:
    parts = [
        "Dots are the median over visits of their fastest blocks, which the law is read from",
        "bars the interval of the median block",
    ]
    curves = [set(data.curves[PART]) for data in along]
    if any("" in drawn for drawn in curves):
        parts.append("solid lines the fitted law")
    if any(len(drawn) > 1 for drawn in curves):
        parts.append("dotted lines its terms at the largest sizes")
    if any(data.slope is not None for data in along):
        parts.append("the dashed line the slope that was claimed")
    if any(not data.points[INSIDE].all() for data in along):
        parts.append("hollow dots lie outside the window")
    return f"{', '.join(parts[:-1])}; {parts[-1]}. Both scales are logarithmic."


def _describe_growth(data: Growth) -> str:
    points = data.points
    by_time = points.sort_values("seconds").to_dict("records")
    low, high = by_time[0], by_time[-1]
    return " ".join(
        [
            f"{words.plural(len(points), 'trial')} on logarithmic scales,",
            f"{words.plural(points[LINE].nunique(), 'line')} for the other sizes.",
            f"Time goes from {units.seconds(low['seconds'])} at {data.axis}={round(low[data.axis])}",
            f"to {units.seconds(high['seconds'])} at {data.axis}={round(high[data.axis])}.",
            f"The claim grows as {data.axis} to the power {words.power(data.slope)}." if data.slope is not None else "",
        ]
    ).strip()


def local_exponent_gallery(points: pd.DataFrame, axes: Sequence[str], law: Law | None, name: str) -> Gallery:
    """A figure of the slopes along each axis that has any; `name` says whose."""
    along = [data for data in (local_exponents(points, axis, law) for axis in axes) if len(data.points)]
    pictures = tuple(
        picture(figures.local_exponents(data), f"{name}: local exponent of {data.axis}", _describe_exponents(data))
        for data in along
    )
    return Gallery(pictures, _exponent_caption(along), tuple(data.axis for data in along))


def _exponent_caption(along: Sequence[LocalExponents]) -> str:
    parts = ["Each dot is the slope between two neighbouring sizes, in the colours above"]
    if any(data.exponent for data in along):
        parts.append("the band is the fitted exponent’s interval")
    if any(len(data.curves) for data in along):
        parts.append("thin lines are the slope of the fitted law")
    if any(data.slope is not None for data in along):
        parts.append("the dashed line is the claim")
    return f"{'; '.join(parts)}. A trend here is a law of more than one term."


def _describe_exponents(data: LocalExponents) -> str:
    values = data.points["exponent"]
    text = (
        f"{words.plural(len(values), 'slope')} between neighbouring sizes, from {words.exponent(values.min())} "
        f"to {words.exponent(values.max())}, middle {words.exponent(values.median())}."
    )
    if data.exponent:
        estimate = data.exponent.estimate
        text += f" Fitted: {words.exponent(estimate.value)} {words.interval(estimate)}."
    return text + (f" Claimed: {words.power(data.slope)}." if data.slope is not None else "")
