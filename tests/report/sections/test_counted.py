"""The table of counted formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnbench.report.context import PageContext


def test_rows_of_counts_show_formulas_as_mathml_with_their_evidence(context: PageContext) -> None:
    [found] = [layer for layer in context.counted if layer.layer == "conv1d"]
    flops, parameters, _ = found.rows

    assert (found.scope, flops.lower_bound, parameters.lower_bound) == ("layer", True, False)
    assert "<mi>k</mi>" in parameters.formula
    assert parameters.chip.word == "Refuted"
    assert parameters.reason == "Exact at 12 points it was not read from, the largest n = 131, d = 67."
