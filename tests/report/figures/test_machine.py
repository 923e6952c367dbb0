"""Figures of what the machine did."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from attnbench.report import figures
from attnbench.report.data.machine import RateMap, rate_map
from attnbench.report.figures.canvas.palette import ON_DARK, ON_LIGHT
from attnbench.report.figures.canvas.svg import svg
from attnbench.trial import Choices, Subject
from tests.report.measured import law_of
from tests.report.reading import texts

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


def test_a_rate_map_outlines_the_window(run: StoredRun) -> None:
    subject = Subject("attention-core", Choices())
    data = rate_map(run, subject, law_of(run, subject.layer))
    assert data is not None
    with_window = svg(figures.rate_map(data), "t", "d")
    without = svg(figures.rate_map(RateMap(data.rates, data.others, {})), "t", "d")
    outline = re.compile(rf"fill: none; stroke: ({ON_DARK}|{ON_LIGHT})")

    assert len(outline.findall(with_window)) == 2
    assert outline.findall(without) == []
    assert {"90.0 G", "1024", "4096"} <= texts(with_window)


def test_rates_carry_their_own_colour_in_every_scheme(run: StoredRun) -> None:
    subject = Subject("attention-core", Choices())
    data = rate_map(run, subject, law_of(run, subject.layer))
    assert data is not None
    drawn = ET.fromstring(svg(figures.rate_map(data), "t", "d"))  # noqa: S314  our own

    cells = [element for element in drawn.iter() if (element.text or "").endswith(" G")]
    assert cells
    assert all(re.search(rf"fill: ({ON_DARK}|{ON_LIGHT})", cell.get("style", "")) for cell in cells)
