"""Residuals, against the closed form and the tables that they come from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.report.data.columns import HIGH, LOW, RESIDUAL, TRIAL
from attnbench.report.data.residuals import band_of_noise, memory_residuals, residuals
from attnbench.report.sections.layer.residuals import residual_gallery
from tests.report.measured import CURVED, law_of, points_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


class TestResiduals:
    def test_are_measured_over_fitted_less_one_in_the_window(self, run: StoredRun) -> None:
        points = points_of(run, "attention-core", CURVED)
        found = residuals(run, points, CURVED)
        fitted = 1e-4 + 2e-11 * found["n"] ** 2 * found["d"]

        assert len(found) == 12
        assert found["n"].min() == 512
        assert found[RESIDUAL].to_numpy() == pytest.approx((found["seconds"] / fitted - 1).to_numpy())

    def test_reach_as_far_as_the_fastest_blocks_of_visits_do(self, run: StoredRun) -> None:
        points = points_of(run, "attention-core", CURVED)
        found = residuals(run, points, CURVED).set_index(TRIAL)
        fastest = run.samples.groupby(["trial", "round", "process"])["seconds"].min().groupby("trial")
        fitted = 1e-4 + 2e-11 * found["n"] ** 2 * found["d"]

        # Three visits cannot reach 90 %, so the interval of their median is their whole range.
        assert found[LOW].to_numpy() == pytest.approx((fastest.min()[found.index] / fitted - 1).to_numpy())
        assert found[HIGH].to_numpy() == pytest.approx((fastest.max()[found.index] / fitted - 1).to_numpy())

    def test_of_a_law_of_terms_are_about_the_sum_of_its_terms(self, run: StoredRun) -> None:
        points = points_of(run, "multi-head-attention")
        found = residuals(run, points, law_of(run, "multi-head-attention"))
        n, d = found["n"], found["d"]
        fitted = 8 / 9e10 * n * d**2 + 4 / 7e10 * n**2 * d

        assert found[RESIDUAL].to_numpy() == pytest.approx((found["seconds"] / fitted - 1).to_numpy())

    def test_of_a_law_of_memory_have_no_interval(self, run: StoredRun) -> None:
        weighed = points_of(run, "attention-core", CURVED).assign(allocated_bytes=1e6)
        found = memory_residuals(weighed, CURVED)

        assert found[RESIDUAL].to_numpy() == pytest.approx(1e6 / (1e-4 + 2e-11 * found["n"] ** 2 * found["d"]) - 1)
        assert (found[LOW] == found[HIGH]).all()

    def test_without_a_law_there_are_none(self, run: StoredRun) -> None:
        points = points_of(run, "attention-core")

        assert residuals(run, points, None).empty
        assert residual_gallery(residuals(run, points, None), ["n"], None, "name").pictures == ()

    def test_the_band_holds_nine_tenths_of_visits(self) -> None:
        drawn = np.expm1(np.random.default_rng(4).normal(0, 0.05, 20_000))
        band = band_of_noise(CURVED)
        assert band is not None

        assert np.mean((drawn > band[0]) & (drawn < band[1])) == pytest.approx(0.9, abs=0.01)
        assert band_of_noise(replace(CURVED, curves=None)) is None
