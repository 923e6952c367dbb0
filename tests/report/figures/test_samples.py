"""The figure of the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.report import figures
from attnbench.report.data.samples import strips
from attnbench.report.figures.canvas.svg import svg
from tests.report.measured import points_of
from tests.report.reading import parse, tips_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


def test_outliers_have_a_shape_of_their_own_and_every_block_its_text(run: StoredRun) -> None:
    found = strips(run, points_of(run, "conv1d"))
    drawn = parse(svg(figures.sample_strips(found), "t", "d"))
    shapes: dict[str, set[str]] = {}
    for element in drawn.iter("{http://www.w3.org/2000/svg}use"):
        if ", block " in (tip := element.get("data-tip", "")):
            kind = next((kind for kind in ("mild", "severe") if f", {kind} outlier" in tip), "")
            shapes.setdefault(kind, set()).add(element.attrib["href"])
    told = sum(len(row.blocks) for row in found.rows)

    assert {kind for row in found.rows for kind in row.blocks["outlier"]} == set(shapes) == {"", "mild", "severe"}
    assert len(set.union(*shapes.values())) == 3
    assert sum(", block " in tip for tip in tips_of(svg(figures.sample_strips(found), "t", "d"))) == told
