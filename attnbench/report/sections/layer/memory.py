"""What the page says of the measured memory of one layer."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from attnbench import units
from attnbench.law import Law
from attnbench.report import words
from attnbench.report.data.columns import LINE
from attnbench.report.data.growth import claimed_slope
from attnbench.report.data.points import drawn_lines, varying_axes, weighed_points
from attnbench.report.data.residuals import memory_residuals
from attnbench.report.figures.memory import memory_growth
from attnbench.report.markup import chip, law_found, math_text, picture
from attnbench.report.sections.layer.detail import Detail
from attnbench.report.sections.layer.residuals import residual_gallery
from attnbench.report.values import Chip, Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject

_CAPTION = (
    "Lines are the counted peak of live tensors, dots what torch’s allocator handed out at most during one call, which "
    "the law is read from, and triangles by how much the process grew; the dashed line is the slope that was claimed. "
    "Both scales are logarithmic."
)


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """The law of the memory of one layer; without a reason where there is none."""

    chip: Chip
    claim: Markup
    found: Markup
    reason: str
    gallery: Gallery
    residuals: Gallery


def memory_part(run: StoredRun, subject: Subject, drawn: Detail = Detail.ALL) -> MemoryPart:
    """The law of memory of `subject` and its figures; empty where memory was not measured."""
    law = run.laws_by_subject.get((subject, "memory"))
    points = weighed_points(run, subject, law)
    axes = varying_axes(points, law) if drawn else []
    closely = axes if drawn is Detail.ALL else []
    name = words.subject(subject)
    return MemoryPart(
        chip=chip(law.verdict if law else None),
        claim=math_text(law.claim if law else None),
        found=law_found(law),
        reason=words.sentence(law.reason) if law else "",
        gallery=_gallery(points, axes, law, name),
        residuals=residual_gallery(memory_residuals(points, law), closely, law, f"{name}, memory"),
    )


def _gallery(points: pd.DataFrame, axes: list[str], law: Law | None, name: str) -> Gallery:
    pictures = tuple(
        picture(
            memory_growth(lined, axis, claimed_slope(law, axis)),
            f"{name}: memory against {words.axis_phrase(axis)}",
            _described(lined, axis),
        )
        for axis, lined in ((axis, drawn_lines(points, axis)) for axis in axes)
    )
    return Gallery(pictures, _CAPTION, axes=tuple(axes))


def _described(points: pd.DataFrame, axis: str) -> str:
    rows = points.sort_values("allocated_bytes").to_dict("records")
    low, high = rows[0], rows[-1]
    ratio = float((points["allocated_bytes"] / points["peak_bytes"]).max())
    return " ".join(
        [
            f"{words.plural(len(points), 'trial')} on logarithmic scales,",
            f"{words.plural(points[LINE].nunique(), 'line')} for the other sizes.",
            f"Allocated memory goes from {units.nbytes(low['allocated_bytes'])} at {axis}={round(low[axis])}",
            f"to {units.nbytes(high['allocated_bytes'])} at {axis}={round(high[axis])}",
            f"and is at most {units.significant(ratio)} times what was counted.",
        ]
    )
