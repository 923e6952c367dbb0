"""How far each trial lies from the fitted law, on the page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attnbench.law import Law
from attnbench.report import figures, words
from attnbench.report.data.columns import HIGH, LOW, RESIDUAL
from attnbench.report.data.points import drawn_lines
from attnbench.report.data.residuals import band_of_noise
from attnbench.report.figures.canvas import tips
from attnbench.report.markup import picture
from attnbench.report.values import Gallery


def residual_gallery(points: pd.DataFrame, axes: Sequence[str], law: Law | None, name: str) -> Gallery:
    """A figure of the residuals of `points` against each axis; `name` says whose they are and what was measured."""
    if len(points) < 2 or not axes:
        return Gallery()
    noise = band_of_noise(law)
    pictures = tuple(
        picture(
            figures.residuals(drawn_lines(points, axis), axis, noise),
            f"{name}: measured over fitted against {words.axis_phrase(axis)}",
            _described(points, axis),
        )
        for axis in axes
    )
    return Gallery(pictures, _caption(points, noise), axes=tuple(axes))


def _caption(points: pd.DataFrame, noise: tuple[float, float] | None) -> str:
    timed = bool((points[HIGH] > points[LOW]).any())
    parts = ["How far each trial in the window lies above or below the fitted law, in the colours above"]
    if timed:
        parts.append("bars are the interval of the number that is compared")
    parts.append("the dark line joins the medians at each size")
    if noise:
        parts.append("the band holds 90 % of single visits")
    return f"{'; '.join(parts)}. A line that bends away from zero is growth that the law does not have."


def _described(points: pd.DataFrame, axis: str) -> str:
    values = points[RESIDUAL]
    medians = points.groupby(axis)[RESIDUAL].median().sort_index()
    least, most, middle = tips.apart([values.min(), values.max(), values.abs().median()])
    middles = ", ".join(
        f"{text} at {axis}={round(float(str(size)))}"
        for size, text in zip(medians.index, tips.apart(medians), strict=True)
    )
    return (
        f"{words.plural(len(points), 'trial')} lie from {least} to {most} about the law, half of them within "
        f"{middle.lstrip('+')}. Medians: {middles}."
    )
