"""Shares of terms on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.formula import Formula
from attnbench.report.sections.layer.shares import share_gallery
from tests.report.measured import CURVED, points_of
from tests.report.reading import tips_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


def test_shares_of_a_count_alone_are_drawn_where_the_law_has_one_term(run: StoredRun) -> None:
    counted = Formula("n**2*d + 512*n*d")
    gallery = share_gallery(points_of(run, "attention-core", CURVED), ["n", "d"], CURVED, counted, "name")

    # Terms that grow alike along d keep their shares; they are drawn all the same.
    assert gallery.axes == ("n", "d")
    assert "n=512, d=64: n²d carries 50.0 % of the counted work" in tips_of(gallery.pictures[0])
