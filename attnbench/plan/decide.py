"""From probes to trials: every subject probes, then the clock is shared out, then the trials stand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from attnbench.plan.cost_model import CostModel, Limits, Probe, expected_seconds
from attnbench.plan.window import (
    CALLS_PER_PROBE,
    CALLS_PER_VISIT,
    FLAT,
    LATTICE,
    Window,
    candidates,
    choose_window,
    expected_error,
    lattice,
)
from attnbench.trial import Sizes, Trial, ordered, slug

#: A batch is large enough when the rate is this close to the best one.
_SATURATED = 0.85
#: A probe is repeated when its rate lies below this part of its neighbours' median.
_DIP = 0.93
#: After so many sizes it is asked whether a flat window is among them.
_CHECK_EVERY = 6
#: Share of the probing that is kept for second looks.
_RESERVE = 0.25
#: How often the best window may turn out to be another one.
_REFINEMENTS = 4
#: Sizes whose neighbours all ran below this part of the best rate are not worth the clock.
_PLATEAU = 0.8
#: Steps of the lattice are factors of about two; this separates one step from two.
_ONE_STEP = 1.5
#: Seconds of a visit beyond which another round teaches more than a longer visit.
_LONG_VISIT = 0.2
#: Seconds of a call with the largest batch, where batches are compared.
_LADDER_SECONDS = 0.1
#: Share of a subject's probing that the comparison of batches may take.
_LADDER_SHARE = 0.5

#: Yields sizes to probe; is sent the seconds of a call there, None where it failed.
Probing = Generator[Sizes, float | None, "Probed"]


@dataclass(frozen=True)
class Probed:
    """A subject, what its probes found, and the probing clock they left over."""

    costs: CostModel
    limits: Limits
    batch: tuple[int, ...]
    probes: tuple[Probe, ...]
    left_seconds: float


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and the clock that one visit of it may take."""

    trial: Trial
    visit_seconds: float


@dataclass(frozen=True)
class SubjectPlan:
    """What was decided for one subject.

    Attributes:
        probed: what is known of it.
        window: where its law is read.
        trials: what will be measured.
        skipped: trial id → reason, for those that cannot be run.
        told: why these sizes, where it was not the clock that chose.
    """

    probed: Probed
    window: Window | None
    trials: tuple[PlannedTrial, ...]
    skipped: dict[str, str]
    told: str = ""

    @property
    def costs(self) -> CostModel:
        """What the subject of this plan costs."""
        return self.probed.costs

    def with_visits_of(self, seconds: float) -> SubjectPlan:
        """The same with visits that last at least so long."""
        longer = (replace(planned, visit_seconds=max(planned.visit_seconds, seconds)) for planned in self.trials)
        return replace(self, trials=tuple(longer))

    @property
    def why(self) -> str:
        """Why these sizes, in words."""
        if self.told:
            return self.told
        if self.window is not None:
            return self.window.sentence
        probes = self.probed.probes
        if self.costs.uncounted:
            return f"No window: {self.costs.uncounted}."
        if not probes:
            return (
                "No window: no size keeps the layer's constraints, fits the budget and the memory, "
                "and lets the claimed term carry the work."
            )
        if not any(probe.seconds for probe in probes):
            return f"No window: none of the {len(probes)} probed sizes could be run."
        return (
            f"No window: no box of the {len(probes)} probed sizes fits the budget and the memory, "
            "with the claimed term carrying the work."
        )


def probe(costs: CostModel, limits: Limits) -> Probing:
    """Ask for the probes that a subject needs: none where all sizes are given, or where no count guides the choice."""
    if (not costs.auto and "b" in costs.given) or costs.uncounted:
        return Probed(costs, limits, costs.given.get("b", (1,)), (), limits.probing_seconds)
    ladder: list[Probe] = []
    batch = costs.given.get("b") or (yield from _batch(costs, limits, ladder))
    spent = sum(
        CALLS_PER_PROBE * (probe.seconds or 0.0) + costs.prefill_seconds(probe.sizes, limits.rate) for probe in ladder
    )
    looks = yield from _probe_lattice(costs, limits, batch[0], spent)
    return Probed(costs, limits, batch, (*ladder, *looks.probes), looks.left_seconds)


