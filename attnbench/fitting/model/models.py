"""The admissible models of one data set, weighed: with and without a break in the rate, with their systematic parts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from attnbench.fitting.model.averaging import Component, Mixture
from attnbench.fitting.model.breaks import Break, concave_axes, likely_breaks
from attnbench.fitting.model.curve import FittedCurve, fit_curve
from attnbench.fitting.model.observations import Array, Mask, Observations
from attnbench.law import Specification

#: A model below this weight is left out.
_MIN_WEIGHT = 0.02
#: Values that change by less than this factor show no growth beside which a constant could be told.
_FLAT = 2.0
#: A jump in the rate that is worth a sentence, as a logarithm.
_MIN_JUMP = 0.05


class Models:
    """Every model of `observed` with these terms.

    Attributes:
        mixture: what is known of the exponents.
        plain: the curve without breaks.
        breaks: likely breaks with their probabilities, the likeliest first.
        windows: the curves of the specification curve, by name.
    """

    def __init__(self, observed: Observations, columns: Array | None = None, slopes: Array | None = None) -> None:
        self.observed = observed
        self._slopes = observed.logs if slopes is None else slopes
        self._columns = np.ones((len(observed.sizes), 1)) if columns is None else columns
        self._grows = float(np.ptp(np.log(observed.values))) > np.log(_FLAT)
        self._held: tuple[float, float] | None = None
        self._held = self._known_constant()
        self.plain = self._fit()
        self.breaks: list[tuple[Break, float]] = likely_breaks(self.plain) if self._grows else []
        self.windows = [(name, self._fit(kept)) for name, kept in observed.windows()]
        self.mixture = self._mixture()

    def _fit(self, kept: Mask | None = None, beyond: Mask | None = None) -> FittedCurve:
        observed = self.observed if kept is None else self.observed.only(kept)
        columns = self._columns if kept is None else self._columns[kept]
        slopes = self._slopes if kept is None else self._slopes[kept]
        breaks = None if beyond is None else beyond[:, None].astype(float)
        return fit_curve(observed, columns, breaks, slopes=slopes, held=self._held)

    def _known_constant(self) -> tuple[float, float] | None:
        """The constant and its error, where it need not be fitted: there is no growth, or a floor bounds it.

        What the fit says of the constant and what the floor says (anything from nothing to the floor) are put together,
        each by its precision.
        """
        if not self._grows:
            return 0.0, 0.0
        floor, least = self.observed.floor, float(self.observed.values.min())
        if floor is None or floor >= least:
            return None
        free = self._fit()
        fitted, variance = free.theta[0] * least, max(float(free.covariance[0, 0]), 1e-12) * least**2
        of_floor = floor**2 / 12
        both = 1 / (1 / variance + 1 / of_floor)
        constant = both * (fitted / variance + floor / 2 / of_floor)
        return min(max(constant, 0.0), floor), math.sqrt(both)

    def _mixture(self) -> Mixture:
        unbroken = 1 - sum(weight for _, weight in self.breaks)
        components = []
        if unbroken > _MIN_WEIGHT:
            components.append(self._component(self.plain, unbroken, [curve for _, curve in self.windows]))
        for threshold, weight in self.breaks:
            sides = [self._fit(side) for side in (threshold.beyond, ~threshold.beyond) if self._readable(side)]
            components.append(self._component(self._fit(beyond=threshold.beyond), weight, sides))
        total = sum(component.weight for component in components)
        return Mixture(tuple(replace(c, weight=c.weight / total) for c in components))

    def _readable(self, side: Mask) -> bool:
        enough = int(side.sum()) > 2 + self._columns.shape[1] + len(self.observed.axes)
        return enough and not self.observed.only(side).tied

    @staticmethod
    def _component(curve: FittedCurve, weight: float, parts: list[FittedCurve]) -> Component:
        return Component(curve, weight, tuple(part for part in parts if part.degrees_of_freedom > 0))

    @property
    def overhead(self) -> float:
        """Share of the constant in the middle value, as the likeliest model has it."""
        theta = self.mixture.best.curve.theta
        return max(0.0, float(theta[0] * self.observed.values.min() / np.median(self.observed.values)))

    @property
    def regimes(self) -> tuple[str, ...]:
        """Changes of regime that are more likely than not, one sentence each."""
        odds = sum(weight for _, weight in self.breaks)
        if odds <= 0.5:
            return ()
        likeliest, _ = self.breaks[0]
        jump = float(self._fit(beyond=likeliest.beyond).theta[-1])
        if abs(jump) < _MIN_JUMP:
            return ()
        return (f"values jump by a factor of {math.exp(jump):.2f} past {likeliest.where} (probability {odds:.0%})",)

    @property
    def concave(self) -> str:
        """Why the values are no sum of costs; empty when they may be one."""
        falls = concave_axes(self.mixture.best.curve) if self._grows else []
        if not falls:
            return ""
        said = ", ".join(f"{axis} (by {fall:.2f} over the window)" for axis, fall in falls)
        return f"the exponent falls along {said}, which no sum of costs does: this window spans a change of regime"

    def specifications(self, claimed: Array) -> tuple[Specification, ...]:
        """The specification curve, as exponents."""
        named = [("all sizes", self.plain), *self.windows]
        named += [(f"with a break at {b.where}", self._fit(beyond=b.beyond)) for b, _ in self.breaks[:1]]
        axes = self.observed.axes
        return tuple(
            Specification(name, dict(zip(axes, map(float, curve.exponents + claimed), strict=True)))
            for name, curve in named
        )
