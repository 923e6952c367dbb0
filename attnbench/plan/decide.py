"""From probes to trials: every subject probes, then the clock is shared out, then the trials stand."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from statistics import median

from attnbench.plan.subject import Limits, Probe, Subject, expected_seconds
from attnbench.plan.window import (
    CALLS_PER_PROBE,
    CALLS_PER_VISIT,
    LATTICE,
    Window,
    affordable,
    choose_window,
    lattice,
)
from attnbench.trial import Sizes, Trial, ordered

#: A batch is large enough when the rate is this close to the best one.
_SATURATED = 0.9
#: A probe is repeated when its rate lies below this part of its neighbours' median, at most so many times.
_DIP, _SECOND_LOOKS = 0.93, 3
#: Steps of the lattice are a factor of two, and at most 1.8 for kernel widths; this separates one step from two.
_ONE_STEP = 1.5
#: A visit of this many times its least length learns nothing more that another round would not teach better.
_ENOUGH = 10
#: Seconds of a call with the largest batch, where batches are compared.
_LADDER_SECONDS = 0.1
#: Share of a subject's probing that the comparison of batches may take.
_LADDER_SHARE = 0.5

#: Yields sizes to probe; is sent the seconds of a call there, None where it failed.
Probing = Generator[Sizes, float | None, "Probed"]


@dataclass(frozen=True)
class Probed:
    """A subject and what its probes found."""

    subject: Subject
    limits: Limits
    batch: tuple[int, ...]
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and the clock that one visit of it may take."""

    trial: Trial
    visit_seconds: float


@dataclass(frozen=True)
class SubjectPlan:
    """What was decided for one subject: its window, its trials, and trial id → reason for those that cannot be run."""

    probed: Probed
    window: Window | None
    trials: tuple[PlannedTrial, ...]
    skipped: dict[str, str]

    @property
    def subject(self) -> Subject:
        """Whose plan this is."""
        return self.probed.subject

    @property
    def why(self) -> str:
        """Why these sizes, in words."""
        if self.window is not None:
            return self.window.sentence
        probes = self.probed.probes
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


def probe(subject: Subject, limits: Limits) -> Probing:
    """Ask for the probes that a subject needs; sizes that are all given need none."""
    seen: list[Probe] = []
    if subject.auto or "b" not in subject.given:
        batch = subject.given.get("b") or (yield from _batch(subject, limits, seen))
        yield from _probe_lattice(subject, limits, batch[0], seen)
        return Probed(subject, limits, batch, tuple(seen))
    return Probed(subject, limits, subject.given["b"], ())


def share_out(probed: Sequence[Probed], round_seconds: float) -> list[SubjectPlan]:
    """Windows and trials of all subjects, one round of which fits `round_seconds`.

    Everyone chooses a window within an equal share. What is left over then goes to the subject whose window is least
    flat, so that an expensive law is not judged in a bad window while a cheap one idles.
    """
    share = round_seconds / max(1, len(probed))
    windows = [_window(one, share) for one in probed]
    costs = [window.round_seconds if window else 0.0 for window in windows]
    worst_first = sorted(range(len(probed)), key=lambda i: -(w.unflatness if (w := windows[i]) else float("inf")))
    for i in worst_first:
        if probed[i].subject.auto:
            windows[i] = _window(probed[i], round_seconds - sum(costs) + costs[i]) or windows[i]
            costs[i] = windows[i].round_seconds if windows[i] else 0.0  # type: ignore[union-attr]
    spare = max(0.0, round_seconds - sum(costs)) / max(1, sum(len(w.design) for w in windows if w))
    return [_plan(one, window, spare) for one, window in zip(probed, windows, strict=True)]


def _window(probed: Probed, round_seconds: float) -> Window | None:
    subject = probed.subject
    if subject.auto:
        return choose_window(subject, probed.probes, probed.batch, probed.limits, round_seconds)
    sizes = {**subject.given, "b": probed.batch}
    window = Window({axis: sizes[axis] for axis in ordered(dict.fromkeys(sizes, 0))})
    fit = [point for point in window.design if not subject.unfit(point, probed.limits.memory_bytes)]
    cost = CALLS_PER_VISIT * sum(expected_seconds(subject, point, probed.probes, probed.limits) for point in fit)
    return Window(window.sizes, round_seconds=cost)


