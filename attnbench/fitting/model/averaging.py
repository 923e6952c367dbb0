"""Intervals over everything that the data leave open: noise, rounds, windows, and which model it is.

Every admissible model of the data is one component of a mixture of Student's t distributions, weighted by how well the
data bear it out (Buckland, Burnham & Augustin 1997). An interval is read off the mixture, so it widens where models
disagree. Each component's variance is that of the configurations about the curve; it is raised

* where processes pull the parameters further apart than noise that strikes configurations one by one would: what a
  process does to all sizes at once is seen between processes only;
* where leaving out the smallest or the largest size of an axis moves the parameters further than noise would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from attnbench.fitting import distributions
from attnbench.fitting.model.curve import FittedCurve
from attnbench.fitting.model.observations import Array
from attnbench.law import Curves, Estimate

#: A movement is noise up to this many standard errors; there are several windows, and one of them is the largest.
_NOISE_IN_WINDOWS = 2.0
#: A window whose own standard error is this many times that of the whole says nothing.
_MIN_READABLE = 3.0
#: Curves drawn for forecasts.
_DRAWS = 200
#: A draw is tried again this often before the best curve stands in for it.
_DRAWING_ROUNDS = 20


#: What is known of a number by Student's t: degrees of freedom, location and scale.
Student = tuple[float, float, float]


@dataclass(frozen=True)
class Component:
    """One model of the data: its curve, its weight, and the same model in parts of the window."""

    curve: FittedCurve
    weight: float = 1.0
    parts: tuple[FittedCurve, ...] = ()

    def student(self, direction: Array) -> Student:
        """What is known of a combination of exponents: Student's t, by degrees of freedom, location and scale."""
        of_exponents = self.curve.covariance[self.curve.exponent_slice, self.curve.exponent_slice]
        variance = direction @ of_exponents @ direction + self.between_rounds(direction) + self.of_constant(direction)
        moved = max((abs(float(direction @ move)) for move in self.moves(direction)), default=0.0)
        error = max(math.sqrt(variance + moved**2), 1e-12)
        return self.curve.degrees_of_freedom, float(direction @ self.curve.exponents), error

    def of_constant(self, direction: Array) -> float:
        """Variance of a combination of exponents because a constant that was held is not known exactly."""
        moved = float(direction @ self.curve.by_constant[self.curve.exponent_slice])
        return (moved * self.curve.constant_error) ** 2

    def moves(self, direction: Array) -> list[Array]:
        """How far leaving out a part of the window moves the exponents beyond noise, as seen along `direction`."""
        inverse = self.curve.inverse[self.curve.exponent_slice, self.curve.exponent_slice]
        here, beyond_noise = float(direction @ inverse @ direction), []
        for part in self.parts:
            of_part = part.inverse[part.exponent_slice, part.exponent_slice]
            there = float(direction @ of_part @ direction)
            if there > _MIN_READABLE**2 * here:
                continue
            # For least squares the variance of a difference is the difference of variances (Hausman 1978).
            noise = math.sqrt(max(there - here, 0.0) * self.curve.variance)
            move = part.exponents - self.curve.exponents
            length = abs(float(direction @ move))
            if length > _NOISE_IN_WINDOWS * noise:
                beyond_noise.append(move * (1 - _NOISE_IN_WINDOWS * noise / length))
        return beyond_noise

    def between_rounds(self, direction: Array) -> float:
        """Variance of a combination of exponents between processes beyond what noise in single configurations explains.

        Each process that visited every configuration has exponents of its own, by linear propagation of what it read.
        """
        logs = self.curve.observed.of_processes
        count = logs.shape[1]
        if count < 2:
            return 0.0
        reads: Array = direction @ (self.curve.inverse @ self.curve.jacobian.T)[self.curve.exponent_slice]
        deviations = logs - np.log(self.curve.observed.values)[:, None]
        expected = float(np.square(reads).sum() * np.var(deviations, axis=1, ddof=1).mean())
        spread = float(np.var(reads @ deviations, ddof=1))
        return float(max(0.0, spread - expected) / count)


def _below(bound: float, student: Student) -> float:
    """Probability that a number is smaller than `bound`."""
    degrees_of_freedom, location, scale = student
    return float(distributions.student_below((bound - location) / scale, degrees_of_freedom))


def _quantile(tail: float, student: Student) -> float:
    """What a number is smaller than with probability `tail`."""
    degrees_of_freedom, location, scale = student
    return float(distributions.student_quantile(tail, degrees_of_freedom)) * scale + location


