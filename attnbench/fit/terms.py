"""Laws of several terms: how much of each, and whether together they bend the way the times do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import least_squares, nnls

from attnbench.fit.estimate import Array, Observations, power_law
from attnbench.formula import Monomial


def coefficients(monomials: Sequence[Monomial]) -> Callable[[Observations], Array]:
    """Estimator of non-negative coefficients: least squares of the *relative* error, so that short times count too."""

    def estimate(observed: Observations) -> Array:
        columns = design_matrix(monomials, observed)
        scaled, _ = nnls(columns / columns.mean(axis=0) / observed.best[:, None], np.ones(len(observed.best)))
        return np.asarray(scaled / columns.mean(axis=0), dtype=float)

    return estimate


def tilt(monomials: Sequence[Monomial]) -> Callable[[Observations], Array]:
    """Estimator of what the terms leave over: exponents δ in ``T = (Σ cᵢ·termᵢ) · Π x^δ``, fitted together with c.

    Zero when the terms are the law. It plays the part that "exponent minus claimed exponent" plays for one term.
    """

    def estimate(observed: Observations) -> Array:
        columns = design_matrix(monomials, observed)
        start = np.maximum(coefficients(monomials)(observed), 1e-3 * observed.best.mean() / columns.mean(axis=0))
        logs, times = observed.logs, np.log(observed.best)

        def residuals(parameters: Array) -> Array:
            weights, bends = np.exp(parameters[: len(start)]), parameters[len(start) :]
            return np.asarray(np.log(columns @ weights) + logs @ bends - times, dtype=float)

        solution = least_squares(residuals, np.concatenate([np.log(start), np.zeros(logs.shape[1])]))
        return np.asarray(solution.x[len(start) :], dtype=float)

    return estimate


def constant_share(monomial: Monomial, observed: Observations) -> float:
    """Largest share of the time that a constant cost takes, if such a cost and `monomial` explain the times.

    They do when together they come closer to the times than the best power law does. Else zero.
    """
    terms = (Monomial(), monomial)
    parts = design_matrix(terms, observed) * coefficients(terms)(observed)
    straight = np.column_stack([observed.logs, np.ones(len(observed.best))]) @ power_law(observed)
    times, whole = np.log(observed.best), parts.sum(axis=1)
    closer = np.square(np.log(whole) - times).sum() < np.square(straight - times).sum()
    return float((parts[:, 0] / whole).max()) if closer else 0.0


def design_matrix(monomials: Sequence[Monomial], observed: Observations) -> Array:
    """Value of each monomial (column) at each trial (row); axes that were not swept count as 1."""
    rows: list[Any] = observed.sizes.to_dict("records")
    fixed = {axis: 1 for monomial in monomials for axis in monomial.axes}
    return np.array([[monomial.evaluate({**fixed, **row}) for monomial in monomials] for row in rows], np.float64)
