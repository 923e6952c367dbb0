"""The section of one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.report.reading import section

if TYPE_CHECKING:
    from attnbench.report.context import PageContext


def test_a_section_says_its_window_and_why(context: PageContext) -> None:
    found = section(context, "attention-core")

    assert found.window == "n from 256 to 2048, d from 64 to 512"
    assert found.window_reason.startswith("The counted formula is 4bn²d alone")
    assert found.evidence == "16 trials timed; the law rests on 16"
    assert found.level == "90 %"


def test_a_section_shows_one_figure_for_each_axis_that_varies(context: PageContext) -> None:
    shown = {found.layer: (len(found.time.pictures), len(found.local.pictures)) for found in context.sections}

    assert shown["conv1d"] == (3, 3)
    assert shown["attention-core"] == (2, 2)
