"""Windows in which the growth of memory can be read; counts find them, and no clock is needed.

A peak has no noise, so a window need not be cheap to be visited often. What stands between a measured exponent and the
claimed one is systematic: lower orders, of which the count knows, and what libraries take unseen, of which it does not.
Both weigh less the larger the sizes are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from attnbench.law import LEADING_SHARE
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import PlannedTrial, Probed, SubjectPlan
from attnbench.plan.window import LATTICE, MIXED_SHARE, OTHER_SIZES, Window, boxes_of, claimed_share
from attnbench.trial import Sizes, Trial, ordered, slug
from attnbench.units import nbytes, percent

#: Memory can be read where a clock cannot: a narrow layer takes as many bytes a number as a wide one.
_LATTICE = {**LATTICE, "d": tuple(2**power for power in range(4, 13))}
#: Smaller peaks are not looked for: what libraries take would show beside them.
MIN_BYTES = 2**20
#: What a kernel may take unseen at any size; a copy of the weights comes on top.
_UNSEEN_BYTES = 2**20
#: Between the largest peak and the smallest, so that a growth is seen.
_MIN_SPAN = 12.0
#: Calls that a visit for memory makes, a second for building included.
_CALLS = 3
#: Bytes a second that a call makes anew, where that and not arithmetic sets its pace.
_BYTES_PER_SECOND = 5e8
#: Part of what a trial may take that a chosen one takes.
_PART = 0.5


def plan_memory(costs: CostModel, limits: Limits) -> SubjectPlan:
    """The trials of one subject: sizes as given, or those in which the claim is best read."""
    window = _chosen(costs, limits) if costs.auto else _given(costs)
    skipped, trials = {}, []
    for sizes in window.design if window else ():
        trial = Trial(costs.subject, sizes)
        if reason := costs.unfit(trial.sizes, limits.memory_bytes):
            skipped[trial.id] = reason
        trials.append(PlannedTrial(trial, _seconds(costs, trial.sizes, limits)))
    probed = Probed(costs, limits, costs.given.get("b", (1,)), (), 0.0)
    return SubjectPlan(probed, window, tuple(trials), skipped, _sentence(costs, window))


def _given(costs: CostModel) -> Window:
    return _window(costs, {**costs.given, "b": costs.given.get("b", (1,))})


def _window(costs: CostModel, sizes: Mapping[str, tuple[int, ...]]) -> Window:
    return Window({axis: sizes[axis] for axis in ordered(dict.fromkeys(sizes, 0))})


def _seconds(costs: CostModel, sizes: Sizes, limits: Limits) -> float:
    """What one visit may cost: an estimate from counts, for its patience and for the plan."""
    call = costs.work(sizes) / limits.rate + costs.peak_bytes(sizes) / _BYTES_PER_SECOND
    return _CALLS * call + costs.building_seconds(sizes)


def _chosen(costs: CostModel, limits: Limits) -> Window | None:
    """The box that promises the smallest error of an exponent; None when there is none."""
    if costs.uncounted or costs.counted is None:
        return None
    points = {slug(point): point for point in _candidates(costs, limits)}
    pools = {axis: sorted({point[axis] for point in points.values()}) for axis in costs.auto}
    base = {**costs.given, "b": costs.given.get("b", (1,))}
    windows = (_window(costs, {**base, **box}) for box in boxes_of(pools, costs))
    fitting = [(error, window) for window in windows if (error := _error(costs, window, points, limits)) < math.inf]
    if not fitting:
        return None
    _, best = min(fitting, key=lambda one: one[0])
    return replace(best, share=claimed_share(costs, best.design), candidates=len(fitting))


def _candidates(costs: CostModel, limits: Limits) -> Iterator[Sizes]:
    """Points whose peak is neither small beside what libraries take nor large beside the memory there is."""
    pools = {axis: _LATTICE.get(axis, OTHER_SIZES) for axis in costs.auto}
    sizes = {**costs.given, "b": costs.given.get("b", (1,)), **pools}
    for values in itertools.product(*sizes.values()):
        point = ordered(dict(zip(sizes, values, strict=True)))
        fits = not costs.unfit(point, _PART * limits.memory_bytes) and costs.peak_bytes(point) >= MIN_BYTES
        if fits and _seconds(costs, point, limits) <= limits.round_seconds:
            yield point


def _error(costs: CostModel, window: Window, points: Mapping[str, Sizes], limits: Limits) -> float:
    """What the worst exponent may be off by; infinite for a window in which the claim cannot be read."""
    design = [ordered(sizes) for sizes in window.design]
    if any(slug(sizes) not in points for sizes in design):
        return math.inf
    peaks = [costs.peak_bytes(sizes) for sizes in design]
    share = claimed_share(costs, design)
    if share < (MIXED_SHARE if len(costs.claimed) > 1 else LEADING_SHARE):
        return math.inf
    if max(peaks) < _MIN_SPAN * min(peaks) or sum(_seconds(costs, s, limits) for s in design) > limits.round_seconds:
        return math.inf
    unseen = max((_UNSEEN_BYTES + costs.weight_bytes(s)) / peak for s, peak in zip(design, peaks, strict=True))
    lacking = 0.0 if math.isnan(share) else 1 - share
    lengths = [math.log(values[-1] / values[0]) for axis, values in window.sizes.items() if axis in costs.auto]
    return (lacking + unseen) / min(lengths)


def _sentence(costs: CostModel, window: Window | None) -> str:
    """Why these sizes, in words."""
    if window is None:
        why = costs.uncounted or ("" if costs.counted else "its peak has no counted formula to choose sizes by")
        told = "no box of sizes lets the claimed term carry the bytes, fits memory and budget, and grows far enough"
        return f"No window: {why or told}."
    if not window.candidates:
        return window.sentence
    span = ", ".join(f"{axis} {v[0]}–{v[-1]}" if len(v) > 1 else f"{axis} = {v[0]}" for axis, v in window.sizes.items())
    peaks = sorted(costs.peak_bytes(ordered(sizes)) for sizes in window.design)
    term = "term" if len(costs.claimed) == 1 else "terms"
    carried = "" if math.isnan(window.share) else f"; the claimed {term} carry at least {percent(window.share)} of it"
    carried = carried.replace("term carry", "term carries")
    return (
        f"{span}: the best of {window.candidates} windows, for its counted peak of {nbytes(peaks[0])} to "
        f"{nbytes(peaks[-1])}{carried}."
    )
