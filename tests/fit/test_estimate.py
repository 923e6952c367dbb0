"""Estimates and their intervals: against closed forms, against a jackknife written a second time, and on worlds."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attnbench.fit.estimate import Observations, fit_with_intervals, observe, power_law, specifications
from tests.fit.worlds import World

if TYPE_CHECKING:
    from attnbench.fit.estimate import Array

LENGTHS = (64, 128, 512, 1024)


def one_axis(by_round: object) -> Observations:
    """Seconds of each trial (row) in each round (column), along n alone."""
    seconds = np.array(by_round, dtype=float)
    return Observations(pd.DataFrame({"n": LENGTHS}), np.nanmin(seconds, axis=1), seconds)


def two_axes(seed: int) -> Observations:
    return World("1e-9*n**2*d").observed(seed)


def some_rounds(seed: int, rounds: int = 3) -> Array:
    """Times that grow as n^1.5, with noise."""
    rng = np.random.default_rng(seed)
    return np.array(LENGTHS)[:, None] ** 1.5 * np.exp(0.05 * rng.standard_normal((len(LENGTHS), rounds)))


def slope(lengths: object, seconds: object) -> float:
    return float(stats.linregress(np.log(lengths), np.log(seconds)).slope)


# ---------------------------------------------------------------------------------------------------- the estimator


def test_one_exponent_is_the_slope_of_a_regression_of_logarithms() -> None:
    observed = one_axis(some_rounds(1))
    line = stats.linregress(np.log(LENGTHS), np.log(observed.best))

    exponent, level = power_law(observed)

    assert math.isclose(exponent, line.slope, rel_tol=1e-12)
    assert math.isclose(level, line.intercept + line.slope * np.log(LENGTHS).mean(), rel_tol=1e-12)


def test_several_exponents_solve_the_normal_equations() -> None:
    observed = two_axes(2)
    x = np.column_stack([np.log(observed.sizes.to_numpy()), np.ones(len(observed.best))])

    expected = np.linalg.inv(x.T @ x) @ x.T @ np.log(observed.best)

    np.testing.assert_allclose(power_law(observed)[:2], expected[:2], rtol=1e-9)


def test_the_exponents_of_an_exact_law_are_found_exactly() -> None:
    observed = World(lambda s: 3e-9 * s["n"] ** 1.75 * s["d"] ** 0.5, process=0, noise=0, late=0).observed(0)

    np.testing.assert_allclose(power_law(observed)[:2], [1.75, 0.5], rtol=1e-12)


# ----------------------------------------------------------------------------------------------------- the intervals


def jackknife_by_hand(estimates: list[float], freedom: int, level: float = 0.9) -> float:
    """Half an interval: Student's t times the root of (m - 1)/m Σ (θᵢ - θ̄)²."""
    middle, m = statistics.fmean(estimates), len(estimates)
    squares = math.fsum((estimate - middle) ** 2 for estimate in estimates)
    return float(stats.t(freedom).isf((1 - level) / 2)) * math.sqrt(squares * (m - 1) / m)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_an_interval_is_the_jackknife_over_rounds_and_the_movement_over_windows(level: float) -> None:
    seconds = some_rounds(3)
    whole = slope(LENGTHS, seconds.min(axis=1))
    without = [slope(LENGTHS, seconds[:, kept].min(axis=1)) for kept in ([1, 2], [0, 2], [0, 1])]
    windows = [slope(LENGTHS[1:], seconds[1:].min(axis=1)), slope(LENGTHS[:-1], seconds[:-1].min(axis=1))]
    half = math.hypot(jackknife_by_hand(without, 2, level), max(abs(moved - whole) for moved in windows))

    fitted = fit_with_intervals(power_law, one_axis(seconds), level)

    assert fitted is not None
    exponent = fitted.estimates[0]
    assert math.isclose(exponent.value, whole, rel_tol=1e-12)
    assert math.isclose(exponent.low, whole - half, rel_tol=1e-9)
    assert math.isclose(exponent.high, whole + half, rel_tol=1e-9)
    assert exponent.level == level
    assert [name for name, _ in fitted.curve] == ["without n = 64", "without n = 1024"]
    np.testing.assert_allclose([values[0] for _, values in fitted.curve], windows, rtol=1e-12)


