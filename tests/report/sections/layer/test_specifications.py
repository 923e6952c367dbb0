"""The table of the ways to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.report.reading import section

if TYPE_CHECKING:
    from attnbench.report.context import PageContext


def test_rows_of_specifications_give_each_way_to_fit(context: PageContext) -> None:
    found = section(context, "rnn")

    assert found.specification_axes == ("n", "d")
    assert found.specification_rows[0].exponents == ("0.98", "1.72")
    assert found.specification_summary == "6 ways to fit"
