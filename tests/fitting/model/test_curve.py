"""The curve of every law: against exact data, finite differences and SciPy's own least squares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit, least_squares

from attnbench.errors import FormulaError
from attnbench.fitting.model.curve import FittedCurve, design_matrix, fit_curve
from attnbench.fitting.model.observations import Observations
from attnbench.formula import Formula, Monomial
from tests.fitting.worlds import doubling, noisy, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fitting.model.observations import Array

    Columns = Mapping[str, Array]

N = {"n": doubling(64, 8)}
ND = {"n": doubling(64, 5), "d": doubling(32, 4)}
KND = {"k": (3, 5, 9, 17), "n": doubling(64, 4), "d": doubling(32, 4)}
LAYER = tuple(term.monomial for term in Formula("n*d**2 + n**2*d").terms)


def fitted(observed: Observations, monomials: tuple[Monomial, ...] = (Monomial(),), **fields: Any) -> FittedCurve:
    return fit_curve(observed, design_matrix(monomials, observed), **fields)


# --------------------------------------------------------------------------------------------- noise-free data, exactly

#: Sizes, the truth, the terms, and constant, coefficients and exponents in base units.
EXACT: dict[str, tuple[dict[str, tuple[int, ...]], Callable[[Columns], Array], tuple[Monomial, ...], list[float]]] = {
    "one-axis": (N, lambda s: 3e-9 * s["n"] ** 1.75, (Monomial(),), [0, 3e-9, 1.75]),
    "one-axis-constant": (N, lambda s: 2e-6 + 3e-9 * s["n"] ** 1.75, (Monomial(),), [2e-6, 3e-9, 1.75]),
    "large-constant": (N, lambda s: 1e-4 + 1e-9 * s["n"] ** 2.0, (Monomial(),), [1e-4, 1e-9, 2]),
    "falling": (N, lambda s: 1e-3 + 5.0 * s["n"] ** -1.0, (Monomial(),), [1e-3, 5, -1]),
    "two-axes-constant": (
        ND,
        lambda s: 1e-4 + 2e-9 * s["n"] ** 2 * s["d"],
        (Monomial(),),
        [1e-4, 2e-9, 2, 1],
    ),
    "three-axes-constant": (
        KND,
        lambda s: 1e-4 + 2e-9 * s["k"] * s["n"] * s["d"] ** 2,
        (Monomial(),),
        [1e-4, 2e-9, 1, 1, 2],
    ),
    "two-terms-constant": (
        ND,
        lambda s: 1e-4 + 8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"],
        LAYER,
        [1e-4, 8e-9, 4e-9, 0, 0],
    ),
    "two-terms-bent": (
        ND,
        lambda s: 1e-4 + (8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"]) * s["n"] ** 0.1 * s["d"] ** -0.2,
        LAYER,
        [1e-4, 8e-9, 4e-9, 0.1, -0.2],
    ),
}


@pytest.mark.parametrize(("sizes", "truth", "monomials", "expected"), EXACT.values(), ids=EXACT)
def test_an_exact_law_comes_back_in_base_units(
    sizes: dict[str, tuple[int, ...]],
    truth: Callable[[Columns], Array],
    monomials: tuple[Monomial, ...],
    expected: list[float],
) -> None:
    observed = quiet(truth, sizes).observed()
    curve = fitted(observed, monomials)
    found = curve.in_base_units(curve.theta)

    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5 * observed.values.min())
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-4, atol=1e-5)
    # And they give the values back, by the formula of the curve.
    columns = {axis: observed.sizes[axis].to_numpy(float) for axis in observed.axes}
    raw = design_matrix(monomials, observed) @ found[1 : 1 + len(monomials)]
    grown = np.prod([columns[a] ** b for a, b in zip(columns, found[1 + len(monomials) :], strict=True)], axis=0)
    np.testing.assert_allclose(found[0] + raw * grown, observed.values, rtol=1e-6)


def test_a_plain_regression_of_logarithms_is_wrong_where_there_is_a_constant() -> None:
    observed = quiet(lambda s: 2e-4 + 3e-9 * s["n"] ** 1.75, N).observed()
    slope, _ = np.polyfit(np.log(observed.sizes["n"]), np.log(observed.values), 1)

    without = fitted(observed, held=(0.0, 0.0))

    assert slope < 1.75 - 0.3
    assert math.isclose(without.exponents[0], slope, rel_tol=1e-9)
    assert without.theta[0] == 0
    assert math.isclose(fitted(observed).exponents[0], 1.75, abs_tol=1e-5)


def test_a_factor_past_a_break_is_found_and_the_coefficient_is_the_one_past_it() -> None:
    observed = quiet(lambda s: 1e-5 + 2e-9 * s["n"] ** 1.5 * np.where(s["n"] > 700, 1.7, 1.0), N).observed()
    beyond = (observed.sizes["n"].to_numpy() > 700).astype(float)

    curve = fitted(observed, breaks=beyond[:, None])

    assert math.isclose(math.exp(curve.theta[-1]), 1.7, rel_tol=1e-5)
    np.testing.assert_allclose(curve.in_base_units(curve.theta), [1e-5, 1.7 * 2e-9, 1.5], rtol=1e-4)


def test_one_bend_for_all_axes_is_what_the_terms_leave_of_the_degree() -> None:
    observed = quiet(
        lambda s: (8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"]) * (s["n"] * s["d"]) ** 0.07, ND
    ).observed()

    curve = fitted(observed, LAYER, slopes=observed.logs.sum(axis=1, keepdims=True))

    np.testing.assert_allclose(curve.exponents, [0.07], atol=1e-5)


def test_the_order_of_terms_and_configurations_and_the_unit_of_time_do_not_matter() -> None:
    observed = noisy("1e-4 + 8e-9*n*d**2 + 4e-9*n**2*d", ND, 0.03, seed=1)
    usual = fitted(observed, LAYER)
    order = np.random.default_rng(1).permutation(len(observed.values))
    shuffled = Observations(observed.sizes.iloc[order].reset_index(drop=True), observed.by_round[order])
    scaled = Observations(observed.sizes, 1e3 * observed.by_round)

    for other in (fitted(observed, LAYER[::-1]), fitted(shuffled, LAYER), fitted(scaled, LAYER)):
        np.testing.assert_allclose(other.exponents, usual.exponents, atol=1e-4)
        np.testing.assert_allclose(other.covariance[-2:, -2:], usual.covariance[-2:, -2:], rtol=0.01)


# ------------------------------------------------------------------------------------- derivatives, errors and the best


def logarithm(curve: FittedCurve, theta: Array) -> Array:
    """The curve by its definition."""
    split = 1 + curve.terms
    parts = curve.columns * np.exp(theta[1:split])
    rest = np.column_stack([curve.slopes, curve.breaks]) @ theta[split:]
    return np.asarray(np.log(theta[0] * curve.observed.values.min() + parts.sum(axis=1) * np.exp(rest)))


def a_rich_curve(seed: int) -> FittedCurve:
    """Two terms, two axes, a constant, a break, and noise."""
    observed = noisy("1e-4 + 8e-9*n*d**2 + 4e-9*n**2*d", ND, 0.05, seed)
    beyond = (observed.sizes.prod(axis=1).to_numpy() > 20_000).astype(float)
    return fitted(observed, LAYER, breaks=beyond[:, None])


@pytest.mark.parametrize("seed", range(3))
def test_the_jacobian_is_the_derivative_of_the_logarithm(seed: int) -> None:
    curve = a_rich_curve(seed)
    step = 1e-6
    numeric = np.column_stack(
        [
            (logarithm(curve, curve.theta + along) - logarithm(curve, curve.theta - along)) / (2 * step)
            for along in step * np.eye(len(curve.theta))
        ]
    )

    np.testing.assert_allclose(curve.jacobian, numeric, atol=1e-7)
    np.testing.assert_allclose(curve.residuals, np.log(curve.observed.values) - logarithm(curve, curve.theta))


@pytest.mark.parametrize("seed", range(3))
def test_shares_and_the_constant_make_up_the_whole(seed: int) -> None:
    curve = a_rich_curve(seed)
    constant = curve.theta[0] * curve.observed.values.min() / np.exp(logarithm(curve, curve.theta))

    np.testing.assert_allclose(curve.shares.sum(axis=1), 1 - constant)
    np.testing.assert_allclose(curve.growing, 1 - constant)


@pytest.mark.parametrize("seed", range(4))
def test_values_and_standard_errors_are_those_of_scipy(seed: int) -> None:
    observed = noisy(lambda s: 3e-4 + 2e-9 * s["n"] ** 2 * s["d"], ND, 0.04, seed)
    unit, (n, d) = observed.values.min(), observed.logs.T
    level = math.log(2e-9) + 2 * observed.centre[0] + observed.centre[1]

    def model(_: object, constant: float, scale: float, along_n: float, along_d: float) -> Array:
        return np.asarray(np.log(constant * unit + np.exp(scale + along_n * n + along_d * d)))

    best, covariance = curve_fit(model, n, np.log(observed.values), p0=[3e-4 / unit, level, 2, 1], xtol=1e-12)
    curve = fitted(observed)

    np.testing.assert_allclose(curve.theta, best, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(curve.covariance)), np.sqrt(np.diag(covariance)), rtol=1e-3)
    assert curve.degrees_of_freedom == 20 - 4


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_no_better_curve_is_found_from_the_truth(share: float) -> None:
    """From the truth SciPy finds a minimum nearby; ours, which does not know the truth, is as low."""
    truth = quiet("8e-9*n*d**2 + 4e-9*n**2*d", ND).seconds
    constant = share / (1 - share) * float(np.median(truth))
    for seed in range(12):
        drawn = noisy(lambda s: 8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"] + constant, ND, 0.1, seed)
        curve = fitted(drawn, LAYER)
        start = np.array(
            [min(0.9, constant / drawn.values.min()), *np.log(np.array([8e-9, 4e-9]) * curve.scales), 0, 0]
        )

        found = least_squares(
            lambda theta, curve=curve: np.nan_to_num(np.log(curve.observed.values) - logarithm(curve, theta), nan=9.0),
            start,
            bounds=([-np.inf] * 5, [0.999, *[np.inf] * 4]),
        )

        assert curve.residual_sum <= 2 * found.cost * 1.001
        assert curve.theta[0] <= 0.999  # of the smallest value, as for SciPy


def test_a_constant_may_come_out_below_zero_so_that_its_interval_is_an_honest_one() -> None:
    signs = [fitted(noisy("1e-9*n**2*d", ND, 0.05, seed)).theta[0] < 0 for seed in range(60)]

    assert 15 <= sum(signs) <= 45  # half of 60, and four standard errors


def test_residual_sums_at_other_parameters_and_none_where_the_curve_has_no_logarithm() -> None:
    curve = a_rich_curve(4)
    elsewhere, nowhere = curve.theta.copy(), curve.theta.copy()
    elsewhere[-2] += 0.1
    nowhere[0] = -1e6
    expected = np.square(np.log(curve.observed.values) - logarithm(curve, elsewhere)).sum()

    np.testing.assert_allclose(
        curve.residual_sums_at(np.array([curve.theta, elsewhere, nowhere])), [curve.residual_sum, expected, np.inf]
    )


# -------------------------------------------------------------------------------------------------------- design matrix


def test_the_design_matrix_holds_each_monomial_at_each_configuration() -> None:
    observed = Observations(pd.DataFrame({"n": [1, 3], "d": [5, 7]}), np.ones((2, 1)))
    monomials = (Monomial(), Monomial.of({"n": 2, "d": 1}), Monomial.of({"b": 1, "n": 1}), Monomial.of({}, {"n": 1}))

    np.testing.assert_allclose(design_matrix(monomials, observed), [[1, 5, 1, 0], [1, 63, 3, math.log2(3)]])


@pytest.mark.parametrize(
    ("monomial", "sizes", "message"),
    [
        (Monomial.of({}, {"n": 1}), {"n": [2.0, 0.5]}, r"log2\(n\) has no finite value of at least zero at n=0\.5"),
        (Monomial.of({"d": 1}, {"n": -1}), {"n": [1, 2], "d": [3, 4]}, r"at n=1, d=3"),
        (Monomial.of({"n": 192}), {"n": [2, 256]}, r"n\*\*192 has no finite value of at least zero at n=256"),
    ],
    ids=["negative", "infinite", "too-large"],
)
def test_a_monomial_without_a_value_is_one_sentence(
    monomial: Monomial, sizes: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(FormulaError, match=message):
        design_matrix((monomial,), Observations(pd.DataFrame(sizes), np.ones((2, 1))))


# ---------------------------------------------------------------------------------------------- a constant that is held


SMALL = {"n": doubling(64, 4), "d": doubling(32, 4)}
BARELY_CONSTANT = "2e-6 + 3e-10*n**2*d"


@pytest.mark.parametrize("constant", [0.0, 5e-6, 2e-5])
def test_a_constant_that_is_held_is_taken_off_and_is_no_parameter(constant: float) -> None:
    observed = quiet(lambda s: constant + 3e-10 * s["n"] ** 2 * s["d"], SMALL).observed()

    curve = fitted(observed, held=(constant, 0.0))

    np.testing.assert_allclose(curve.in_base_units(curve.theta), [constant, 3e-10, 2, 1], rtol=1e-6)
    assert curve.holds_constant
    assert curve.degrees_of_freedom == len(observed.sizes) - 3 == fitted(observed).degrees_of_freedom + 1


def test_how_the_parameters_hang_on_a_held_constant_is_what_another_one_does_to_them() -> None:
    observed = noisy(BARELY_CONSTANT, SMALL, 0.02, 3)
    held, step = 2e-6, 1e-8

    there, back = fitted(observed, held=(held + step, 0)), fitted(observed, held=(held - step, 0))
    moved = (there.theta - back.theta)[1:] / (2 * step)

    # Linearised, as Gauss and Newton do it: what the residuals add is left out.
    np.testing.assert_allclose(fitted(observed, held=(held, 0)).by_constant[1:], moved, rtol=0.05)