def share_out(probed: Sequence[Probed], round_seconds: float) -> list[SubjectPlan]:
    """Windows and trials of all subjects, one round of which fits `round_seconds`.

    Everyone chooses a window within an equal share. What is left over then goes to the subject whose window is least
    flat, so that an expensive law is not judged in a bad window while a cheap one idles. What is still left makes the
    shortest visits longer: the moments of a busy machine are long beside a short call.
    """
    share = round_seconds / max(1, len(probed))
    windows = [_window(one, share) for one in probed]
    costs = [window.round_seconds if window else 0.0 for window in windows]
    worst_first = sorted(range(len(probed)), key=lambda i: -(w.unflatness if (w := windows[i]) else float("inf")))
    for i in worst_first:
        if probed[i].costs.auto:
            windows[i] = _window(probed[i], round_seconds - sum(costs) + costs[i]) or windows[i]
            costs[i] = windows[i].round_seconds if windows[i] else 0.0  # type: ignore[union-attr]
    plans = [_plan(one, window) for one, window in zip(probed, windows, strict=True)]
    needs = [p.visit_seconds for plan in plans for p in plan.trials if p.trial.id not in plan.skipped]
    least = min(_LONG_VISIT, level(needs, sum(needs) + round_seconds - sum(costs)))
    return [plan.with_visits_of(least) for plan in plans]


def level(needs: Sequence[float], total: float) -> float:
    """The length that all shorter visits can be given, so that all together last `total`; 0 when there is no room."""
    longest_first = sorted(needs, reverse=True)
    for i, need in enumerate(longest_first):
        shared = (total - sum(longest_first[:i])) / (len(longest_first) - i)
        if shared >= need:
            return shared
    return 0.0


def _window(probed: Probed, round_seconds: float) -> Window | None:
    costs = probed.costs
    if costs.auto and costs.uncounted:
        return None
    if costs.auto:
        return choose_window(costs, probed.probes, probed.batch, probed.limits, round_seconds)
    sizes = {**costs.given, "b": probed.batch}
    window = Window({axis: sizes[axis] for axis in ordered(dict.fromkeys(sizes, 0))})
    fit = [point for point in window.design if not costs.unfit(point, probed.limits.memory_bytes)]
    cost = CALLS_PER_VISIT * sum(expected_seconds(costs, point, probed.probes, probed.limits) for point in fit)
    return Window(window.sizes, round_seconds=cost)


def _plan(probed: Probed, window: Window | None) -> SubjectPlan:
    """Trials with visits as short as they can be."""
    costs, limits = probed.costs, probed.limits
    trials, skipped = [], {}
    for sizes in window.design if window else ():
        trial = Trial(costs.subject, sizes)
        if reason := costs.unfit(trial.sizes, limits.memory_bytes):
            skipped[trial.id] = reason
        seconds = CALLS_PER_VISIT * expected_seconds(costs, trial.sizes, probed.probes, limits)
        trials.append(PlannedTrial(trial, seconds))
    return SubjectPlan(probed, window, tuple(trials), skipped)


class _Looks:
    """Probes of one subject at one batch: what was seen, how often, and what is left of the clock."""

    def __init__(self, costs: CostModel, limits: Limits, spent: float) -> None:
        self._costs, self._limits = costs, limits
        self.left_seconds = limits.probing_seconds - spent
        self._seen: dict[str, Probe] = {}
        self._times: Counter[str] = Counter()

    @property
    def probes(self) -> list[Probe]:
        return list(self._seen.values())

    def window(self, batch: int) -> Window | None:
        return choose_window(self._costs, self.probes, (batch,), self._limits, self._limits.round_seconds / 2)

    def expected_error(self, window: Window) -> float:
        return expected_error(window, self._costs)

    def unsure(self, window: Window | None) -> Generator[Sizes, float | None, bool]:
        """Look again at a window's sizes that were seen less than twice; whether any of them was seen anew."""
        before = self._times.total()
        for sizes in window.design if window else []:
            if self._times[slug(sizes)] < 2:
                yield from self.look(ordered(sizes))
        return self._times.total() > before

    def look(self, sizes: Sizes, reserve: float = 0.0) -> Generator[Sizes, float | None, None]:
        """Probe `sizes` if the clock allows and keeps `reserve`; of several looks the fastest counts."""
        key, costs = slug(sizes), self._costs
        known = [self._seen[key]] if key in self._seen else self.probes
        waiting = costs.building_seconds(sizes) + costs.prefill_seconds(sizes, self._limits.rate)
        expected = CALLS_PER_PROBE * expected_seconds(costs, sizes, known, self._limits)
        if expected + waiting > self.left_seconds - reserve:
            return
        seconds = yield sizes
        before = self._seen[key].seconds if key in self._seen else None
        fastest = min(filter(None, (before, seconds)), default=None)
        self._seen[key] = Probe(sizes, fastest)
        self._times[key] += 1
        self.left_seconds -= CALLS_PER_PROBE * (seconds or 0.0) + waiting