def test_two_sizes_have_no_window_so_single_trials_are_left_out() -> None:
    rng = np.random.default_rng(4)
    sizes = pd.DataFrame({"n": [64, 64, 256, 256], "d": [32, 128, 32, 128]})
    seconds = sizes.prod(axis=1).to_numpy()[:, None] * np.exp(0.05 * rng.standard_normal((4, 1))) * np.ones((1, 3))
    x = np.column_stack([np.log(sizes), np.ones(4)])
    without = [
        float(np.linalg.solve(x[kept], np.log(seconds[kept, 0]))[0])
        for kept in ([1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2])
    ]

    fitted = fit_with_intervals(power_law, Observations(sizes, seconds.min(axis=1), seconds))

    assert fitted is not None
    assert fitted.curve == ()
    assert math.isclose(fitted.estimates[0].half_width, jackknife_by_hand(without, 1), rel_tol=1e-9)


def test_exact_times_have_intervals_of_no_width() -> None:
    fitted = fit_with_intervals(power_law, World("1e-9*n**2*d", process=0, noise=0, late=0).observed(0))

    assert fitted is not None
    for estimate in fitted.estimates[:2]:
        assert estimate.half_width < 1e-12


def test_a_law_that_bends_has_a_wide_interval_however_quiet_the_machine() -> None:
    fitted = fit_with_intervals(power_law, World("1e-6*(n + n**2/500)", process=0, noise=0, late=0).observed(0))

    assert fitted is not None
    assert fitted.estimates[0].half_width > 0.05


# ---------------------------------------------------------------------------------------------- what must not matter


@pytest.mark.parametrize("unit", [1e-6, 1e3, 3600.0])
def test_the_unit_of_time_does_not_change_an_exponent(unit: float) -> None:
    observed = two_axes(6)
    scaled = replace(observed, best=observed.best * unit, by_round=observed.by_round * unit)

    assert_same(fit_with_intervals(power_law, observed), fit_with_intervals(power_law, scaled))


def test_the_order_of_trials_does_not_matter() -> None:
    observed = two_axes(7)
    order = np.random.default_rng(7).permutation(len(observed.best))
    shuffled = Observations(
        observed.sizes.iloc[order].reset_index(drop=True), observed.best[order], observed.by_round[order]
    )

    assert_same(fit_with_intervals(power_law, observed), fit_with_intervals(power_law, shuffled))


def test_the_order_of_rounds_does_not_matter() -> None:
    observed = two_axes(8)
    turned = replace(observed, by_round=observed.by_round[:, ::-1])

    assert_same(fit_with_intervals(power_law, observed), fit_with_intervals(power_law, turned))


