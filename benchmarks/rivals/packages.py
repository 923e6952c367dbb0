"""big_O and Extra-P, as installed; both are imported only when they are asked."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from attnbench.formula import Monomial

from .answer import LEAST_SIZES, Answer, Timings, leading_of, text_of

if TYPE_CHECKING:
    import pandas as pd

    from .answer import Array

    #: Sizes and seconds of a series → what big_O says, and the coefficients of the class it picked.
    Infer = Callable[[Array, Array], tuple[str, tuple[float, ...]]]

#: Its classes of fixed exponents, by name: power, and power of the logarithm.
BIG_O_CLASSES = {
    "Constant": (0, 0),
    "Logarithmic": (0, 1),
    "Linear": (1, 0),
    "Linearithmic": (1, 1),
    "Quadratic": (2, 0),
    "Cubic": (3, 0),
}


def big_o(sizes: pd.DataFrame, seconds: Array) -> Answer:
    """The choice of big_O among all its classes, from times in seconds, as it takes them itself."""
    return read_big_o(sizes, seconds, _infer)


def big_o_rescaled(sizes: pd.DataFrame, seconds: Array) -> Answer:
    """The same from times divided by their mean, so that its bias for simple classes, 1e-6 seconds², is a small one."""
    return read_big_o(sizes, seconds, lambda size, times: _infer(size, times / times.mean()))


def _infer(size: Array, times: Array) -> tuple[str, tuple[float, ...]]:
    from big_o import infer_big_o_class

    best, _ = infer_big_o_class(size, times)
    return str(best), tuple(float(number) for number in best.coefficients())


def read_big_o(sizes: pd.DataFrame, seconds: Array, infer: Infer) -> Answer:
    """An answer out of what `infer` says about each axis alone."""
    seen = Timings.of(sizes, seconds)
    said: dict[str, str] = {}
    classes: dict[str, Monomial | None] = {}
    for axis in seen.axes:
        size, times = seen.along(axis)
        if len(size) < LEAST_SIZES:
            return Answer((), seen.axes, f"fewer than {LEAST_SIZES} sizes of {axis}")
        said[axis], coefficients = infer(size, times)
        classes[axis] = big_o_class(said[axis], coefficients, axis)
    says = "; ".join(f"{axis}: {text}" for axis, text in said.items())
    chosen = [monomial for monomial in classes.values() if monomial is not None]
    if len(chosen) < len(classes):
        return Answer((), seen.axes, says)
    law = math.prod(chosen, start=Monomial())
    free = any(text.startswith("Polynomial") for text in said.values())
    constant, slope = _coefficients(seen.values(law), seen.seconds, free=free)
    return Answer(
        growth=(law,),
        axes=seen.axes,
        says=says,
        coefficients={**({"1": constant} if constant else {}), text_of(law): slope},
        forecast=lambda at: (constant + slope * law.evaluate(at), math.nan, math.nan),
    )


def big_o_class(text: str, coefficients: tuple[float, ...], axis: str) -> Monomial | None:
    """What ``Quadratic: time = -1.2E-05 + 4E-09*n^2 (sec)`` says about growth; None for an exponential."""
    name = text.partition(":")[0]
    if name == "Polynomial":  # a factor and a power, of which the text shows but two digits
        return Monomial.of({axis: Fraction(coefficients[1]).limit_denominator(10_000)})
    if name not in BIG_O_CLASSES:
        return None
    power, log = BIG_O_CLASSES[name]
    return Monomial.of({axis: power}, {axis: log})


def _coefficients(values: Array, seconds: Array, *, free: bool) -> tuple[float, float]:
    """Constant and slope, fitted as its classes are: a free power in logarithms and without a constant."""
    if free:
        return 0.0, float(np.exp(np.mean(np.log(seconds / values))))
    if np.ptp(values) == 0:
        return 0.0, float(seconds.mean())
    slope, constant = np.polyfit(values, seconds, 1)
    return float(constant), float(slope)


def extra_p(sizes: pd.DataFrame, seconds: Array) -> Answer:
    """The model that Extra-P's modeler for one or for several parameters selects, with all its defaults."""
    seen = Timings.of(sizes, seconds)
    if len(seen.seconds) < LEAST_SIZES:
        return Answer((), seen.axes, f"fewer than {LEAST_SIZES} configurations")
    with warnings.catch_warnings():
        # It uses a deprecated interface of marshmallow, and advises against fewer than five sizes.
        warnings.simplefilter("ignore")
        one, several, measurement, coordinate = _extra_p_classes()
        points = [
            measurement(coordinate(*row), None, None, [value])
            for row, value in zip(seen.sizes.tolist(), seen.seconds.tolist(), strict=True)
        ]
        try:
            found = (one() if len(seen.axes) == 1 else several()).create_model(points).hypothesis
        except ZeroDivisionError:  # in its adjusted R², where there are as many coefficients as points
            return Answer((), seen.axes, "too few configurations")
    quality = {"adjusted R²": float(found.AR2), "SMAPE in %": float(found.SMAPE)}
    return read_extra_p(found.function.to_string(*seen.axes), seen.axes, quality)


@cache
def _extra_p_classes() -> tuple[Any, Any, Any, Any]:
    from extrap.entities.coordinate import Coordinate
    from extrap.entities.measurement import Measurement
    from extrap.modelers.multi_parameter.multi_parameter_modeler import MultiParameterModeler
    from extrap.modelers.single_parameter.basic import SingleParameterModeler

    return SingleParameterModeler, MultiParameterModeler, Measurement, Coordinate


def read_extra_p(text: str, axes: tuple[str, ...], quality: Mapping[str, float]) -> Answer:
    """An answer out of a function as Extra-P prints it: ``0.0004 + 1.2e-10 * n^(4/3) * d^(5/3)``."""
    terms: dict[Monomial, float] = {}
    for part in text.split(" + "):
        coefficient, monomial = _extra_p_term(part)
        terms[monomial] = terms.get(monomial, 0.0) + coefficient
    return Answer(
        growth=leading_of(terms),
        axes=axes,
        says=", ".join([text, *(f"{name} {value:.4g}" for name, value in quality.items())]),
        coefficients={monomial.text: coefficient for monomial, coefficient in terms.items()},
        quality=dict(quality),
        forecast=lambda at: (sum(c * monomial.evaluate(at) for monomial, c in terms.items()), math.nan, math.nan),
    )


def _extra_p_term(text: str) -> tuple[float, Monomial]:
    coefficient = 1.0
    powers: dict[str, Fraction | int] = {}
    logs: dict[str, int] = {}
    for factor in text.split(" * "):
        if logarithm := re.fullmatch(r"log2\((\w+)\)\^\((\d+)\)", factor):
            logs[logarithm[1]] = int(logarithm[2])
        elif power := re.fullmatch(r"(\w+)\^\(([\d/]+)\)", factor):
            powers[power[1]] = Fraction(power[2])
        else:
            coefficient = float(factor)
    return coefficient, Monomial.of(powers, logs)


def can_import_big_o() -> bool:
    """Whether big_O is there."""
    try:
        import big_o  # noqa: F401
    except ImportError:
        return False
    return True


def can_import_extra_p() -> bool:
    """Whether Extra-P's modelers are there; the release 0.0.1 has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _extra_p_classes()
    except ImportError:
        return False
    return True
