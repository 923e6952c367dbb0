"""How much of each term: coefficients with intervals, by least squares of the relative error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from attnbench.fitting import distributions
from attnbench.fitting.model.curve import design_matrix
from attnbench.fitting.model.observations import Array, Mask, Observations
from attnbench.formula import Monomial
from attnbench.law import Estimate, FittedTerm


def weigh(monomials: Sequence[Monomial], observed: Observations, level: float = 0.9) -> tuple[FittedTerm, ...]:
    """Coefficient and largest share of each monomial, beside a constant cost; all are at least zero.

    The interval holds two things: how the configurations scatter about the sum, and how far whole rounds lie apart.
    """
    values = observed.values
    columns = np.column_stack([np.ones(len(values)), design_matrix(monomials, observed)])
    relative = columns / values[:, None]
    scales = relative.mean(axis=0)
    solution, _ = nnls(relative / scales, np.ones(len(values)))
    used = solution > 0
    errors = np.full(len(solution), np.inf)
    degrees_of_freedom = len(values) - int(used.sum())
    if degrees_of_freedom > 0:
        errors = _errors(relative / scales, solution, used, degrees_of_freedom)
    reach = np.hypot(errors * _student(level, degrees_of_freedom), solution * level_error(observed, level))
    parts = columns * solution / scales
    shares = (parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)).max(axis=0)
    return tuple(
        FittedTerm(monomial.text, _interval(value / scale, half / scale, level), float(share))
        for monomial, value, scale, half, share in zip(
            monomials, solution[1:], scales[1:], reach[1:], shares[1:], strict=True
        )
    )


def sum_text(terms: Sequence[FittedTerm]) -> str:
    """The sum of some terms, as formula text in base units."""
    return " + ".join(f"{t.coefficient.value:.3g}*{t.term}" for t in terms)


def _errors(matrix: Array, solution: Array, used: Mask, degrees_of_freedom: int) -> Array:
    """Standard errors of the coefficients; one at its bound may rise by its own error, the others held."""
    residuals = 1 - matrix @ solution
    variance = float(residuals @ residuals) / degrees_of_freedom
    errors = np.zeros(len(solution))
    for number in range(len(solution)):
        with_it = used.copy()
        with_it[number] = True
        inverse = np.linalg.pinv(matrix[:, with_it].T @ matrix[:, with_it])
        errors[number] = np.sqrt(variance * inverse[with_it[:number].sum(), with_it[:number].sum()])
    return errors


def level_error(observed: Observations, level: float = 0.9) -> float:
    """Half-width, relative, of the level that all configurations share: how far whole rounds lie apart."""
    deviations = np.log(observed.by_round) - np.log(observed.values)[:, None]
    rounds = np.nanmean(deviations[:, np.isfinite(deviations).any(axis=0)], axis=0)
    if len(rounds) < 2:
        return 0.0
    return _student(level, len(rounds) - 1) * float(rounds.std(ddof=1)) / float(np.sqrt(len(rounds)))


def _student(level: float, degrees_of_freedom: int) -> float:
    """How many standard errors on either side hold the truth with probability `level`."""
    return float(distributions.student_quantile((1 + level) / 2, max(1, degrees_of_freedom)))


def _interval(value: float, half: float, level: float) -> Estimate:
    return Estimate(float(value), float(max(0.0, value - half)), float(value + half), level)