def assert_same(left: object, right: object) -> None:
    """Equal estimates and intervals, the level of the power law apart."""
    found = [
        [(e.value, e.low, e.high) for e in fitted.estimates[:2]]  # type: ignore[attr-defined]
        for fitted in (left, right)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_a_round_in_which_everything_was_slow_moves_nothing() -> None:
    observed = two_axes(9)
    disturbed = observed.by_round.copy()
    disturbed[:, 2] *= 1.5
    before = fit_with_intervals(power_law, observed)
    after = fit_with_intervals(power_law, replace(observed, best=disturbed.min(axis=1), by_round=disturbed))

    assert before is not None
    assert after is not None
    for quiet, loud in zip(before.estimates[:2], after.estimates[:2], strict=True):
        assert abs(quiet.value - loud.value) < 0.01
        assert loud.half_width < 2 * quiet.half_width


def test_late_blocks_are_forgiven() -> None:
    quiet, loud = (World("1e-9*n**2*d", late=late).observed(10) for late in (0.0, 0.5))

    np.testing.assert_allclose(power_law(loud)[:2], power_law(quiet)[:2], atol=0.02)


# -------------------------------------------------------------------------------------------------- incomplete rounds


def test_a_visit_that_is_missing_is_left_out_and_nothing_else() -> None:
    seconds = some_rounds(11, rounds=4)
    seconds[1, 2] = math.nan
    without = [slope(LENGTHS, np.nanmin(np.delete(seconds, left_out, axis=1), axis=1)) for left_out in range(4)]
    whole = slope(LENGTHS, np.nanmin(seconds, axis=1))

    fitted = fit_with_intervals(power_law, one_axis(seconds))

    assert fitted is not None
    assert math.isclose(fitted.estimates[0].value, whole, rel_tol=1e-12)
    assert fitted.estimates[0].half_width > jackknife_by_hand(without, 3)


def test_the_only_round_of_a_trial_is_never_left_out() -> None:
    observed = one_axis([[1, 2, 3], [2, 3, 4], [8, math.nan, math.nan], [16, 17, 18]])

    parts = observed.without_each_round()

    assert [part.best.tolist() for part in parts] == [[1, 2, 8, 16], [1, 2, 8, 16]]


@pytest.mark.parametrize(
    "seconds",
    [[[1], [2], [8], [16]], [[1, math.nan], [2, 2], [math.nan, 8], [16, 16]]],
    ids=["one-round", "no-round-to-spare"],
)
def test_fewer_than_two_rounds_have_no_interval(seconds: list[list[float]]) -> None:
    assert fit_with_intervals(power_law, one_axis(seconds)) is None


# ------------------------------------------------------------------------------------------------------------ windows


def test_windows_leave_out_the_ends_of_axes_that_have_three_sizes() -> None:
    observed = World("n*d", sizes={"n": (1, 2, 4), "d": (3, 5)}).observed(0)
    left = {name: sorted(set(part.sizes["n"])) for name, part in observed.windows()}

    assert left == {"without n = 1": [2, 4], "without n = 4": [1, 2]}


def test_the_specification_curve_has_every_window_and_all_sizes_first() -> None:
    observed = two_axes(12)
    fitted = fit_with_intervals(power_law, observed)
    assert fitted is not None

    curve = specifications(fitted, observed.axes)

    assert [row.name for row in curve] == [
        "all sizes",
        "without n = 128",
        "without n = 1024",
        "without d = 64",
        "without d = 256",
    ]
    assert curve[0].exponents == {"n": fitted.estimates[0].value, "d": fitted.estimates[1].value}
    for row in curve[1:]:
        assert abs(row.exponents["n"] - fitted.estimates[0].value) <= fitted.estimates[0].half_width


# --------------------------------------------------------------------------------------------------------- from tables


def test_observations_are_smallest_times_by_round_in_the_order_of_the_records() -> None:
    records = pd.DataFrame({"trial": ["b", "a"], "n": [2, 1], "seconds": [5.0, 1.0]})
    rows = [("a", 0, 1.5), ("a", 0, 1.0), ("a", 1, 1.2), ("b", 1, 5.0), ("b", 1, 9.0), ("other", 0, 7.0)]
    samples = pd.DataFrame(rows, columns=["trial", "round", "seconds"])

    observed = observe(records, samples.sample(frac=1, random_state=13), ("n",))

    assert observed.axes == ("n",)
    assert observed.sizes["n"].tolist() == [2, 1]
    assert observed.best.tolist() == [5.0, 1.0]
    np.testing.assert_array_equal(observed.by_round, [[math.nan, 5.0], [1.0, 1.2]])


# ------------------------------------------------------------------------------------------------------------- worlds

COVERED = 0.88


def coverage(world: World, worlds: int) -> float:
    """Share of 90 % intervals that hold the true exponents, 2 and 1."""
    hits = []
    for seed in range(worlds):
        fitted = fit_with_intervals(power_law, world.observed(seed))
        assert fitted is not None
        hits += [e.low <= true <= e.high for e, true in zip(fitted.estimates[:2], (2, 1), strict=True)]
    return statistics.fmean(hits)


@pytest.mark.parametrize(
    "world",
    [
        World("1e-9*n**2*d"),
        World("1e-9*n**2*d", rounds=3, process=0.03, noise=0.05),
        World("1e-9*n**2*d", rounds=4, sizes={"n": (256, 512, 1024), "d": (64, 128, 256)}, process=0.01, noise=0.01),
        World("1e-9*n**2*d", sizes={"n": (256, 1024), "d": (64, 256)}),
    ],
    ids=["usual", "noisy", "quiet", "two-sizes"],
)
def test_nine_intervals_in_ten_hold_the_true_exponent(world: World) -> None:
    assert coverage(world, worlds=40) >= COVERED
