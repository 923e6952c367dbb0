"""Rates of the pilot and times of the reference kernel, against plain pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attnbench.report.data.machine import rate_map, reference_times
from attnbench.trial import Choices, Subject
from tests.report.fake_run import write_fake_run
from tests.report.measured import exact, law_of

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


class TestTheRateMap:
    def test_takes_the_slab_with_the_most_points(self, run: StoredRun) -> None:
        subject = Subject("attention-core", Choices())
        found = rate_map(run, subject, law_of(run, subject.layer))

        assert found is not None
        assert found.others == {"b": 1}
        assert list(found.rates.index) == [1024, 512, 256, 128, 64, 32]
        work = 4 * 256**2 * 64
        assert found.rates.loc[64, 256] == pytest.approx(work / (work / 9e10 + 2e-5))

    @pytest.mark.parametrize(
        "rows",
        [
            (),
            ({"layer": "exact", "device": "cpu", "sizes": {"n": 8, "d": 8}, "seconds": 1.0, "flops": 8},),
            ({"layer": "exact", "device": "cpu", "sizes": {"n": 8}, "seconds": 1.0, "flops": 8},),
            ({"layer": "exact", "device": "cpu", "sizes": {"n": 8, "d": 8}, "seconds": None, "flops": 8},) * 2,
            ({"layer": "other"},),
        ],
    )
    def test_is_left_out_with_fewer_than_two_cells(self, rows: tuple[dict[str, object], ...], tmp_path: Path) -> None:
        run = write_fake_run(tmp_path / "run", (exact(),), calibration=rows)

        assert rate_map(run, Subject("exact", Choices()), None) is None


def test_the_reference_is_compared_with_the_median_of_its_device(run: StoredRun) -> None:
    found = reference_times(run)
    seconds = pd.Series([visit.reference_seconds for visit in run.visits], dtype=float)

    assert list(found["ratio"]) == pytest.approx(list(seconds / seconds.median()))
    assert set(found["device"]) == {"cpu"}