def _plan(probed: Probed, window: Window | None, spare: float) -> SubjectPlan:
    subject, limits = probed.subject, probed.limits
    trials, skipped = [], {}
    for sizes in window.design if window else ():
        trial = Trial(subject.layer.name, sizes, subject.choices)
        if reason := subject.unfit(trial.sizes, limits.memory_bytes):
            skipped[trial.id] = reason
        needed = CALLS_PER_VISIT * expected_seconds(subject, trial.sizes, probed.probes, limits)
        trials.append(PlannedTrial(trial, min(needed + spare, _ENOUGH * needed)))
    return SubjectPlan(probed, window, tuple(trials), skipped)


def _probe_lattice(
    subject: Subject, limits: Limits, batch: int, seen: list[Probe]
) -> Generator[Sizes, float | None, None]:
    """Probe what the clock allows, then look again at sizes that were slower than their neighbours."""
    ladder, spent = len(seen), CALLS_PER_PROBE * sum(probe.seconds or 0.0 for probe in seen)
    for sizes in affordable(subject, limits, lattice(subject, limits, batch)):
        if spent + _probe_cost(subject, sizes, seen[ladder:], limits) <= limits.probing_seconds:
            seconds = yield sizes
            seen.append(Probe(sizes, seconds))
            spent += CALLS_PER_PROBE * (seconds or 0.0) + subject.building_seconds(sizes)
    for _ in range(_SECOND_LOOKS):
        for index in outpaced(subject, seen[ladder:]):
            probe = seen[ladder + index]
            cost = _probe_cost(subject, probe.sizes, [probe], limits)
            if probe.seconds and spent + cost <= limits.probing_seconds:
                again = yield probe.sizes
                seen[ladder + index] = Probe(probe.sizes, min(probe.seconds, again or probe.seconds))
                spent += cost


def outpaced(subject: Subject, probes: Sequence[Probe]) -> list[int]:
    """Positions of probes whose rate lies well below that of the sizes around them.

    One short look can meet a moment in which the machine did something else; the rate then dips at one point. A rate
    that really falls, falls together with its neighbours or is seen again.
    """
    rates = {i: subject.work(p.sizes) / p.seconds for i, p in enumerate(probes) if p.seconds}
    found = []
    for i, rate in rates.items():
        around = [rates[j] for j in rates if j != i and _adjacent(probes[i].sizes, probes[j].sizes)]
        if around and rate < _DIP * median(around):
            found.append(i)
    return found


def _adjacent(one: Sizes, other: Sizes) -> bool:
    """Whether two sizes lie at most one step apart along each axis of the lattice."""
    steps = [abs(math.log2(one[axis] / other[axis])) for axis in one]
    return max(steps) < _ONE_STEP


def _probe_cost(subject: Subject, sizes: Sizes, probes: Sequence[Probe], limits: Limits) -> float:
    return CALLS_PER_PROBE * expected_seconds(subject, sizes, probes, limits) + subject.building_seconds(sizes)


def _batch(subject: Subject, limits: Limits, seen: list[Probe]) -> Generator[Sizes, float | None, tuple[int, ...]]:
    """The smallest batch at which the layer runs at nearly its best rate.

    Tried where the weights are largest: there a small batch spends its time on reading them.
    """
    longest = _LADDER_SECONDS / LATTICE["b"][-1]
    points = [sizes for sizes in lattice(subject, limits, 1) if subject.work(sizes) / limits.rate < longest]
    if not points:
        return (1,)
    start = max(points, key=lambda sizes: (subject.building_seconds(sizes), subject.work(sizes)))
    rates, spent = {1: 0.0}, 0.0
    for sizes in (ordered({**start, "b": batch}) for batch in LATTICE["b"]):
        expected = CALLS_PER_PROBE * expected_seconds(subject, sizes, seen, limits)
        if subject.unfit(sizes, limits.memory_bytes) or spent + expected > _LADDER_SHARE * limits.probing_seconds:
            break
        seconds = yield sizes
        seen.append(Probe(sizes, seconds))
        spent += CALLS_PER_PROBE * (seconds or 0.0)
        rates[sizes["b"]] = subject.work(sizes) / seconds if seconds else 0.0
    return (next(batch for batch, rate in rates.items() if rate >= _SATURATED * max(rates.values())),)
