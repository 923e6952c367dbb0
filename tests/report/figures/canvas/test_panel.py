"""What all panels share."""

from __future__ import annotations

import pytest

from attnbench.report.figures.canvas.palette import ON_DARK, ON_LIGHT
from attnbench.report.figures.canvas.panel import readable_on


@pytest.mark.parametrize(
    ("cell", "text"),
    [((0.0, 0.0, 0.0, 1.0), ON_DARK), ((1.0, 1.0, 1.0, 1.0), ON_LIGHT), ((0.5, 0.5, 0.5, 1.0), ON_LIGHT)],
)
def test_rates_are_written_in_the_colour_that_stands_out(cell: tuple[float, float, float, float], text: str) -> None:
    assert readable_on(cell) == text
