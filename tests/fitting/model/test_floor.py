"""A constant whose upper bound is known: a call at tiny sizes was timed, and the fit need not find the constant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from attnbench.fitting.model.curve import design_matrix, fit_curve
from attnbench.fitting.model.models import Models
from attnbench.fitting.model.observations import Observations, observe
from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula, Monomial
from benchmarks.worlds import LAWS, ROUNDS, ROUNDS_PER_PROCESS, SINGLE, World, draw
from tests.fitting.worlds import doubling, noisy, quiet

ND = {"n": doubling(64, 4), "d": doubling(32, 4)}
LAW = "2e-6 + 3e-10*n**2*d"


def one_power(observed: Observations, **fields: Any) -> Any:
    return fit_curve(observed, design_matrix([Monomial()], observed), **fields)


@pytest.mark.parametrize("constant", [0.0, 5e-6, 2e-5])
def test_a_constant_that_is_held_is_taken_off_and_is_no_parameter(constant: float) -> None:
    observed = quiet(lambda s: constant + 3e-10 * s["n"] ** 2 * s["d"], ND).observed()

    curve = one_power(observed, held=(constant, 0.0))

    np.testing.assert_allclose(curve.in_base_units(curve.theta), [constant, 3e-10, 2, 1], rtol=1e-6)
    assert curve.holds_constant
    assert curve.degrees_of_freedom == len(observed.sizes) - 3 == one_power(observed).degrees_of_freedom + 1


def test_how_the_parameters_hang_on_a_held_constant_is_what_another_one_does_to_them() -> None:
    observed = noisy(LAW, ND, 0.02, 3)
    held, step = 2e-6, 1e-8

    there, back = one_power(observed, held=(held + step, 0)), one_power(observed, held=(held - step, 0))
    moved = (there.theta - back.theta)[1:] / (2 * step)

    # Linearised, as Gauss and Newton do it: what the residuals add is left out.
    np.testing.assert_allclose(one_power(observed, held=(held, 0)).by_constant[1:], moved, rtol=0.05)


def test_what_the_floor_and_the_fit_say_of_the_constant_is_put_together_by_precision() -> None:
    """Least squares with one more row for the floor, a constant anywhere up to it, is the same by another way."""
    observed, floor = noisy("2e-5 + 3e-10*n**2*d", ND, 0.02, 3), 4e-5
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
    observed = noisy("1e-4 + 3e-10*n**2*d", ND, 0.02, 3)

    with_floor, without = Models(replace(observed, floor=1.0)).mixture, Models(observed).mixture

    assert with_floor.estimate(np.array([1.0, 0.0])) == without.estimate(np.array([1.0, 0.0]))


def test_parts_of_the_window_know_the_floor_too() -> None:
    observed = replace(noisy(LAW, ND, 0.02, 3), floor=4e-6)

    assert observed.only(observed.sizes["n"].to_numpy() > 64).floor == 4e-6
    assert all(curve.holds_constant for _, curve in Models(observed).windows)


def test_the_floor_of_a_run_is_a_column_of_its_records() -> None:
    seen = noisy(LAW, ND, 0.0, 1)
    trials = [f"t{i}" for i in range(len(seen.sizes))]
    records = seen.sizes.assign(trial=trials, floor_seconds=[4e-6] * 8 + [None] * (len(trials) - 8))
    samples = records[["trial"]].assign(seconds=seen.values, round=0, process=0)

    assert observe(records, samples, ("n", "d")).floor == 4e-6
    assert observe(records.drop(columns="floor_seconds"), samples, ("n", "d")).floor is None


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