@dataclass(frozen=True)
class Mixture:
    """What is known of the exponents: components, whose weights add up to 1."""

    components: tuple[Component, ...]

    @property
    def best(self) -> Component:
        """The most likely model."""
        return max(self.components, key=lambda component: component.weight)

    def value(self, direction: Array) -> float:
        """Weighted mean of a combination of exponents."""
        return math.fsum(c.weight * float(direction @ c.curve.exponents) for c in self.components)

    def below(self, direction: Array, bound: float) -> float:
        """Probability that a combination of exponents is smaller than `bound`."""
        return math.fsum(c.weight * _below(bound, c.student(direction)) for c in self.components)

    def estimate(self, direction: Array, level: float = 0.9) -> Estimate:
        """A combination of exponents with its interval of equal tails."""
        low, high = (self._quantile(direction, tail) for tail in ((1 - level) / 2, (1 + level) / 2))
        value = self.value(direction)
        return Estimate(value, min(low, value), max(high, value), level)

    def _quantile(self, direction: Array, tail: float) -> float:
        known = [(c.weight, c.student(direction)) for c in self.components]
        ends = [_quantile(tail, student) for _, student in known]
        low, high = min(ends), max(ends)
        if high - low < 1e-9:
            return low

        def missing(bound: float) -> float:
            return math.fsum(weight * _below(bound, student) for weight, student in known) - tail

        return float(optimize.brentq(missing, low, high, xtol=1e-6))

    def curves(self, terms: Sequence[str], axes: Sequence[str], level_error: float, seed: int = 0) -> Curves:
        """Curves drawn from the mixture, for forecasts; the constant is never negative in them.

        Args:
            terms: names of the terms.
            axes: names of the axes, in the order of the exponents.
            level_error: standard error of the level that all configurations share, relative.
            seed: of the draws.
        """
        rng = np.random.default_rng(seed)
        best = self.best.curve
        rows = [best.in_base_units(_physical(best.theta))]
        shares = rng.multinomial(_DRAWS, [c.weight for c in self.components])
        for component, number in zip(self.components, shares, strict=True):
            drawn = component.curve.in_base_units(_drawn(component, int(number), rng))
            drawn[:, : 1 + best.terms] *= np.exp(level_error * rng.standard_normal((int(number), 1)))
            rows.extend(drawn)
        return Curves(
            terms=tuple(terms),
            bends=tuple(axes),
            draws=tuple(tuple(float(f"{value:.7g}") for value in row) for row in rows),  # noise has no more to say
            scatter=math.sqrt(best.variance + _of_one_visit(best)),
        )


def _drawn(component: Component, number: int, rng: np.random.Generator) -> Array:
    """Parameters as likely as the data leave them, the systematic part of the exponents added.

    They are drawn from the linearised problem, which knows nothing of curvature: a draw is kept only if its own curve
    is as near to the data as the F distribution allows.
    """
    curve, kept = component.curve, np.zeros((0, len(component.curve.theta)))
    degrees = len(curve.theta), curve.degrees_of_freedom
    bound = curve.residual_sum * (1 + degrees[0] / degrees[1] * distributions.f_quantile(0.99, *degrees))
    sizes, directions = np.linalg.eigh(curve.covariance)
    root = directions * np.sqrt(np.maximum(sizes, 0))  # rounding may leave a size just below zero
    for _ in range(_DRAWING_ROUNDS):
        normal = rng.standard_normal((2 * number, len(sizes))) @ root.T
        spread = np.sqrt(curve.degrees_of_freedom / rng.chisquare(curve.degrees_of_freedom, len(normal)))
        drawn = _physical(curve.theta + normal * spread[:, None])
        kept = np.vstack([kept, drawn[curve.residual_sums_at(drawn) <= bound]])
        if len(kept) >= number:
            break
    missing = max(0, number - len(kept))
    kept = np.vstack([kept, np.tile(_physical(curve.theta), (missing, 1))])[:number]
    each = np.eye(len(curve.exponents))
    moves = [move for along in each for move in component.moves(along)]
    if moves:
        kept[:, curve.exponent_slice] += rng.standard_normal((number, 1)) * max(moves, key=np.linalg.norm)
    between = np.sqrt([component.between_rounds(along) for along in each])
    kept[:, curve.exponent_slice] += rng.standard_normal((number, len(each))) * between
    return kept


def _physical(theta: Array) -> Array:
    """Parameters with a constant of at least zero."""
    kept = theta.copy()
    kept[..., 0] = np.maximum(kept[..., 0], 0.0)
    return kept


def _of_one_visit(curve: FittedCurve) -> float:
    """Variance of a visit about its configuration."""
    deviations = np.log(curve.observed.by_round) - np.log(curve.observed.values)[:, None]
    visits = np.isfinite(deviations).sum()
    return float(np.nansum(np.square(deviations)) / max(1, visits - len(deviations)))
