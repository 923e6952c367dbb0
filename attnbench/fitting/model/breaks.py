"""Changes of regime: where a machine stops doing the same work at the same rate.

A sum of costs is convex in log-log coordinates, so a jump in the rate, or a curve that bends downwards, cannot come
from an algorithm: a cache has become too small, threads or another kernel have set in, the clock has changed. A jump is
looked for at every threshold of every size, of their products and of the value itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attnbench.fitting import distributions
from attnbench.fitting.model.curve import FittedCurve
from attnbench.fitting.model.observations import Array, Mask, Observations
from attnbench.units import significant

#: How likely a change of regime is before anything was measured.
_PRIOR = 0.1
#: Each side of a break keeps at least this share of the configurations, and at least two.
_MIN_SIDE = 0.15
#: Thresholds tried along one measure of size.
_MAX_THRESHOLDS = 40
#: Breaks followed up, and the weight below which a model is left out.
_MAX_BREAKS = 6
_MIN_WEIGHT = 0.02
#: A curve is concave along an axis when chance would make it so in fewer than this share of cases.
_CONCAVE = 0.01
#: And when its slope falls by this much over the window.
_MIN_FALL = 0.15
#: Values this near to a curve lie on it, relative.
_EXACT = 1e-12


@dataclass(frozen=True)
class Break:
    """A threshold: `beyond` says which configurations lie past it, `where` says it in words."""

    where: str
    beyond: Mask


def breaks_of(observed: Observations) -> list[Break]:
    """Every split of the configurations that a threshold can make, each once."""
    seen: dict[bytes, Break] = {}
    least = max(2, math.ceil(_MIN_SIDE * len(observed.sizes)))
    for name, measure in _measures(observed):
        levels = np.unique(np.round(measure, 9))
        cuts = (levels[1:] + levels[:-1]) / 2
        if len(cuts) > _MAX_THRESHOLDS:
            cuts = np.quantile(cuts, np.linspace(0, 1, _MAX_THRESHOLDS))
        for cut in cuts:
            beyond = measure > cut
            if least <= beyond.sum() <= len(beyond) - least:
                seen.setdefault(beyond.tobytes(), Break(f"{name} = {significant(math.exp(cut))}", beyond))
    return list(seen.values())


def _measures(observed: Observations) -> Iterator[tuple[str, Array]]:
    """What a threshold may be about: sizes first, so that a split is named by them where it can be."""
    for count in range(1, len(observed.axes) + 1):
        for chosen in itertools.combinations(range(len(observed.axes)), count):
            yield "·".join(observed.axes[i] for i in chosen), observed.raw_logs[:, list(chosen)].sum(axis=1)
    yield "value", np.log(observed.values)


def likely_breaks(curve: FittedCurve) -> list[tuple[Break, float]]:
    """Breaks with their probabilities; what is missing to 1 is the probability that there is none.

    Each is weighed by the Bayesian information criterion of the linearised fit with a factor past the threshold.
    """
    count, degrees_of_freedom = len(curve.residuals), curve.degrees_of_freedom - 1
    possible = breaks_of(curve.observed) if degrees_of_freedom >= 2 else []
    if (
        not possible or curve.residual_sum < count * _EXACT**2
    ):  # what is left is rounding, and no noise to weigh a jump by
        return []
    basis, _ = np.linalg.qr(curve.jacobian)
    columns = np.column_stack([b.beyond for b in possible]) * curve.growing[:, None]
    columns = columns - basis @ (basis.T @ columns)
    lengths = np.maximum(np.square(columns).sum(axis=0), 1e-12)
    explained = np.square(columns.T @ curve.residuals) / lengths
    explained[lengths < 1e-6 * count] = 0.0  # as good as a combination of the other parameters
    left = np.maximum(curve.residual_sum - explained, 1e-12 * curve.residual_sum + 1e-300)
    # One parameter more costs log(count); on few configurations the t distribution has wide tails, so does this.
    whole, left = (residual_sum + count * curve.observed.tolerance**2 for residual_sum in (curve.residual_sum, left))
    evidence = 0.5 * count * np.log(whole / left) * degrees_of_freedom / count - 0.5 * math.log(count)
    logs = np.append(evidence + math.log(_PRIOR / len(possible)), math.log(1 - _PRIOR))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    order = np.argsort(-weights[:-1])[:_MAX_BREAKS]
    return [(possible[i], float(weights[i])) for i in order if weights[i] > _MIN_WEIGHT]


def concave_axes(curve: FittedCurve) -> list[tuple[str, float]]:
    """Axes along which the logarithms bend downwards, with the fall of the slope over the window."""
    logs, count = curve.observed.logs, len(curve.residuals)
    axes = logs.shape[1]
    levels = [len(np.unique(column)) for column in logs.T]
    pairs = list(itertools.combinations(range(axes), 2))
    squared = [i for i in range(axes) if levels[i] >= 3]
    matrix = np.column_stack(
        [
            np.ones(count),
            logs,
            curve.breaks,
            *(logs[:, i] ** 2 for i in squared),
            *(logs[:, i] * logs[:, j] for i, j in pairs),
        ]
    )
    degrees_of_freedom = count - matrix.shape[1]
    if not squared or degrees_of_freedom < 2:
        return []
    targets = np.log(curve.observed.values)
    solution, *_ = np.linalg.lstsq(matrix, targets, rcond=None)
    variance = max(
        float(np.square(targets - matrix @ solution).sum()) / degrees_of_freedom, curve.observed.tolerance**2
    )
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(matrix.T @ matrix)))
    falls = []
    for position, axis in enumerate(squared, start=1 + axes + curve.breaks.shape[1]):
        fall = -2 * solution[position] * float(np.ptp(logs[:, axis]))
        steepness = solution[position] / max(errors[position], 1e-300)
        chance = distributions.student_below(steepness, degrees_of_freedom) * len(squared)
        if chance < _CONCAVE and fall > _MIN_FALL:
            falls.append((curve.observed.axes[axis], float(fall)))
    return falls
