"""Every admissible way to fit the same data, on the page: how far the exponents depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from attnbench.law import Law
from attnbench.report import figures, words
from attnbench.report.markup import picture
from attnbench.report.values import Gallery


@dataclass(frozen=True, slots=True)
class SpecificationRow:
    """One way to fit, and its exponents in the order of the table's heads."""

    name: str
    exponents: tuple[str, ...]


def specified_axes(law: Law | None) -> tuple[str, ...]:
    """Axes that some way to fit has an exponent of."""
    return tuple(dict.fromkeys(axis for row in (law.specifications if law else ()) for axis in row.exponents))


def specification_gallery(law: Law | None, axes: tuple[str, ...], name: str) -> Gallery:
    """The exponent of each axis under every way to fit; empty where there is but one."""
    if law is None or len(law.specifications) < 2:
        return Gallery()
    caption = (
        "Every admissible window and model, fitted to the same data: their spread is inside the interval (band)."
        if law.exponents
        else "What the terms leave over under every admissible window and model: a law that fits leaves nothing."
    )
    return Gallery(tuple(_picture(law, axis, name) for axis in axes), caption, axes)


def _picture(law: Law, axis: str, name: str) -> Markup:
    values = [row.exponents[axis] for row in law.specifications if axis in row.exponents]
    text = (
        f"{words.plural(len(values), 'way')} to fit give exponents of {axis} from {words.exponent(min(values))} "
        f"to {words.exponent(max(values))}."
    )
    exponent = law.exponents.get(axis)
    figure = figures.specification_curve(axis, values, exponent.estimate if exponent else None)
    return picture(figure, f"{name}: specification curve of {axis}", text)


def specification_rows(law: Law | None, axes: tuple[str, ...]) -> tuple[SpecificationRow, ...]:
    """A row for each way to fit."""
    return tuple(
        SpecificationRow(
            row.name, tuple(words.exponent(row.exponents[axis]) if axis in row.exponents else "—" for axis in axes)
        )
        for row in (law.specifications if law else ())
    )
