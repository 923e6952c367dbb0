"""Probabilities and quantiles of the distributions that fits rest on, by SciPy's special functions.

`scipy.stats` says the same to the last bit, but takes as long to import as pandas, and a hundred times as long for each
call. Where numbers are taken, arrays are too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

Array = np.ndarray[Any, np.dtype[np.float64]]


def student_below(bound: Any, degrees_of_freedom: Any) -> Any:
    """Probability that Student's t is smaller than `bound`."""
    return special.stdtr(degrees_of_freedom, bound)


def student_beyond(bound: Any, degrees_of_freedom: Any) -> Any:
    """Probability that Student's t is larger than `bound`."""
    return special.stdtr(degrees_of_freedom, -bound)


def student_quantile(share: Any, degrees_of_freedom: Any) -> Any:
    """What Student's t is smaller than with probability `share`."""
    return special.stdtrit(degrees_of_freedom, share)


def normal_below(bound: Any) -> Any:
    """Probability that a standard normal number is smaller than `bound`."""
    return special.ndtr(bound)


def normal_quantile(share: Any) -> Any:
    """What a standard normal number is smaller than with probability `share`."""
    return special.ndtri(share)


def chi_squared_quantile(share: float, degrees_of_freedom: float) -> float:
    """What χ² is smaller than with probability `share`."""
    return 2 * float(special.gammaincinv(degrees_of_freedom / 2, share))


def f_beyond(bound: float, above: float, below: float) -> float:
    """Probability that F is larger than `bound`; degrees of freedom of the variances above and below the line."""
    return float(special.fdtrc(above, below, bound))


def f_quantile(share: float, above: float, below: float) -> float:
    """What F is smaller than with probability `share`; degrees of freedom as for `f_beyond`."""
    return float(special.fdtri(above, below, share))


def false_discovery(chances: Sequence[float] | Array) -> Array:
    """Chances corrected for their number, so that below a share no more than that share is expected to be false.

    Benjamini and Hochberg, JRSS B 57 (1995): the k-th smallest of m, times m/k, and never more than the next larger.
    """
    order = np.argsort(chances, kind="stable")
    count = len(order)
    scaled = np.asarray(chances, dtype=float)[order] * (count / np.arange(1, count + 1))
    corrected = np.empty(count)
    corrected[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(0, 1)
    return corrected
