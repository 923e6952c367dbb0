"""Intervals over everything that the data leave open: against Student's t, brute-force sampling and closed forms.

Without a constant and with one axis, a curve is a straight line through logarithms, and all of it is known by hand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attnbench.fitting.model.averaging import Component, Mixture
from attnbench.fitting.model.curve import FittedCurve, fit_curve
from attnbench.fitting.model.observations import Observations
from tests.fitting.worlds import doubling, noisy

if TYPE_CHECKING:
    from attnbench.fitting.model.observations import Array

SIZES = doubling(64, 9)
LOGS = np.log(SIZES) - np.log(SIZES).mean()
SPREAD = float(np.square(LOGS).sum())
ALONG_N = np.ones(1)


def line(by_round: Array, sizes: tuple[int, ...] = SIZES, **fields: Any) -> FittedCurve:
    """A power law without a constant."""
    observed = Observations(pd.DataFrame({"n": sizes}), by_round, **fields)
    return fit_curve(observed, np.ones((len(sizes), 1)), held=(0.0, 0.0))


def scattered(seed: int, noise: float = 0.05, power: float = 1.5) -> Array:
    """One reading of each size."""
    return np.exp(power * LOGS + noise * np.random.default_rng(seed).standard_normal(len(SIZES)))[:, None]


def by_hand(values: Array, logs: Array = LOGS) -> tuple[float, float]:
    """Slope of a regression, and its standard error."""
    found = stats.linregress(logs, np.log(values))
    return float(found.slope), float(found.stderr)


# --------------------------------------------------------------------------------------------------- one model, no more


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_interval_of_one_model_is_students_t(level: float) -> None:
    values = scattered(1)
    slope, error = by_hand(values[:, 0])
    low, high = stats.t.interval(level, len(SIZES) - 2, slope, error)

    found = Mixture((Component(line(values)),)).estimate(ALONG_N, level)

    assert (found.value, found.low, found.high) == pytest.approx((slope, low, high), rel=1e-5)
    assert found.level == level


def test_the_probability_below_a_bound_is_students_t() -> None:
    values = scattered(2)
    slope, error = by_hand(values[:, 0])

    found = Mixture((Component(line(values)),)).below(ALONG_N, 1.52)

    assert found == pytest.approx(stats.t.cdf((1.52 - slope) / error, len(SIZES) - 2), rel=1e-6)


def test_exact_values_have_an_interval_of_no_width() -> None:
    found = Mixture((Component(line(scattered(0, noise=0.0))),)).estimate(ALONG_N)

    assert (found.value, found.half_width) == pytest.approx((1.5, 0), abs=1e-8)


# ------------------------------------------------------------------------------------------------------- several models


def three_models() -> tuple[Mixture, list[tuple[float, float, float]]]:
    """Lines that disagree, and the weight, slope and standard error of each."""
    drawn = [scattered(1, 0.1, 1.4), scattered(2, 0.05, 1.5), scattered(3, 0.2, 2.0)]
    weights = (0.5, 0.3, 0.2)
    mixture = Mixture(tuple(Component(line(v), w) for v, w in zip(drawn, weights, strict=True)))
    return mixture, [(w, *by_hand(v[:, 0])) for v, w in zip(drawn, weights, strict=True)]


@pytest.mark.parametrize("level", [0.7, 0.9, 0.98])
def test_quantiles_of_a_mixture_are_those_of_draws_from_it(level: float) -> None:
    mixture, known = three_models()
    rng, number = np.random.default_rng(0), 400_000
    which = rng.choice(3, number, p=[weight for weight, _, _ in known])
    slopes, errors = np.array([slope for _, slope, _ in known]), np.array([error for _, _, error in known])
    draws = slopes[which] + errors[which] * rng.standard_t(len(SIZES) - 2, number)

    found = mixture.estimate(ALONG_N, level)

    assert found.value == pytest.approx(sum(weight * slope for weight, slope, _ in known), rel=1e-6)
    shares = [np.mean(draws < found.low), np.mean(draws > found.high)]
    np.testing.assert_allclose(shares, (1 - level) / 2, atol=4 * math.sqrt(0.25 / number))
    assert mixture.below(ALONG_N, 1.45) == pytest.approx(np.mean(draws < 1.45), abs=4 * math.sqrt(0.25 / number))


def test_the_interval_holds_the_value_though_a_rare_model_pulls_it_away() -> None:
    near, far = Component(line(scattered(0, 1e-6, 1.0)), 0.97), Component(line(scattered(0, 1e-6, 9.0)), 0.03)

    found = Mixture((near, far)).estimate(ALONG_N)

    assert found.value == pytest.approx(1.24, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((1.0, found.value), abs=1e-3)


# ---------------------------------------------------------------------------------------------------- between processes


def visits(seed: int, processes: int, noise: float, tilt: float) -> Array:
    """One visit of each size in each process, whose exponents scatter by `tilt`."""
    rng = np.random.default_rng(seed)
    tilts = tilt * rng.standard_normal(processes)
    return np.exp(LOGS[:, None] * (1.5 + tilts) + noise * rng.standard_normal((len(SIZES), processes)))


def test_what_processes_do_to_the_exponent_is_found_by_hand() -> None:
    """Pure tilts: their variance, less the N-th part that noise of that size would explain, by the number of processes.

    The mean of an exponent over P processes has the variance s²/P. Deviations of size s·|log n| would, if they struck
    one by one, give slopes of variance s²/N.
    """
    tilts = np.array([-0.03, 0.01, 0.05, -0.01])
    curve = line(np.exp(LOGS[:, None] * (1.5 + tilts)))

    found = Component(curve).between_rounds(ALONG_N)

    assert found == pytest.approx(tilts.var(ddof=1) * (1 - 1 / len(SIZES)) / len(tilts), rel=1e-6)


def test_noise_that_strikes_one_by_one_is_not_counted_twice() -> None:
    """Of an unbiased difference the positive part is kept: the mean of that is the half of its mean size."""
    processes, noise, worlds = 6, 0.05, 400
    curves = [line(visits(seed, processes, noise, tilt=0.0)) for seed in range(worlds)]
    found = np.array([Component(curve).between_rounds(ALONG_N) for curve in curves])
    of_slope = noise**2 / SPREAD  # variance of the slope of one process

    assert 0.4 <= np.mean(found == 0) <= 0.75
    # The variance of a variance from 6 values is 2/5 of its square.
    assert found.mean() * processes < 0.5 * math.sqrt(2 / 5) * of_slope


def test_a_tilt_of_processes_widens_the_interval_to_what_it_is() -> None:
    """Ninety of a hundred intervals hold the truth where the exponents of processes scatter."""
    worlds, hits, widths = 200, 0, []
    for seed in range(worlds):
        found = Mixture((Component(line(visits(seed, 8, 0.02, tilt=0.05))),)).estimate(ALONG_N)
        hits += found.low <= 1.5 <= found.high
        widths.append(found.half_width)

    assert hits / worlds >= 0.9 - 3 * math.sqrt(0.09 / worlds)
    # The standard error of the median of 8 tilts, at least; the t of 7 degrees, generously doubled, at most.
    assert 1.645 * 0.05 / math.sqrt(8) < np.median(widths) < 2 * 1.895 * 1.25 * 0.05 / math.sqrt(8)


def test_rounds_of_one_process_and_rounds_with_gaps_are_no_processes_to_compare() -> None:
    by_round = visits(3, 4, 0.0, tilt=0.05)
    gaps = by_round.copy()
    gaps[0, 1:] = np.nan

    assert Component(line(by_round, processes=(0, 0, 0, 0))).between_rounds(ALONG_N) == 0
    assert Component(line(gaps)).between_rounds(ALONG_N) == 0
    assert Component(line(by_round, processes=(0, 0, 1, 1))).between_rounds(ALONG_N) > 0


# -------------------------------------------------------------------------------------------------------------- windows


#: Several configurations of each size: what is seen in one alone could always be its own noise.
MANY = tuple(np.repeat(SIZES, 6))
MANY_LOGS = np.repeat(LOGS, 6)


def scattered_windows(seed: int, noise: float = 0.05, step: float = 1.0) -> Array:
    """Readings of many configurations, those of the largest size larger by a factor."""
    drawn = np.exp(1.5 * MANY_LOGS + noise * np.random.default_rng(seed).standard_normal(len(MANY)))
    return np.asarray(np.where(np.array(MANY) == SIZES[-1], step, 1.0) * drawn)[:, None]


def with_windows(values: Array) -> Component:
    """The line, and the lines without the smallest and without the largest size."""
    return Component(line(values, MANY), 1.0, (line(values[6:], MANY[6:]), line(values[:-6], MANY[:-6])))


def test_a_window_that_disagrees_moves_the_interval_as_far_as_noise_cannot() -> None:
    values = scattered_windows(4, 0.01, step=1.3)
    component = with_windows(values)
    whole, error = by_hand(values[:, 0], MANY_LOGS)
    spread = float(np.square(MANY_LOGS).sum())
    beyond = []
    for part in (slice(6, None), slice(None, -6)):
        moved = by_hand(values[part, 0], MANY_LOGS[part])[0] - whole
        inside = float(np.square(MANY_LOGS[part] - MANY_LOGS[part].mean()).sum())
        noise = error * math.sqrt(spread / inside - 1)  # the variance of a difference is the difference of variances
        beyond.append(max(0.0, abs(moved) - 2 * noise))
    half = stats.t(len(MANY) - 2).isf(0.05) * math.hypot(error, max(beyond))

    assert max(beyond) > 0.01
    found = [abs(float(move[0])) for move in component.moves(ALONG_N)]
    assert found == pytest.approx([length for length in beyond if length], rel=1e-6)
    assert Mixture((component,)).estimate(ALONG_N).half_width == pytest.approx(half, rel=1e-4)
    assert half > 2 * Mixture((Component(component.curve),)).estimate(ALONG_N).half_width


def test_windows_of_noise_seldom_move_anything() -> None:
    moved = [bool(with_windows(scattered_windows(seed)).moves(ALONG_N)) for seed in range(300)]

    assert np.mean(moved) < 3 * 2 * stats.norm.sf(2)  # of two windows, by errors that are estimated


def test_a_window_that_can_hardly_be_read_says_nothing() -> None:
    values = scattered(5, 0.02)
    values[0] *= 2  # three sizes, of which the first is off: a slope that is off, with an error as large

    assert Component(line(values), 1.0, (line(values[:3], SIZES[:3]),)).moves(ALONG_N) == []


# ------------------------------------------------------------------------------------------------- curves for forecasts


def rows(mixture: Mixture, axes: tuple[str, ...] = ("n",), level_error: float = 0.0, seeds: int = 20) -> Array:
    """Curves drawn with several seeds, without the best one."""
    return np.vstack([np.array(mixture.curves(("1",), axes, level_error, seed).draws)[1:] for seed in range(seeds)])


def test_draws_scatter_as_the_estimates_do() -> None:
    """Of a line the covariance is known: at the centre, level and slope are independent, with Student's t."""
    curve = line(scattered(6))
    drawn = rows(Mixture((Component(curve),)))
    centre = np.log(SIZES).mean()
    level, slope = np.log(drawn[:, 1]) + drawn[:, 2] * centre, drawn[:, 2]
    slope_by_hand, error = by_hand(scattered(6)[:, 0])
    freedom = len(SIZES) - 2
    # Draws that the F distribution puts beyond 99 % are tried again, which trims the tails a little.
    wider = math.sqrt(freedom / (freedom - 2))

    assert len(drawn) == 20 * 200
    assert slope.mean() == pytest.approx(slope_by_hand, abs=4 * error * wider / math.sqrt(len(drawn)))
    assert slope.std() == pytest.approx(error * wider, rel=0.08)
    assert level.std() == pytest.approx(error * math.sqrt(SPREAD / len(SIZES)) * wider, rel=0.08)
    assert abs(np.corrcoef(level, slope)[0, 1]) < 4 / math.sqrt(len(drawn))


