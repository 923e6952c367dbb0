"""Slopes and claims, against laws that are known exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.law import Verdict
from attnbench.report.data.columns import LINE
from attnbench.report.data.growth import claimed_slope, local_exponents
from attnbench.report.data.points import timed_points
from attnbench.trial import Choices, Subject
from tests.report.fake_run import time_law
from tests.report.measured import law_of, points_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


class TestLocalExponents:
    def test_of_an_exact_power_law_are_exact(self, exact_run: StoredRun) -> None:
        points, law = points_of(exact_run, "exact"), law_of(exact_run, "exact")
        n, d = (local_exponents(points, axis, law) for axis in ("n", "d"))

        assert n.points["exponent"].to_numpy() == pytest.approx([2.0] * 4)
        assert d.points["exponent"].to_numpy() == pytest.approx([1.5] * 3)

    def test_stand_at_the_geometric_middle_of_neighbouring_sizes(self, exact_run: StoredRun) -> None:
        points, law = points_of(exact_run, "exact"), law_of(exact_run, "exact")
        n = local_exponents(points, "n", law)

        assert n.sizes == (64, 128, 512)
        assert n.points["size"].to_numpy() == pytest.approx([64 * 2**0.5, 256.0] * 2)
        assert list(n.points[LINE]) == ["d=32", "d=32", "d=64", "d=64"]

    def test_of_measured_times_are_ratios_of_logarithms(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = law_of(run, subject.layer)
        found = local_exponents(timed_points(run, subject, law), "n", law).points
        records = run.records[(run.records["layer"] == subject.layer) & (run.records["d"] == 256)].sort_values("n")
        logs = np.log(records[["n", "seconds"]].to_numpy(dtype=float))
        expected = np.diff(logs[:, 1]) / np.diff(logs[:, 0])

        assert found[found[LINE] == "d=256"]["exponent"].to_numpy() == pytest.approx(expected)

    def test_of_a_law_of_two_terms_are_drawn_from_its_terms(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = law_of(run, subject.layer)
        curves = local_exponents(timed_points(run, subject, law), "n", law).curves
        line = curves[curves[LINE] == "d=256"]
        a, b = 8 / 9e10 * 256**2, 4 / 7e10 * 256
        expected = [(a * n + 2 * b * n**2) / (a * n + b * n**2) for n in line["size"]]

        assert line["exponent"].to_numpy() == pytest.approx(expected, rel=1e-3)


class TestTheClaimedSlope:
    @pytest.mark.parametrize(
        ("claim", "axis", "slope"),
        [
            ("n**2*d", "n", 2.0),
            ("4*b*n**2*d + n*d", "n", 2.0),
            ("n*d**2 + n**2*d", "n", None),
            ("n*d**2 + n**2*d", "b", 0.0),
            ("max(n, d)", "n", None),
            (None, "n", None),
        ],
    )
    def test_is_that_of_the_leading_terms_when_they_agree(
        self, claim: str | None, axis: str, slope: float | None
    ) -> None:
        law = time_law("layer", Verdict.OUT_OF_REGIME, "", claim=claim)

        assert claimed_slope(law, axis) == slope

    def test_of_no_law_is_none(self) -> None:
        assert claimed_slope(None, "n") is None
