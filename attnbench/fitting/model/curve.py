"""One curve for every law: ``value = c₀ + (Σ cᵢ·termᵢ) · Π axis^exponent``, fitted to relative errors.

A constant cost c₀ is part of every running time. Left out of the fit, a tenth of the median time takes 0.1 to 0.3 off
an exponent read from a small grid; with it in the fit, the exponents are those that are left once the constant has
become negligible. With the single term 1 they are the exponents of a power law. With the terms of a claim, they are
what the claim leaves unexplained: zero when the claim is the law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attnbench.errors import FormulaError
from attnbench.fitting.model.observations import Array, Observations
from attnbench.formula import Monomial

_STEPS = 60
_TRIES = 12
#: Starting points for the constant, as shares of the smallest value.
_STARTS = (0.0, 0.3, 0.6, 0.85)
#: The constant stays below the smallest value; below zero it is free, so that its interval is an honest one.
_MAX_CONSTANT = 0.999
_CONVERGED = 1e-9


@dataclass(frozen=True)
class FittedCurve:
    """A fitted curve.

    Attributes:
        observed: what it was fitted to.
        columns: value of each term at each configuration, scaled to 1 in the middle.
        scales: what the columns were divided by.
        slopes: logarithms that the exponents belong to: configuration × exponent.
        breaks: factors that hold on one side of a break: configuration × break, 0 or 1.
        theta: constant (in units of the smallest value), logarithms of the scaled coefficients, exponents, log factors.
        residuals: logarithm of value over curve.
        jacobian: derivative of the logarithm of the curve by each parameter.
        constant_error: standard error of a constant that was held, in units of value.
    """

    observed: Observations
    columns: Array
    scales: Array
    slopes: Array
    breaks: Array
    theta: Array
    residuals: Array
    jacobian: Array
    constant_error: float = 0.0

    @property
    def terms(self) -> int:
        """Number of terms."""
        return int(self.columns.shape[1])

    @property
    def exponent_slice(self) -> slice:
        """Where the exponents are among the parameters."""
        first = 1 + self.terms
        return slice(first, first + self.slopes.shape[1])

    @property
    def exponents(self) -> Array:
        """Exponent of each axis beside the terms, or of all axes together."""
        return self.theta[self.exponent_slice]

    @property
    def degrees_of_freedom(self) -> int:
        """Configurations beyond the number of fitted parameters; a constant that is held is none of them."""
        return len(self.residuals) - len(self.theta) + self.holds_constant

    @property
    def holds_constant(self) -> bool:
        """Whether the constant was held and not fitted."""
        return not self.jacobian[:, 0].any()

    @property
    def by_constant(self) -> Array:
        """How the parameters would move if a constant that is held were one unit of value larger."""
        whole = self.observed.values / np.exp(self.residuals)
        return np.asarray(-self.inverse @ self.jacobian.T @ (1 / whole))

    @property
    def residual_sum(self) -> float:
        """Sum of squared residuals."""
        return float(self.residuals @ self.residuals)

    @cached_property
    def inverse(self) -> Array:
        """Covariance of the parameters for residuals of variance 1."""
        return np.asarray(np.linalg.pinv(self.jacobian.T @ self.jacobian))

    @property
    def variance(self) -> float:
        """Variance of a residual."""
        return max(self.residual_sum / max(1, self.degrees_of_freedom), self.observed.tolerance**2)

    @property
    def covariance(self) -> Array:
        """Covariance of the parameters."""
        return self.inverse * self.variance

    @property
    def growing(self) -> Array:
        """Share of each value that is not the constant."""
        return np.asarray(self.shares.sum(axis=1))

    @property
    def shares(self) -> Array:
        """Share of each term in the value: configuration × term."""
        return self.jacobian[:, 1 : 1 + self.terms]

    def residual_sums_at(self, thetas: Array) -> Array:
        """Sum of squared residuals of other parameters, one row each; infinite where the curve has no logarithm."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            problem = _Problem(self.observed, self.columns, self.slopes, self.breaks)
            return np.array([problem.cost(theta) for theta in thetas])

    def in_base_units(self, theta: Array) -> Array:
        """Constant, coefficients and exponents of parameters like `theta`, for sizes and values as they were given.

        Where the rate breaks, the coefficients are those past the break: what lies ahead is forecast from there.
        """
        exponents, factors = theta[..., self.exponent_slice], theta[..., self.exponent_slice.stop :]
        past = factors.sum(axis=-1) - exponents @ self.observed.centre
        level = np.exp(theta[..., 1 : 1 + self.terms] + past[..., None])
        constant = theta[..., :1] * self.observed.values.min()
        return np.concatenate([constant, level / self.scales, exponents], axis=-1)