def test_the_first_row_is_the_best_curve() -> None:
    mixture, known = three_models()

    assert mixture.curves(("1",), ("n",), 0.0).draws[0][-1] == pytest.approx(known[0][1], rel=1e-6)


def test_draws_come_from_each_model_by_its_weight() -> None:
    mixture, known = three_models()
    slopes = rows(mixture)[:, -1]

    assert np.mean(slopes > 1.75) == pytest.approx(known[2][0], abs=4 * math.sqrt(0.16 / len(slopes)))


def test_the_constant_of_a_drawn_curve_is_never_negative() -> None:
    sizes = {"n": doubling(64, 5), "d": doubling(32, 4)}
    observed = noisy("1e-9*n**2*d", sizes, 0.1, seed=2)
    curve = fit_curve(observed, np.ones((20, 1)))
    drawn = rows(Mixture((Component(curve),)), ("n", "d"))

    assert math.sqrt(curve.covariance[0, 0]) > 0.02  # so that many would be
    assert (drawn[:, 0] >= 0).all()
    assert (drawn[:, 1] > 0).all()
    assert 0.05 < np.mean(drawn[:, 0] == 0) < 0.95


@pytest.mark.parametrize("level_error", [0.02, 0.1])
def test_what_all_sizes_share_scatters_the_level_and_no_exponent(level_error: float) -> None:
    drawn = rows(Mixture((Component(line(scattered(0, noise=0.0))),)), level_error=level_error)

    assert np.log(drawn[:, 1]).std() == pytest.approx(level_error, rel=4 / math.sqrt(2 * len(drawn)))
    assert drawn[:, 2].std() < 1e-6


