"""Residuals on the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attnbench.report.data.columns import RESIDUAL
from attnbench.report.data.residuals import residuals
from attnbench.report.sections.layer.residuals import residual_gallery
from tests.report.measured import CURVED, points_of
from tests.report.reading import tips_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


def test_of_residuals_every_point_tells_its_value(run: StoredRun) -> None:
    found = residuals(run, points_of(run, "attention-core", CURVED), CURVED)
    gallery = residual_gallery(found, ["n", "d"], CURVED, "name")
    value = 100 * found[RESIDUAL].iloc[0]

    assert gallery.axes == ("n", "d")
    assert [len(tips_of(drawn)) for drawn in gallery.pictures] == [len(found)] * 2
    assert any(
        re.fullmatch(rf"n=512, d=64: .{abs(value):.1f} % \[.*\] from the law", tip)
        for tip in tips_of(gallery.pictures[0])
    )
