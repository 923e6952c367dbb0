"""Shares of terms, against the closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attnbench.formula import Formula
from attnbench.report.data.columns import SHARE, TERM
from attnbench.report.data.shares import counted_formula, shares
from attnbench.trial import Choices, Subject
from tests.report.measured import law_of, points_of

if TYPE_CHECKING:
    from attnbench.store.run_folder import StoredRun


class TestShares:
    def test_of_the_count_and_of_the_fit_follow_their_formulas(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law, counted = law_of(run, subject.layer), counted_formula(run, subject, "time")
        found = shares(points_of(run, subject.layer), "n", law, counted)
        assert found is not None
        lines, marks = (frame[frame[TERM] == "n²d"] for frame in (found.curves, found.points))

        # 8nd² + 4n²d is counted; the fit has 8/9e10 nd² + 4/7e10 n²d.
        assert set(found.terms) == {"nd²", "n²d"}
        assert lines[SHARE].to_numpy() == pytest.approx((lines["n"] / (lines["n"] + 2 * lines["d"])).to_numpy())
        fitted = marks["n"] * 4 / 7 / (marks["n"] * 4 / 7 + marks["d"] * 8 / 9)
        assert marks[SHARE].to_numpy() == pytest.approx(fitted.to_numpy())
        assert len(marks) == 12

    def test_of_one_term_are_not_drawn(self, run: StoredRun) -> None:
        subject = Subject("attention-core", Choices())
        counted = counted_formula(run, subject, "time")

        assert counted == Formula("4*b*n**2*d")
        assert shares(points_of(run, subject.layer), "n", law_of(run, subject.layer), counted) is None

    def test_a_lower_bound_is_no_work_to_have_shares_of(self, run: StoredRun) -> None:
        assert counted_formula(run, Subject("conv1d", Choices()), "time") is None