def test_what_a_window_and_processes_leave_open_is_in_the_draws() -> None:
    component = with_windows(scattered_windows(4, 0.001, step=1.3))
    length = max(abs(float(move[0])) for move in component.moves(ALONG_N))
    tilted = Component(line(visits(7, 6, 0.0, tilt=0.05)))
    between = math.sqrt(tilted.between_rounds(ALONG_N))
    steady = Component(line(tilted.curve.observed.by_round, processes=(0,) * 6))

    for without, with_it, more in ((Component(component.curve), component, length), (steady, tilted, between)):
        narrow, wide = (rows(Mixture((one,)))[:, -1].std() for one in (without, with_it))
        assert wide == pytest.approx(math.hypot(narrow, more), rel=0.05)


def test_the_scatter_is_that_of_one_visit_about_the_curve() -> None:
    """Deviations of ±s about the median of three visits, on an exact law: two squares for two degrees of freedom."""
    by_round = np.exp(1.5 * LOGS[:, None] + np.array([-0.1, 0.0, 0.1]))

    found = Mixture((Component(line(by_round, processes=(0, 0, 0))),)).curves(("1",), ("n",), 0.0)

    assert found.scatter == pytest.approx(0.1, rel=1e-6)
    assert (found.terms, found.bends) == (("1",), ("n",))
