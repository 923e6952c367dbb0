"""Points and lines of figures, against plain pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.report.data.columns import INSIDE, LINE, RANK
from attnbench.report.data.growth import local_exponents
from attnbench.report.data.points import subjects, timed_points, varying_axes, with_lines
from attnbench.trial import Choices, Subject
from tests.report.fake_run import write_fake_run
from tests.report.measured import exact, law_of, points_of

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


class TestPoints:
    def test_there_is_one_for_each_timed_trial_with_the_numbers_of_the_records(self, run: StoredRun) -> None:
        subject = Subject("conv1d", Choices())
        points = timed_points(run, subject, law_of(run, subject.layer))
        records = run.records
        timed = records[(records["layer"] == "conv1d") & (records["status"] == "ok")]

        assert len(timed) == 23
        for column in ("n", "d", "k", "seconds", "seconds_low", "seconds_high"):
            assert list(points[column]) == list(timed[column])

    def test_those_beyond_the_window_are_marked(self, exact_run: StoredRun) -> None:
        law = law_of(exact_run, "exact")
        points = points_of(exact_run, "exact")
        assert law is not None
        narrow = points_of(exact_run, "exact", replace(law, window={"n": (64, 128), "d": (64, 64)}))

        assert points[INSIDE].all()
        assert {(row.n, row.d) for row in narrow[narrow[INSIDE]].itertuples()} == {(64, 64), (128, 64)}

    def test_the_axes_of_figures_are_those_of_the_window_that_vary(self, exact_run: StoredRun) -> None:
        points, law = points_of(exact_run, "exact"), law_of(exact_run, "exact")
        assert law is not None

        assert varying_axes(points, law) == ["n", "d"]
        assert varying_axes(points, replace(law, window={"d": (32, 64)})) == ["d"]
        assert varying_axes(points, None) == ["n", "d"]

    def test_an_axis_may_be_called_like_a_column_of_a_table(self, tmp_path: Path) -> None:
        layer = exact(
            grid={"b": (1,), "n": (8, 16), "d": (4,), "rank": (2, 4), "inside": (1, 2)},
            seconds=lambda b, n, d, rank, inside: 1e-6 * n * rank,
            flops=lambda **_: 1,
            law=None,
        )
        points, law = points_of(write_fake_run(tmp_path / "run", (layer,)), "exact"), None
        slopes = local_exponents(points, "rank", law)

        assert varying_axes(points, law) == ["n", "inside", "rank"]
        assert slopes.points["exponent"].to_numpy() == pytest.approx([1.0] * 4)


def test_a_layer_under_two_choices_is_two_subjects(tmp_path: Path) -> None:
    train = exact(choices=Choices(mode="train"), law=None)
    run = write_fake_run(tmp_path / "run", (exact(), train))

    assert subjects(run) == (Subject("exact", Choices()), Subject("exact", Choices(mode="train")))


def test_lines_go_from_small_sizes_to_large(run: StoredRun) -> None:
    subject = Subject("conv1d", Choices())
    lined = with_lines(timed_points(run, subject, None), "n")

    assert list(dict.fromkeys(lined[LINE]))[:4] == ["d=64, k=3", "d=64, k=7", "d=64, k=15", "d=128, k=3"]
    assert list(dict.fromkeys(lined[RANK])) == list(range(9))