def fit_curve(
    observed: Observations,
    columns: Array,
    breaks: Array | None = None,
    *,
    slopes: Array | None = None,
    held: tuple[float, float] | None = None,
) -> FittedCurve:
    """Least squares of ``log value - log curve`` by damped Gauss-Newton steps.

    Args:
        observed: sizes and values.
        columns: value of each term at each configuration.
        breaks: a column of 0 and 1 for each break in the rate.
        slopes: logarithms with an exponent of their own; those of each axis by default.
        held: the constant and its standard error, where they are known; fitted where they are not.
    """
    scales = np.exp(np.log(np.maximum(columns, np.finfo(float).tiny)).mean(axis=0))
    breaks = np.zeros((len(columns), 0)) if breaks is None else breaks
    slopes = observed.logs if slopes is None else slopes
    problem = _Problem(observed, columns / scales, slopes, breaks, held is not None)
    starts = [problem.start(share) for share in (_STARTS if held is None else (held[0] / problem.unit,))]
    theta = problem.solve(min(starts, key=problem.cost))
    linearised, error = problem.linearised(theta), held[1] if held else 0.0
    return FittedCurve(observed, columns / scales, scales, slopes, breaks, theta, *linearised, error)


@dataclass(frozen=True)
class _Problem:
    observed: Observations
    columns: Array
    slopes: Array
    breaks: Array
    holds_constant: bool = False

    @cached_property
    def unit(self) -> float:
        return float(self.observed.values.min())

    @cached_property
    def targets(self) -> Array:
        return np.asarray(np.log(self.observed.values))

    def parts(self, theta: Array) -> Array:
        """Each term with the exponents and breaks upon it."""
        terms, axes = self.columns.shape[1], self.slopes.shape[1]
        exponents, factors = theta[1 + terms : 1 + terms + axes], theta[1 + terms + axes :]
        grown_by = self.slopes @ exponents + self.breaks @ factors
        grown: Array = self.columns * np.exp(grown_by[:, None] + theta[1 : 1 + terms])
        return grown

    def cost(self, theta: Array) -> float:
        whole = theta[0] * self.unit + self.parts(theta).sum(axis=1)
        if not (whole > 0).all() or not np.isfinite(whole).all():
            return np.inf
        return float(np.square(self.targets - np.log(whole)).sum())

    def linearised(self, theta: Array) -> tuple[Array, Array]:
        parts = self.parts(theta)
        grown = parts.sum(axis=1)
        whole = theta[0] * self.unit + grown
        slopes = np.column_stack([self.slopes, self.breaks]) * (grown / whole)[:, None]
        constant = np.zeros_like(whole) if self.holds_constant else self.unit / whole
        jacobian = np.column_stack([constant, parts / whole[:, None], slopes])
        return self.targets - np.log(whole), jacobian

    def start(self, share: float) -> Array:
        """Terms of equal weight and a power law on top, once a constant is taken off."""
        rest = self.observed.values - share * self.observed.values.min()
        weight = rest / self.observed.values  # of log(rest), whose relative error is larger
        flat = np.log(self.columns.mean(axis=1))
        matrix = np.column_stack([np.ones(len(rest)), self.slopes, self.breaks])
        solution, *_ = np.linalg.lstsq(matrix * weight[:, None], (np.log(rest) - flat) * weight, rcond=None)
        terms = self.columns.shape[1]
        return np.concatenate([[share], np.full(terms, solution[0] - np.log(terms)), solution[1:]])

    def solve(self, theta: Array) -> Array:
        cost, damping = self.cost(theta), 1e-3
        for _ in range(_STEPS):
            residuals, jacobian = self.linearised(theta)
            gradient, curvature = jacobian.T @ residuals, jacobian.T @ jacobian
            for _ in range(_TRIES):
                damped = curvature + damping * np.diag(np.diag(curvature) + 1e-12)
                tried = theta + _step(damped, gradient, _MAX_CONSTANT - theta[0])
                if (lower := self.cost(tried)) <= cost:
                    break
                damping *= 4
            else:
                return theta
            converged = cost - lower <= _CONVERGED * cost
            theta, cost, damping = tried, lower, max(damping / 5, 1e-9)
            if converged:
                return theta
        return theta


def _step(curvature: Array, gradient: Array, most: float) -> Array:
    """The step to a minimum; one that would raise the constant by more than `most` holds it there for the others."""
    step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
    if step[0] > most:
        rest = np.linalg.lstsq(curvature[1:, 1:], gradient[1:] - most * curvature[1:, 0], rcond=None)[0]
        step = np.concatenate([[most], rest])
    return np.asarray(step)


def design_matrix(monomials: Sequence[Monomial], observed: Observations) -> Array:
    """Value of each monomial (column) at each configuration (row); axes that were not swept count as 1.

    Raises:
        FormulaError: a monomial has no positive value at some configuration, such as log2(n) at n = 1/2.
    """
    sizes = {axis: observed.sizes[axis].to_numpy(dtype=float) for axis in observed.axes}
    columns = [_values(monomial, sizes, len(observed.sizes)) for monomial in monomials]
    for monomial, column in zip(monomials, columns, strict=True):
        wrong = ~(np.isfinite(column) & (column >= 0))
        if wrong.any():
            at = ", ".join(f"{axis}={size[wrong][0]:g}" for axis, size in sizes.items() if axis in monomial.axes)
            raise FormulaError(f"{monomial.text} has no finite value of at least zero at {at}")
    return np.column_stack(columns)


def _values(monomial: Monomial, sizes: Mapping[str, Array], count: int) -> Array:
    value = np.ones(count)
    with np.errstate(all="ignore"):
        for axis, power in monomial.powers:
            value = value * sizes.get(axis, value**0) ** float(power)
        for axis, log_power in monomial.logs:
            value = value * np.log2(sizes[axis]) ** log_power
    return value
