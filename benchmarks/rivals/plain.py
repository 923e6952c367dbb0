"""Two rules that need no package: a log-log regression, and that of Google Benchmark."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from attnbench.formula import Monomial

from .answer import LEAST_SIZES, Answer, Timings, text_of, values_of

if TYPE_CHECKING:
    import pandas as pd

    from .answer import Array, Sizes

#: A regression is believed above this coefficient of determination.
BELIEVED = 0.99
#: Probability that the intervals of the regression hold.
LEVEL = 0.9
#: The classes of Google Benchmark, by the names under which it reports them: power, and power of the logarithm.
GOOGLE_CLASSES = {"(1)": (0, 0), "lgN": (0, 1), "N": (1, 0), "NlgN": (1, 1), "N^2": (2, 0), "N^3": (3, 0)}


def power_law(sizes: pd.DataFrame, seconds: Array) -> Answer:
    """Ordinary least squares of log time on the logarithms of all sizes, with the usual t intervals."""
    seen = Timings.of(sizes, seconds)
    design = np.column_stack([np.ones(len(seen.sizes)), np.log(seen.sizes)])
    observed = np.log(seen.seconds)
    freedom = len(design) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return Answer((), seen.axes, "too few configurations to tell the axes apart")
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ observed
    residual, total = _squares(observed - design @ fitted), _squares(observed - observed.mean())
    variance, quantile = residual / freedom, float(stdtrit(freedom, (1 + LEVEL) / 2))
    half = quantile * np.sqrt(variance * np.diag(inverse))

    def forecast(at: Sizes) -> tuple[float, float, float]:
        point = np.array([1.0, *(math.log(at[axis]) for axis in seen.axes)])
        centre = float(point @ fitted)
        spread = quantile * math.sqrt(variance * (1 + float(point @ inverse @ point)))
        return math.exp(centre), math.exp(centre - spread), math.exp(centre + spread)

    exponents = dict(zip(seen.axes, fitted[1:].tolist(), strict=True))
    law = Monomial.of({axis: Fraction(power).limit_denominator(10_000) for axis, power in exponents.items()})
    determined = 1 - residual / total if total else 1.0
    return Answer(
        growth=(law,),
        axes=seen.axes,
        says=" ".join(f"{axis}^{power:.2f}" for axis, power in exponents.items()) + f", R² = {determined:.4f}",
        intervals={a: (p - h, p + h) for (a, p), h in zip(exponents.items(), half[1:].tolist(), strict=True)},
        coefficients={text_of(law): math.exp(fitted[0])},
        quality={"R²": determined},
        accepted=determined > BELIEVED,
        forecast=forecast,
    )


def google_benchmark(sizes: pd.DataFrame, seconds: Array) -> Answer:
    """The class of which a multiple lies nearest to the times, by root mean square; it knows no constant beside it."""
    seen = Timings.of(sizes, seconds)
    picked: dict[str, str] = {}
    errors: dict[str, float] = {}
    for axis in seen.axes:
        size, times = seen.along(axis)
        if len(size) < LEAST_SIZES:
            return Answer((), seen.axes, f"fewer than {LEAST_SIZES} sizes of {axis}")
        laws = {name: values_of(_google(name, axis), {axis: size}, len(size)) for name in GOOGLE_CLASSES}
        found = {name: _error(values, times) for name, values in laws.items()}
        picked[axis] = min(found, key=lambda name: found[name])
        errors[axis] = found[picked[axis]]
    law = math.prod((_google(name, axis) for axis, name in picked.items()), start=Monomial())
    coefficient = _multiple(seen.values(law), seen.seconds)
    return Answer(
        growth=(law,),
        axes=seen.axes,
        says="; ".join(f"{axis}: {name}, RMS {errors[axis]:.0%}" for axis, name in picked.items()),
        coefficients={law.text: coefficient},
        quality={f"RMS along {axis}": error for axis, error in errors.items()},
        forecast=lambda at: (coefficient * law.evaluate(at), math.nan, math.nan),
    )


def _google(name: str, axis: str) -> Monomial:
    power, log = GOOGLE_CLASSES[name]
    return Monomial.of({axis: power}, {axis: log})


def _multiple(values: Array, seconds: Array) -> float:
    return float(np.sum(seconds * values) / np.sum(values**2))


def _error(values: Array, seconds: Array) -> float:
    off = seconds - _multiple(values, seconds) * values
    return float(np.sqrt(np.mean(off**2)) / np.mean(seconds))


def _squares(values: Array) -> float:
    return float(np.sum(values**2))
