"""Samples on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench.report.data import samples
from attnbench.report.data.samples import strips
from attnbench.report.sections.layer.samples import sample_gallery
from tests.report.measured import points_of

if TYPE_CHECKING:
    import pytest

    from attnbench.store.run_folder import StoredRun


def test_of_many_some_are_drawn_and_the_caption_says_how_many(run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_MAX_BLOCKS", 50)
    points = points_of(run, "rnn")
    found = strips(run, points)
    caption = sample_gallery(found, "name").caption

    ordered = points.sort_values("seconds")
    ends = [f"n={row.n}, d={row.d}" for row in ordered.iloc[[0, -1]].itertuples()]
    assert [found.rows[0].sizes, found.rows[-1].sizes] == ends
    assert "Shown are 45 of 180 blocks: 3 trials of 12" in caption
