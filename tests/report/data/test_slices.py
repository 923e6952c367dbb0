"""What figures show, against laws that are known exactly and against plain pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench.law import Estimate, FittedTerm, Law, Verdict
from attnbench.report.data import slices
from attnbench.report.data.slices import INSIDE, LINE, PART, RANK
from attnbench.trial import Choices, Subject
from tests.report.fake_run import FakeLayer, exponents, time_law, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun


def exact(name: str = "exact", **changes: object) -> FakeLayer:
    """Seconds are exactly 3e-10 n² d^1.5, without noise."""
    layer = FakeLayer(
        name,
        {"b": (2,), "n": (64, 128, 512), "d": (32, 64)},
        lambda b, n, d: 3e-10 * n**2 * d**1.5,
        lambda b, n, d: 2 * b * n * d,
        time_law(
            name,
            Verdict.CONFIRMED,
            "because",
            claim="n**2*d",
            exponents=exponents(n=(2.0, 0.0, 2.0), d=(1.5, 0.0, 1.0)),
            window={"n": (64, 512), "d": (32, 64)},
        ),
        noise=0.0,
    )
    return replace(layer, **changes)


def points_of(run: StoredRun) -> tuple[pd.DataFrame, Law | None, Subject]:
    [subject] = slices.subjects(run)
    law = slices.time_law(run, subject)
    return slices.timed_points(run, subject, law), law, subject


@pytest.fixture(scope="module")
def exact_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return write_fake_run(tmp_path_factory.mktemp("exact") / "run", (exact(),))


class TestPoints:
    def test_there_is_one_for_each_timed_trial_with_the_numbers_of_the_records(self, run: StoredRun) -> None:
        subject = Subject("conv1d", Choices())
        points = slices.timed_points(run, subject, slices.time_law(run, subject))
        records = run.records
        timed = records[(records["layer"] == "conv1d") & (records["status"] == "ok")]

        assert len(timed) == 23
        for column in ("n", "d", "k", "seconds", "seconds_low", "seconds_high"):
            assert list(points[column]) == list(timed[column])

    def test_those_beyond_the_window_are_marked(self, exact_run: StoredRun) -> None:
        points, law, subject = points_of(exact_run)
        assert law is not None
        narrow = slices.timed_points(exact_run, subject, replace(law, window={"n": (64, 128), "d": (64, 64)}))

        assert points[INSIDE].all()
        assert {(row.n, row.d) for row in narrow[narrow[INSIDE]].itertuples()} == {(64, 64), (128, 64)}

    def test_the_axes_of_figures_are_those_of_the_window_that_vary(self, exact_run: StoredRun) -> None:
        points, law, _ = points_of(exact_run)
        assert law is not None

        assert slices.varying_axes(points, law) == ["n", "d"]
        assert slices.varying_axes(points, replace(law, window={"d": (32, 64)})) == ["d"]
        assert slices.varying_axes(points, None) == ["n", "d"]

    def test_an_axis_may_be_called_like_a_column_of_a_table(self, tmp_path: Path) -> None:
        layer = exact(
            grid={"b": (1,), "n": (8, 16), "d": (4,), "rank": (2, 4), "inside": (1, 2)},
            seconds=lambda b, n, d, rank, inside: 1e-6 * n * rank,
            flops=lambda **_: 1,
            law=None,
        )
        points, law, _ = points_of(write_fake_run(tmp_path / "run", (layer,)))
        slopes = slices.local_exponents(points, "rank", law)

        assert slices.varying_axes(points, law) == ["n", "inside", "rank"]
        assert slopes.points["exponent"].to_numpy() == pytest.approx([1.0] * 4)


class TestLocalExponents:
    def test_of_an_exact_power_law_are_exact(self, exact_run: StoredRun) -> None:
        points, law, _ = points_of(exact_run)
        n, d = (slices.local_exponents(points, axis, law) for axis in ("n", "d"))

        assert n.points["exponent"].to_numpy() == pytest.approx([2.0] * 4)
        assert d.points["exponent"].to_numpy() == pytest.approx([1.5] * 3)

    def test_stand_at_the_geometric_middle_of_neighbouring_sizes(self, exact_run: StoredRun) -> None:
        points, law, _ = points_of(exact_run)
        n = slices.local_exponents(points, "n", law)

        assert n.sizes == (64, 128, 512)
        assert n.points["size"].to_numpy() == pytest.approx([64 * 2**0.5, 256.0] * 2)
        assert list(n.points[LINE]) == ["d=32", "d=32", "d=64", "d=64"]

    def test_of_measured_times_are_ratios_of_logarithms(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = slices.time_law(run, subject)
        found = slices.local_exponents(slices.timed_points(run, subject, law), "n", law).points
        records = run.records[(run.records["layer"] == subject.layer) & (run.records["d"] == 256)].sort_values("n")
        logs = np.log(records[["n", "seconds"]].to_numpy(dtype=float))
        expected = np.diff(logs[:, 1]) / np.diff(logs[:, 0])

        assert found[found[LINE] == "d=256"]["exponent"].to_numpy() == pytest.approx(expected)

    def test_of_a_law_of_two_terms_are_drawn_from_its_terms(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = slices.time_law(run, subject)
        curves = slices.local_exponents(slices.timed_points(run, subject, law), "n", law).curves
        line = curves[curves[LINE] == "d=256"]
        a, b = 8 / 9e10 * 256**2, 4 / 7e10 * 256
        expected = [(a * n + 2 * b * n**2) / (a * n + b * n**2) for n in line["size"]]

        assert line["exponent"].to_numpy() == pytest.approx(expected, rel=1e-3)


class TestTheFittedLaw:
    def test_of_one_term_passes_through_exact_points(self, exact_run: StoredRun) -> None:
        points, law, _ = points_of(exact_run)
        curves = slices.growth(points, "n", law).curves
        line = curves[curves[LINE] == "d=64"]

        assert set(curves[PART]) == {""}
        assert line["seconds"].to_numpy() == pytest.approx(3e-10 * line["n"].to_numpy() ** 2 * 64**1.5)

    def test_of_two_terms_is_their_sum_and_shows_each(self, run: StoredRun) -> None:
        subject = Subject("multi-head-attention", Choices())
        law = slices.time_law(run, subject)
        curves = slices.growth(slices.timed_points(run, subject, law), "n", law).curves
        parts = curves.pivot_table(index=["n", LINE], columns=PART, values="seconds")

        assert set(parts.columns) == {"", "nd²", "n²d"}
        assert parts[""].to_numpy() == pytest.approx((parts["nd²"] + parts["n²d"]).to_numpy())
        first = parts.index.get_level_values("n").to_numpy()
        squared = np.where(parts.index.get_level_values(LINE) == "d=256", 256, 512)
        assert parts["nd²"].to_numpy() == pytest.approx(8 / 9e10 * first * squared**2)

    def test_is_left_out_where_its_terms_use_sizes_that_trials_do_not_have(self, exact_run: StoredRun) -> None:
        points, law, _ = points_of(exact_run)
        assert law is not None
        strange = replace(law, exponents={}, terms=(FittedTerm("n*q", Estimate(1.0, 1.0, 1.0), 1.0),))

        assert slices.growth(points, "n", strange).curves.empty

    def test_stands_at_the_height_of_each_size_that_it_does_not_speak_of(self, tmp_path: Path) -> None:
        law = time_law("exact", Verdict.INFERRED, "", exponents=exponents(n=(2.0, 0.0, None)), window={"n": (64, 512)})
        points, found, _ = points_of(write_fake_run(tmp_path / "run", (exact(law=law),)))
        curves = slices.growth(points, "n", found).curves

        for d in (32, 64):
            line = curves[curves[LINE] == f"d={d}"]
            assert line["seconds"].to_numpy() == pytest.approx(3e-10 * line["n"].to_numpy() ** 2 * d**1.5)


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

        assert slices.claimed_slope(law, axis) == slope

    def test_of_no_law_is_none(self) -> None:
        assert slices.claimed_slope(None, "n") is None


class TestTheRateMap:
    def test_takes_the_slab_with_the_most_points(self, run: StoredRun) -> None:
        subject = Subject("attention-core", Choices())
        found = slices.rate_map(run, subject, slices.time_law(run, subject))

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

        assert slices.rate_map(run, Subject("exact", Choices()), None) is None


def test_a_layer_under_two_choices_is_two_subjects(tmp_path: Path) -> None:
    train = exact(choices=Choices(mode="train"), law=None)
    run = write_fake_run(tmp_path / "run", (exact(), train))

    assert slices.subjects(run) == (Subject("exact", Choices()), Subject("exact", Choices(mode="train")))


def test_lines_go_from_small_sizes_to_large(run: StoredRun) -> None:
    subject = Subject("conv1d", Choices())
    lined = slices.with_lines(slices.timed_points(run, subject, None), "n")

    assert list(dict.fromkeys(lined[LINE]))[:4] == ["d=64, k=3", "d=64, k=7", "d=64, k=15", "d=128, k=3"]
    assert list(dict.fromkeys(lined[RANK])) == list(range(9))


def test_the_reference_is_compared_with_the_median_of_its_device(run: StoredRun) -> None:
    found = slices.reference_times(run)
    seconds = pd.Series([visit.reference_seconds for visit in run.visits], dtype=float)

    assert list(found["ratio"]) == pytest.approx(list(seconds / seconds.median()))
    assert set(found["device"]) == {"cpu"}
