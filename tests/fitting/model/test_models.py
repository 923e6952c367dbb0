"""The admissible models of one data set: their weights, the constant, and what is said of regimes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares

from attnbench.fitting.model.curve import design_matrix, fit_curve
from attnbench.fitting.model.models import Models
from attnbench.fitting.model.observations import Observations
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula
from benchmarks.worlds import LAWS, ROUNDS, ROUNDS_PER_PROCESS, SINGLE, World, draw
from tests.fitting.worlds import doubling, noisy, quiet

N = {"n": doubling(64, 10)}
ND = {"n": doubling(64, 5), "d": doubling(32, 5)}


def jumping(factor: float, noise: float = 0.01, seed: int = 0) -> Observations:
    return noisy(lambda s: 1e-9 * s["n"] ** 2 * s["d"] * np.where(s["n"] > 181, factor, 1.0), ND, noise, seed)


def test_without_a_break_the_plain_curve_is_the_model() -> None:
    models = Models(noisy("1e-9*n**2*d", ND, 0.02, 1))

    best = models.mixture.best
    assert best.curve is models.plain
    assert best.weight > 0.8
    assert models.regimes == ()
    assert sum(component.weight for component in models.mixture.components) == pytest.approx(1)


def test_a_jump_is_said_with_its_factor_its_place_and_its_probability() -> None:
    assert Models(jumping(1.8, noise=1e-4)).regimes == (
        "values jump by a factor of 1.80 past n = 181 (probability 100%)",
    )


def test_a_jump_too_small_to_matter_is_not_named_however_certain() -> None:
    models = Models(jumping(1.03, noise=0.001))

    assert models.breaks[0][1] > 0.9
    assert models.regimes == ()


def test_a_jump_as_likely_as_not_widens_the_interval_and_is_not_named() -> None:
    """Somewhere between no jump and a large one there are data that cannot decide."""
    unsure = [Models(jumping(factor, noise=0.04, seed=seed)) for factor in (1.05, 1.1, 1.15) for seed in range(12)]
    open_ones = [models for models in unsure if 0.1 < sum(weight for _, weight in models.breaks) <= 0.5]

    assert len(open_ones) >= 5
    for models in open_ones:
        assert models.regimes == ()
        assert len(models.mixture.components) > 1
        alone = stats.t(*models.mixture.components[0].student(np.array([1.0, 0.0])))
        assert models.mixture.estimate(np.array([1.0, 0.0])).half_width != pytest.approx(alone.ppf(0.95) - alone.mean())


def test_the_exponents_of_a_machine_with_a_cache_are_those_of_either_side() -> None:
    held = 0
    for seed in range(40):
        models = Models(jumping(1.8, seed=seed))
        n, d = (models.mixture.estimate(along) for along in np.eye(2))
        held += (n.low < 2 < n.high) + (d.low < 1 < d.high)

        assert n.half_width < 0.05
        assert models.plain.exponents[0] > 2.05  # the plain curve takes the jump for growth

    assert held >= 80 * 0.9 - 3 * math.sqrt(80 * 0.09)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.7])
def test_the_overhead_is_the_share_of_the_constant_in_the_middle_value(share: float) -> None:
    growing = quiet("1e-9*n**2*d", ND).seconds
    constant = share / (1 - share) * float(np.median(growing))

    models = Models(quiet(lambda s: 1e-9 * s["n"] ** 2 * s["d"] + constant, ND).observed())

    assert models.overhead == pytest.approx(share, abs=1e-4)


def test_values_that_hardly_change_have_no_constant_and_no_break() -> None:
    observed = noisy(lambda s: 1e-3 * s["n"] ** 0.05, N, 0.02, 1)

    models = Models(observed)

    assert (models.overhead, models.breaks, models.concave) == (0, [], "")
    slope, _ = np.polyfit(np.log(observed.sizes["n"]), np.log(observed.values), 1)
    assert models.plain.exponents[0] == pytest.approx(slope, rel=1e-9)


def test_a_falling_exponent_is_one_sentence() -> None:
    observed = noisy(lambda s: 1e-9 * s["n"] ** 2 * np.exp(-0.1 * np.log(s["n"] / 1448) ** 2), N, 0.001, 1)
    fall = 2 * 0.1 * math.log(512)

    assert Models(observed).concave == (
        f"the exponent falls along n (by {fall:.2f} over the window), which no sum of costs does: "
        "this window spans a change of regime"
    )


def test_the_specification_curve_has_all_sizes_every_window_and_the_likeliest_break() -> None:
    observed = jumping(1.8)
    found = Models(observed).specifications(np.array([0.5, 0.25]))

    assert [row.name for row in found] == [
        "all sizes",
        "without n = 64",
        "without n = 1024",
        "without d = 32",
        "without d = 512",
        "with a break at n = 181",
    ]
    kept = observed.only((observed.sizes["d"] != 512).to_numpy())
    window = fit_curve(kept, np.ones((20, 1)))
    assert found[4].exponents == pytest.approx({"n": window.exponents[0] + 0.5, "d": window.exponents[1] + 0.25})


def test_terms_leave_over_nothing_of_their_own_sum() -> None:
    observed = quiet("1e-4 + 8e-9*n*d**2 + 4e-9*n**2*d", ND).observed()
    monomials = tuple(term.monomial for term in Formula("n*d**2 + n**2*d").terms)

    models = Models(observed, design_matrix(monomials, observed))

    for along in np.eye(2):
        estimate = models.mixture.estimate(along)
        assert (estimate.value, estimate.half_width) == pytest.approx((0, 0), abs=1e-4)


# ------------------------------------------------------------- a constant of which a call at tiny sizes shows the bound


SMALL = {"n": doubling(64, 4), "d": doubling(32, 4)}
BARELY_CONSTANT = "2e-6 + 3e-10*n**2*d"


def test_what_the_floor_and_the_fit_say_of_the_constant_is_put_together_by_precision() -> None:
    """Least squares with one more row for the floor, a constant anywhere up to it, is the same by another way."""
    observed, floor = noisy("2e-5 + 3e-10*n**2*d", SMALL, 0.02, 3), 4e-5
    free, best = Models(observed).plain, Models(replace(observed, floor=floor)).mixture.best
    least, weight = observed.values.min(), np.sqrt(free.variance) / (floor / np.sqrt(12))

    def residuals(theta: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        curve = theta[0] * least + np.exp(theta[1] + observed.logs @ theta[2:])
        return np.append(np.log(observed.values / curve), weight * (theta[0] * least - floor / 2))

    solved = least_squares(residuals, free.theta, x_scale="jac")
    covariance = np.linalg.inv(solved.jac.T @ solved.jac) * free.variance

    assert best.curve.theta[0] == pytest.approx(solved.x[0], rel=0.03)
    assert best.curve.exponents == pytest.approx(solved.x[2:], abs=2e-3)
    of_both = best.curve.covariance[2, 2] / best.curve.variance * free.variance + best.of_constant(np.array([1.0, 0.0]))
    assert np.sqrt(of_both) == pytest.approx(np.sqrt(covariance[2, 2]), rel=0.05)


def test_a_floor_above_the_smallest_value_says_nothing() -> None:
    observed = noisy("1e-4 + 3e-10*n**2*d", SMALL, 0.02, 3)

    with_floor, without = Models(replace(observed, floor=1.0)).mixture, Models(observed).mixture

    assert with_floor.estimate(np.array([1.0, 0.0])) == without.estimate(np.array([1.0, 0.0]))


def test_parts_of_the_window_know_the_floor_too() -> None:
    observed = replace(noisy(BARELY_CONSTANT, SMALL, 0.02, 3), floor=4e-6)

    assert observed.only(observed.sizes["n"].to_numpy() > 64).floor == 4e-6
    assert all(curve.holds_constant for _, curve in Models(observed).windows)


def test_intervals_that_know_the_floor_are_narrower_and_hold_the_truth_as_often() -> None:
    """Machines with a small constant cost, of which a call at sizes of 8 shows the bound."""
    processes = tuple(round_ // ROUNDS_PER_PROCESS for round_ in range(ROUNDS))
    held, widths = [], []
    for seed in range(42):
        truth = LAWS[SINGLE[seed % len(SINGLE)]]
        seen = draw(truth, World(overhead=(0.0, 0.002)), seed)
        floor = float(seen.seconds_at({axis: np.array([8.0]) for axis in truth.axes})[0])
        observed = Observations(seen.sizes, seen.visits, processes)
        knowing, plain = (law_of(one, Formula(truth.claim)) for one in (replace(observed, floor=floor), observed))
        for axis, true in zip(truth.axes, seen.exponents, strict=True):
            estimate = knowing.exponents[axis].estimate
            held.append(estimate.low <= true <= estimate.high)
            widths.append(estimate.half_width / plain.exponents[axis].estimate.half_width)

    assert 0.85 <= np.mean(held) <= 0.99
    assert np.median(widths) < 0.9