def _probe_lattice(
    costs: CostModel, limits: Limits, batch: int, spent: float
) -> Generator[Sizes, float | None, _Looks]:
    """Probe the lattice, least work first; then look again where the first look may have been unlucky.

    One short look can meet a moment in which the machine did something else. So sizes slower than their neighbours are
    looked at again, and the window that seems best has to stay so when each of its trials has been seen twice.
    """
    looks = _Looks(costs, limits, spent)
    for number, sizes in enumerate(lattice(costs, limits, batch), start=1):
        if not _below_the_plateau(costs, sizes, looks.probes):
            yield from looks.look(sizes, reserve=_RESERVE * limits.probing_seconds)
        if number % _CHECK_EVERY == 0 and (yield from _settled(looks, batch)):
            return looks
    for probe in outpaced(costs, looks.probes):
        yield from looks.look(probe.sizes)
    for _ in range(_REFINEMENTS):
        window = looks.window(batch)
        if not (yield from looks.unsure(window)):
            break
    return looks


def _settled(looks: _Looks, batch: int) -> Generator[Sizes, float | None, bool]:
    """Whether a flat window was found, and stays flat when each of its trials has been seen twice."""
    for _ in range(_REFINEMENTS):
        window = looks.window(batch)
        if window is None or looks.expected_error(window) > FLAT:
            return False
        if not (yield from looks.unsure(window)):
            return True
    return False


def _below_the_plateau(costs: CostModel, sizes: Sizes, probes: Sequence[Probe]) -> bool:
    """Whether the sizes next to these already ran far below the best rate: no flat window begins there."""
    rates = [(p.sizes, costs.work(p.sizes) / p.seconds) for p in probes if p.seconds]
    around = [rate for near, rate in rates if _adjacent(near, sizes)]
    return bool(around) and max(around) < _PLATEAU * max(rate for _, rate in rates)


def outpaced(costs: CostModel, probes: Sequence[Probe]) -> list[Probe]:
    """Probes whose rate lies well below that of the sizes around them."""
    rates = [(probe, costs.work(probe.sizes) / probe.seconds) for probe in probes if probe.seconds]
    found = []
    for probe, rate in rates:
        around = [other for near, other in rates if near is not probe and _adjacent(near.sizes, probe.sizes)]
        if around and rate < _DIP * median(around):
            found.append(probe)
    return found


def _adjacent(one: Sizes, other: Sizes) -> bool:
    """Whether two sizes lie at most one step apart along each axis of the lattice."""
    steps = [abs(math.log2(one[axis] / other[axis])) for axis in one]
    return max(steps) < _ONE_STEP


def _batch(costs: CostModel, limits: Limits, seen: list[Probe]) -> Generator[Sizes, float | None, tuple[int, ...]]:
    """The smallest batch at which the layer runs at nearly its best rate.

    Tried where the weights are largest: there a small batch spends its time on reading them.
    """
    longest = _LADDER_SECONDS / LATTICE["b"][-1]
    points = [sizes for sizes in candidates(costs, limits, 1) if costs.work(sizes) / limits.rate < longest]
    if not points:
        return (1,)
    start = max(points, key=lambda sizes: (costs.building_seconds(sizes), -costs.work(sizes)))
    rates, spent = {1: 0.0}, 0.0
    for sizes in (ordered({**start, "b": batch}) for batch in LATTICE["b"]):
        prefill = costs.prefill_seconds(sizes, limits.rate)
        expected = CALLS_PER_PROBE * expected_seconds(costs, sizes, seen, limits) + prefill
        if costs.unfit(sizes, limits.memory_bytes) or spent + expected > _LADDER_SHARE * limits.probing_seconds:
            break
        seconds = yield sizes
        seen.append(Probe(sizes, seconds))
        spent += CALLS_PER_PROBE * (seconds or 0.0) + prefill
        rates[sizes["b"]] = costs.work(sizes) / seconds if seconds else 0.0
    return (next(batch for batch, rate in rates.items() if rate >= _SATURATED * max(rates.values())),)
