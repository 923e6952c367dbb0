"""Curves of the fitted law, against laws that are known exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.law import Estimate, FittedTerm, Verdict
from attnbench.report.data.columns import LINE, PART
from attnbench.report.data.growth import growth
from attnbench.report.data.points import timed_points
from attnbench.trial import Choices, Subject
from tests.report.fake_run import exponents, time_law, write_fake_run
from tests.report.measured import exact, law_of, points_of

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


class TestTheFittedLaw:
    def test_of_one_term_passes_through_exact_points(self, exact_run: StoredRun) -> None:
        points, law = points_of(exact_run, "exact"), law_of(exact_run, "exact")
        curves = growth(points, "n", law).curves
        line = curves[curves[LINE] == "d=64"]

        assert set(curves[PART]) == {""}
        assert line["seconds"].to_numpy() == pytest.approx(3e-10 * line["n"].to_numpy() ** 2 * 64**1.5)

    def test_of_two_terms_is_their_sum_and_shows_each(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = law_of(run, subject.layer)
        curves = growth(timed_points(run, subject, law), "n", law).curves
        parts = curves.pivot_table(index=["n", LINE], columns=PART, values="seconds")

        assert set(parts.columns) == {"", "nd²", "n²d"}
        assert parts[""].to_numpy() == pytest.approx((parts["nd²"] + parts["n²d"]).to_numpy())
        first = parts.index.get_level_values("n").to_numpy()
        squared = np.where(parts.index.get_level_values(LINE) == "d=256", 256, 512)
        assert parts["nd²"].to_numpy() == pytest.approx(8 / 9e10 * first * squared**2)

    def test_is_left_out_where_its_terms_use_sizes_that_trials_do_not_have(self, exact_run: StoredRun) -> None:
        points, law = points_of(exact_run, "exact"), law_of(exact_run, "exact")
        assert law is not None
        strange = replace(law, exponents={}, terms=(FittedTerm("n*q", Estimate(1.0, 1.0, 1.0), 1.0),))

        assert growth(points, "n", strange).curves.empty

    def test_stands_at_the_height_of_each_size_that_it_does_not_speak_of(self, tmp_path: Path) -> None:
        law = time_law("exact", Verdict.INFERRED, "", exponents=exponents(n=(2.0, 0.0, None)), window={"n": (64, 512)})
        points = points_of(write_fake_run(tmp_path / "run", (exact(law=law),)), "exact")
        curves = growth(points, "n", law).curves

        for d in (32, 64):
            line = curves[curves[LINE] == f"d={d}"]
            assert line["seconds"].to_numpy() == pytest.approx(3e-10 * line["n"].to_numpy() ** 2 * d**1.5)
