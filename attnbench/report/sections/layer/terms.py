"""The terms of a law, and where its growth comes from, as the rows of two tables."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from attnbench import units
from attnbench.law import Law
from attnbench.report import words
from attnbench.report.markup import math_text


@dataclass(frozen=True, slots=True)
class TermRow:
    """One term of a law."""

    term: Markup
    coefficient: str
    interval: str
    share: str


@dataclass(frozen=True, slots=True)
class PartRow:
    """Where the growth of time along one axis comes from."""

    axis: str
    local: str
    overhead: str
    operations: str
    efficiency: str


def term_rows(law: Law | None) -> tuple[TermRow, ...]:
    """A row for each term of a law."""
    written = units.nbytes if law and law.metric == "memory" else units.seconds
    return tuple(
        TermRow(
            math_text(row.term),
            written(row.coefficient.value),
            f"[{written(row.coefficient.low)}, {written(row.coefficient.high)}]",
            units.percent(row.share),
        )
        for row in (law.terms if law else ())
    )


def part_rows(law: Law | None) -> tuple[PartRow, ...]:
    """A row for each axis along which the growth of time was taken apart."""
    return tuple(
        PartRow(
            axis,
            words.exponent(row.local),
            units.percent(row.overhead),
            "—" if row.operations is None else words.exponent(row.operations),
            "—" if row.efficiency is None else words.exponent(row.efficiency),
        )
        for axis, row in (law.parts.items() if law else ())
    )
