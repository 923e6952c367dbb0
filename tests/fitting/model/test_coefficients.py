"""Coefficients: exact on exact data, SciPy's bounded least squares elsewhere, and intervals that hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import lsq_linear

from attnbench.fitting.model.coefficients import level_error, weigh
from attnbench.fitting.model.observations import Observations
from attnbench.formula import Formula, Monomial
from benchmarks.worlds import LAWS, ROUNDS, ROUNDS_PER_PROCESS, draw
from benchmarks.worlds import World as Drawn
from tests.fitting.worlds import World, noisy, quiet

WIDE = {"n": (64, 256, 1024, 4096), "d": (64, 256, 1024)}
LAYER = "8e-9*n*d**2 + 4e-9*n**2*d"
PROJECTIONS_AND_CORE = tuple(term.monomial for term in Formula("n*d**2 + n**2*d").terms)
CORE = Monomial.of({"n": 2, "d": 1})


def values(observed: Observations, monomials: tuple[Monomial, ...] = PROJECTIONS_AND_CORE) -> dict[str, float]:
    return {term.term: term.coefficient.value for term in weigh(monomials, observed)}


# --------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("constant", [0, 1e-4, 1e-2])
def test_the_coefficients_of_an_exact_law_are_found_exactly(constant: float) -> None:
    terms = weigh(PROJECTIONS_AND_CORE, quiet(f"{LAYER} + {constant}", WIDE).observed())

    assert {t.term: t.coefficient.value for t in terms} == pytest.approx({"n*d**2": 8e-9, "n**2*d": 4e-9}, rel=1e-9)
    for term in terms:
        assert term.coefficient.half_width < 1e-9 * term.coefficient.value


def test_shares_are_the_largest_of_each_term_by_hand() -> None:
    shares = {t.term: t.share for t in weigh(PROJECTIONS_AND_CORE, quiet(LAYER, WIDE).observed())}

    assert shares == pytest.approx(
        {"n*d**2": 8 * 1024 / (8 * 1024 + 4 * 64), "n**2*d": 4 * 4096 / (4 * 4096 + 8 * 64)}, rel=1e-6
    )


def test_a_coefficient_is_never_negative_and_its_interval_starts_at_zero() -> None:
    observed = noisy("4e-9*n**2*d - 1e-10*n*d**2", WIDE, 0.01, 0)
    (lower,) = (term for term in weigh(PROJECTIONS_AND_CORE, observed) if term.term == "n*d**2")

    assert (lower.coefficient.value, lower.coefficient.low, lower.share) == (0, 0, 0)
    assert lower.coefficient.high > 0


@pytest.mark.parametrize("seed", range(3))
def test_coefficients_minimise_the_relative_error(seed: int) -> None:
    observed = World(LAYER, WIDE).observed(seed)
    n, d = observed.sizes["n"].to_numpy(float), observed.sizes["d"].to_numpy(float)
    unit = np.array([1e-3, 8e-9, 4e-9])  # so that all unknowns are near one, for the solver's sake
    columns = np.column_stack([np.ones(len(n)), n * d**2, n**2 * d]) * unit
    oracle = lsq_linear(columns / observed.values[:, None], np.ones(len(n)), bounds=(0, np.inf), tol=1e-14)

    found = values(observed)

    assert found == pytest.approx({"n*d**2": 8e-9 * oracle.x[1], "n**2*d": 4e-9 * oracle.x[2]}, rel=1e-5)


def test_the_unit_of_time_scales_coefficients_and_nothing_else() -> None:
    observed = World(LAYER, WIDE).observed(4)
    usual, scaled = (
        weigh(PROJECTIONS_AND_CORE, observed),
        weigh(PROJECTIONS_AND_CORE, Observations(observed.sizes, 1e3 * observed.by_round, observed.processes)),
    )

    for one, other in zip(usual, scaled, strict=True):
        assert other.share == pytest.approx(one.share)
        for end in ("value", "low", "high"):
            assert getattr(other.coefficient, end) == pytest.approx(1e3 * getattr(one.coefficient, end))


# ------------------------------------------------------------------------------------------------------------ intervals


def test_the_interval_of_one_coefficient_is_students_t_by_hand() -> None:
    """One round, a constant and one term: a regression of ones on two columns, weighted by the values."""
    observed = noisy("1e-2 + 4e-9*n**2*d", WIDE, 0.05, 1)
    n, d = observed.sizes["n"].to_numpy(float), observed.sizes["d"].to_numpy(float)
    x = np.column_stack([1e-2 * np.ones(12), 4e-9 * n**2 * d]) / observed.values[:, None]
    inverse = np.linalg.inv(x.T @ x)
    best = inverse @ x.T @ np.ones(12)
    error = math.sqrt(np.square(1 - x @ best).sum() / 10 * inverse[1, 1])
    half = stats.t(10).isf(0.05) * error

    (found,) = weigh((CORE,), observed)

    assert found.coefficient.value == pytest.approx(4e-9 * best[1])
    assert found.coefficient.half_width == pytest.approx(4e-9 * half)


def test_what_whole_rounds_share_widens_every_interval() -> None:
    """Exact but for the rounds, which lie at ±10 % and 0: Student's t of 2 degrees times 0.1/√3."""
    world = quiet(LAYER, WIDE)
    rounds = np.exp([-0.1, 0.0, 0.1])
    observed = Observations(world.points, world.seconds[:, None] * rounds)
    expected = stats.t(2).isf(0.05) * 0.1 / math.sqrt(3)

    assert level_error(observed) == pytest.approx(expected)
    for term in weigh(PROJECTIONS_AND_CORE, observed):
        assert term.coefficient.half_width == pytest.approx(expected * term.coefficient.value, rel=1e-6)


@pytest.mark.parametrize("rounds", [[[1.0]], [[1.0, np.nan], [2.0, np.nan]]], ids=["one", "the-other-empty"])
def test_one_round_shares_nothing_with_another(rounds: list[list[float]]) -> None:
    assert level_error(Observations(pd.DataFrame({"n": range(1, len(rounds) + 1)}), np.array(rounds))) == 0


def coverage(worlds: int, world: Drawn) -> float:
    """Share of 90 % intervals that hold the coefficients."""
    processes = tuple(number // ROUNDS_PER_PROCESS for number in range(ROUNDS))
    held = []
    for seed in range(worlds):
        seen = draw(LAWS["nd² + n²d"], world, seed)
        terms = weigh(PROJECTIONS_AND_CORE, Observations(seen.sizes, seen.visits, processes))
        true = dict(zip(("n*d**2", "n**2*d"), seen.coefficients, strict=True))
        held += [term.coefficient.low <= true[term.term] <= term.coefficient.high for term in terms]
    return float(np.mean(held))


@pytest.mark.parametrize("world", [Drawn(), Drawn(noise=(0.02, 0.02))], ids=["any", "quiet"])
def test_nine_intervals_in_ten_hold_the_coefficient(world: Drawn) -> None:
    assert 0.82 <= coverage(200, world) <= 0.97
