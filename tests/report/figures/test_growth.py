"""Figures of growth: what is written on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.report import figures
from attnbench.report.data.growth import growth
from attnbench.report.data.points import timed_points
from attnbench.report.figures.canvas.svg import svg
from attnbench.trial import Choices, Subject
from tests.report.measured import law_of
from tests.report.reading import texts

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


def test_time_has_units_and_its_sizes_on_the_axes(run: StoredRun) -> None:
    subject = Subject("attention-core", Choices())
    law = law_of(run, subject.layer)
    seen = texts(svg(figures.time_growth(growth(timed_points(run, subject, law), "n", law)), "t", "d"))

    assert {"256", "512", "1024", "2048", "sequence length n", "1 ms", "10 ms", "100 ms"} <= seen
    assert {"d=64", "d=128", "d=256", "d=512", "claim: n²"} <= seen


def test_specifications_without_an_estimate_are_compared_with_zero() -> None:
    assert "left over along n" in texts(svg(figures.specification_curve("n", [0.01, -0.01], None), "t", "d"))
