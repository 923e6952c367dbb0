"""Samples, against the table that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attnbench.report.data.columns import INSIDE, TRIAL
from attnbench.report.data.samples import strips
from tests.report.measured import CURVED, points_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


class TestSamples:
    def test_stand_in_the_order_of_the_journal_with_their_labels(self, run: StoredRun) -> None:
        points = points_of(run, "rnn")
        found = strips(run, points)
        shortest = points.sort_values("seconds").iloc[0]
        table = run.samples[run.samples["trial"] == shortest[TRIAL]]
        blocks = found.rows[0].blocks

        assert (len(found.rows), found.blocks) == (12, 12 * 15)
        for column in ("process", "round", "block", "seconds", "outlier"):
            assert list(blocks[column]) == list(table[column])
        assert blocks["place"].is_monotonic_increasing
        assert blocks["apart"].to_numpy() == pytest.approx(
            (table["seconds"] / table["seconds"].median() - 1).to_numpy()
        )
        assert found.rows[0].location == pytest.approx(shortest["seconds"] / table["seconds"].median() - 1)

    def test_trials_outside_the_window_are_shown_too(self, run: StoredRun) -> None:
        points = points_of(run, "attention-core", CURVED)

        assert not points[INSIDE].all()
        assert strips(run, points).trials == 16
