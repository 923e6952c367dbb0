"""Residuals, shares of terms and samples, against the closed forms and the tables that they come from."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.formula import Formula
from attnbench.law import Curves, Law, Verdict
from attnbench.report import figures
from attnbench.report.data.curves import HIGH, INSIDE, LOW, RESIDUAL, SHARE, TERM, TRIAL
from attnbench.report.data.slices import time_law, timed_points
from attnbench.report.figures.canvas.svg import svg
from attnbench.report.sections.layer import samples
from attnbench.report.sections.layer.residuals import band_of_noise, memory_residuals, residual_gallery, residuals
from attnbench.report.sections.layer.samples import sample_gallery, strips
from attnbench.report.sections.layer.shares import counted_formula, share_gallery, shares
from attnbench.trial import Choices, Subject
from tests.report.fake_run import time_law as some_law
from tests.report.figures.canvas.test_svg import parse

if TYPE_CHECKING:
    import pandas as pd

    from attnbench.store.run_folder import StoredRun


def points_of(run: StoredRun, layer: str, law: Law | None = None) -> pd.DataFrame:
    subject = Subject(layer, Choices())
    return timed_points(run, subject, law or time_law(run, subject))


def tips_of(drawn: str) -> list[str]:
    return [element.attrib["data-tip"] for element in parse(drawn).iter() if "data-tip" in element.attrib]


#: Seconds 1e-4 + 2e-11 n² d, and a visit scatters by 5 %.
CURVED = some_law(
    "attention-core",
    Verdict.CONFIRMED,
    "",
    window={"n": (512, 2048), "d": (64, 512)},
    curves=Curves(("1",), ("d", "n"), ((1e-4, 2e-11, 1.0, 2.0),), scatter=0.05),
)


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
        found = residuals(run, points, time_law(run, Subject("multi-head-attention", Choices())))
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

    def test_every_point_tells_its_value(self, run: StoredRun) -> None:
        found = residuals(run, points_of(run, "attention-core", CURVED), CURVED)
        gallery = residual_gallery(found, ["n", "d"], CURVED, "name")
        value = 100 * found[RESIDUAL].iloc[0]

        assert gallery.axes == ("n", "d")
        assert [len(tips_of(drawn)) for drawn in gallery.pictures] == [len(found)] * 2
        assert any(
            re.fullmatch(rf"n=512, d=64: .{abs(value):.1f} % \[.*\] from the law", tip)
            for tip in tips_of(gallery.pictures[0])
        )


class TestShares:
    def test_of_the_count_and_of_the_fit_follow_their_formulas(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law, counted = time_law(run, subject), counted_formula(run, subject, "time")
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
        assert shares(points_of(run, subject.layer), "n", time_law(run, subject), counted) is None

    def test_of_a_count_alone_are_drawn_where_the_law_has_one_term(self, run: StoredRun) -> None:
        counted = Formula("n**2*d + 512*n*d")
        gallery = share_gallery(points_of(run, "attention-core", CURVED), ["n", "d"], CURVED, counted, "name")

        # Terms that grow alike along d keep their shares; they are drawn all the same.
        assert gallery.axes == ("n", "d")
        assert "n=512, d=64: n²d carries 50.0 % of the counted work" in tips_of(gallery.pictures[0])

    def test_a_lower_bound_is_no_work_to_have_shares_of(self, run: StoredRun) -> None:
        assert counted_formula(run, Subject("conv1d", Choices()), "time") is None


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

    def test_outliers_have_a_shape_of_their_own_and_every_block_its_text(self, run: StoredRun) -> None:
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

    def test_of_many_some_are_drawn_and_the_caption_says_how_many(
        self, run: StoredRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(samples, "_MOST_BLOCKS", 50)
        points = points_of(run, "rnn")
        found = strips(run, points)
        caption = sample_gallery(found, "name").caption

        ordered = points.sort_values("seconds")
        ends = [f"n={row.n}, d={row.d}" for row in ordered.iloc[[0, -1]].itertuples()]
        assert [found.rows[0].sizes, found.rows[-1].sizes] == ends
        assert "Shown are 45 of 180 blocks: 3 trials of 12" in caption

    def test_trials_outside_the_window_are_shown_too(self, run: StoredRun) -> None:
        points = points_of(run, "attention-core", CURVED)

        assert not points[INSIDE].all()
        assert strips(run, points).trials == 16
