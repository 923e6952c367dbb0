"""The table of the terms of a law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench import units
from tests.report.reading import section

if TYPE_CHECKING:
    from attnbench.report.context import PageContext


def test_rows_of_terms_show_coefficients_as_times_with_intervals(context: PageContext) -> None:
    first, _ = section(context, "multi-head-attention").terms
    value = 8 / 9e10

    assert first.coefficient == units.seconds(value)
    assert first.interval == f"[{units.seconds(0.97 * value)}, {units.seconds(1.03 * value)}]"
    assert first.share == "92.6 %"
