"""Figures of growth, described in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench import units
from tests.report.reading import section

if TYPE_CHECKING:
    from attnbench.report.context import PageContext
    from attnbench.store.run_folder import StoredRun


def test_a_section_describes_its_figures_in_numbers(run: StoredRun, context: PageContext) -> None:
    found = section(context, "windowed-attention")
    records = run.records[run.records["layer"] == "windowed-attention"]
    low, high = (units.seconds(float(records["seconds"].agg(which))) for which in ("min", "max"))

    assert f"Time goes from {low} at n=512 to {high} at n=2048." in found.time.pictures[0]
    assert "The claim grows as n to the power 1." in found.time.pictures[0]
    assert "Fitted: 0.57 [0.36, 0.78]. Claimed: 1." in found.local.pictures[0]
