"""Samples of one trial → the numbers of its row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: Labels by Tukey's fences, 1.5 and 3 interquartile ranges beyond the quartiles. Labelled, never dropped.
TUKEY_LABELS = ("", "mild", "severe")


def summarise(visits: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Location for laws, and the median of all samples with its 90 % order-statistic interval.

    Delays only ever add to a running time, so a visit is best witnessed by its fastest sample (Chen & Revels, HPEC
    2016). Samples of one visit share a process and a moment, and are no independent witnesses: the location is the
    median over visits (of logarithms, as noise is relative), and the interval of the median of all samples, which is
    what a user waits for, is taken over the medians of the visits.
    """
    seconds = [sample for visit in visits for sample in visit]
    if not seconds:
        return dict.fromkeys(("seconds", "seconds_low", "seconds_high", "seconds_median"), None) | {"samples": 0}
    middle = float(np.median(seconds))
    medians = [float(np.median(visit)) for visit in visits if len(visit)]
    fastest = [max(min(visit), np.finfo(float).tiny) for visit in visits if len(visit)]
    low, high = median_interval(medians)
    return {
        "seconds": float(np.exp(np.median(np.log(fastest)))),
        "seconds_low": min(low, middle),
        "seconds_high": max(high, middle),
        "seconds_median": middle,
        "samples": len(seconds),
    }


def median_interval(values: Sequence[float], level: float = 0.9) -> tuple[float, float]:
    """The innermost pair of values, equally far from both ends, that covers the median with probability `level`.

    The values at rank r and count-r+1, counted from 1, miss it with probability 2 P(X < r), X binomial with p = 1/2
    (Le Boudec, 2010, theorem 2.1). Fewer than five values cannot reach 90 %: their whole range is returned.
    """
    ordered = sorted(values)
    rank = _rank(len(ordered), level)
    return ordered[rank - 1], ordered[-rank]


@cache
def _rank(count: int, level: float) -> int:
    """The least r, from 1, for which r heads or fewer of `count` fair coins have a chance of (1 - level)/2."""
    ways = itertools.accumulate(math.comb(count, heads) for heads in range(count + 1))
    return max(1, next(heads for heads, so_far in enumerate(ways) if so_far / 2**count >= (1 - level) / 2))


def tukey_labels(values: Floats) -> Labels:
    """Index into `TUKEY_LABELS` for each value."""
    return fence_labels(values, *np.quantile(values, [0.25, 0.75]))


def fence_labels(values: Floats, first: Floats | float, third: Floats | float) -> Labels:
    """Index into `TUKEY_LABELS` for each value, whose sample has these quartiles."""
    spread = third - first
    beyond = np.maximum(first - values, values - third)
    labels: Labels = np.add(beyond > 1.5 * spread, beyond > 3 * spread, dtype=np.int64)
    return labels
