"""Several terms: coefficients and what is left over, against exact laws and SciPy's bounded least squares."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import lsq_linear

from attnbench.fit.estimate import Observations, power_law
from attnbench.fit.terms import coefficients, constant_share, design_matrix, tilt
from attnbench.formula import Formula, Monomial
from tests.fit.worlds import World

WIDE = {"n": (64, 256, 1024, 4096), "d": (64, 256, 1024)}
PROJECTIONS_AND_CORE = tuple(term.monomial for term in Formula("n*d**2 + n**2*d").terms)
CORE = Monomial.of({"n": 2, "d": 1})
SILENCE = {"process": 0.0, "noise": 0.0, "late": 0.0}


def exact(truth: str, sizes: dict[str, tuple[int, ...]] = WIDE) -> Observations:
    return World(truth, sizes=sizes, **SILENCE).observed(0)


def noisy(seed: int) -> Observations:
    return World("8e-9*n*d**2 + 4e-9*n**2*d", sizes=WIDE).observed(seed)


def by_text(monomials: tuple[Monomial, ...], values: object) -> dict[str, float]:
    return dict(zip((monomial.text for monomial in monomials), np.array(values), strict=True))


# -------------------------------------------------------------------------------------------------------- coefficients


def test_the_coefficients_of_an_exact_law_are_found_exactly() -> None:
    found = by_text(PROJECTIONS_AND_CORE, coefficients(PROJECTIONS_AND_CORE)(exact("8e-9*n*d**2 + 4e-9*n**2*d")))

    assert found == pytest.approx({"n*d**2": 8e-9, "n**2*d": 4e-9}, rel=1e-9)


def test_a_term_that_is_not_there_gets_nothing() -> None:
    found = by_text(PROJECTIONS_AND_CORE, coefficients(PROJECTIONS_AND_CORE)(exact("4e-9*n**2*d")))

    assert found["n**2*d"] == pytest.approx(4e-9, rel=1e-9)
    assert found["n*d**2"] == pytest.approx(0, abs=1e-18)


def test_a_coefficient_is_never_negative() -> None:
    found = by_text(PROJECTIONS_AND_CORE, coefficients(PROJECTIONS_AND_CORE)(exact("4e-9*n**2*d - 1e-10*n*d**2")))

    assert found["n*d**2"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_coefficients_minimise_the_relative_error(seed: int) -> None:
    observed = noisy(seed)
    n, d = observed.sizes["n"].to_numpy(float), observed.sizes["d"].to_numpy(float)
    columns = np.column_stack([8e-9 * n * d**2, 4e-9 * n**2 * d])  # near one, for the solver's sake
    oracle = lsq_linear(columns / observed.best[:, None], np.ones(len(n)), bounds=(0, np.inf), tol=1e-14)

    found = by_text(PROJECTIONS_AND_CORE, coefficients(PROJECTIONS_AND_CORE)(observed))

    assert found["n*d**2"] == pytest.approx(8e-9 * oracle.x[0], rel=1e-6)
    assert found["n**2*d"] == pytest.approx(4e-9 * oracle.x[1], rel=1e-6)


def test_the_unit_of_time_scales_coefficients_and_nothing_else() -> None:
    observed = noisy(4)
    milliseconds = replace(observed, best=1e3 * observed.best)

    np.testing.assert_allclose(
        coefficients(PROJECTIONS_AND_CORE)(milliseconds), 1e3 * coefficients(PROJECTIONS_AND_CORE)(observed), rtol=1e-9
    )
    np.testing.assert_allclose(
        tilt(PROJECTIONS_AND_CORE)(milliseconds), tilt(PROJECTIONS_AND_CORE)(observed), atol=1e-6
    )


# --------------------------------------------------------------------------------------------------------- left over


def test_the_terms_of_an_exact_law_leave_nothing_over() -> None:
    np.testing.assert_allclose(tilt(PROJECTIONS_AND_CORE)(exact("8e-9*n*d**2 + 4e-9*n**2*d")), [0, 0], atol=1e-6)


@pytest.mark.parametrize(("along_n", "along_d"), [(0.2, 0.0), (0.0, -0.15), (-0.3, 0.1)])
def test_what_is_left_over_is_what_was_put_in(along_n: float, along_d: float) -> None:
    bent = World(
        lambda s: (8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"]) * s["n"] ** along_n * s["d"] ** along_d,
        sizes=WIDE,
        **SILENCE,
    )

    np.testing.assert_allclose(tilt(PROJECTIONS_AND_CORE)(bent.observed(0)), [along_n, along_d], atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_one_term_leaves_over_the_exponent_less_the_claimed_one(seed: int) -> None:
    observed = World("1e-9*n**2*d").observed(seed)

    np.testing.assert_allclose(tilt((CORE,))(observed), power_law(observed)[:2] - [2, 1], atol=1e-6)


def test_the_order_of_terms_and_trials_does_not_matter() -> None:
    observed = noisy(5)
    order = np.random.default_rng(5).permutation(len(observed.best))
    shuffled = Observations(
        observed.sizes.iloc[order].reset_index(drop=True), observed.best[order], observed.by_round[order]
    )

    usual = tilt(PROJECTIONS_AND_CORE)(observed)
    np.testing.assert_allclose(tilt(PROJECTIONS_AND_CORE[::-1])(observed), usual, atol=1e-5)
    np.testing.assert_allclose(tilt(PROJECTIONS_AND_CORE)(shuffled), usual, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- constant cost


def test_a_constant_cost_is_seen_where_it_and_the_term_explain_the_times() -> None:
    observed = exact("1e-3 + 1e-9*n**2*d")
    smallest = 1e-9 * 64**2 * 64

    assert constant_share(CORE, observed) == pytest.approx(1e-3 / (1e-3 + smallest), rel=1e-9)


@pytest.mark.parametrize(
    "truth",
    ["1e-7*n**(3/2)*d", "1e-7*n*d", "1e-9*n**2*d**2", "1e-6"],
    ids=["slower-growth", "much-slower-growth", "faster-growth", "no-growth"],
)
def test_a_power_law_is_not_mistaken_for_a_constant_cost(truth: str) -> None:
    observed = World(truth).observed(6)

    assert constant_share(CORE, observed) == 0


# -------------------------------------------------------------------------------------------------------- design matrix


def test_the_design_matrix_holds_each_monomial_at_each_trial() -> None:
    observed = Observations(pd.DataFrame({"n": [2, 3], "d": [5, 7]}), np.ones(2), np.ones((2, 1)))
    monomials = (Monomial(), Monomial.of({"n": 2, "d": 1}), Monomial.of({"b": 1, "n": 1}), Monomial.of({}, {"n": 1}))

    found = design_matrix(monomials, observed)

    np.testing.assert_allclose(found, [[1, 20, 2, 1], [1, 63, 3, math.log2(3)]])
