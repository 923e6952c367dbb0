"""The colours of figures."""

from __future__ import annotations

from attnbench.law import Verdict
from attnbench.report.figures.canvas.palette import SERIES, VARIABLES, VERDICT_COLOURS, VERDICT_NAMES, series_colour


def test_each_colour_has_one_name() -> None:
    assert len(set(VARIABLES.values())) == len(VARIABLES)
    assert set(VERDICT_COLOURS) == set(VERDICT_NAMES) == {*Verdict, None}


def test_lines_take_the_colours_from_end_to_end() -> None:
    assert [series_colour(rank, 3) for rank in range(3)] == [SERIES[0], SERIES[2], SERIES[5]]
    assert series_colour(0, 1) in SERIES
