"""Everything before the first round: count, probe, decide.

order → counted laws → floors and probes → windows and trials
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from attnbench.counting.laws import Reach
from attnbench.errors import LayerError, SuiteError, UnsupportedError
from attnbench.execute.counting import Pictures, count_all, count_trials, paths_all, pictures_of, reach_all
from attnbench.execute.process import Process, compile_folder
from attnbench.execute.rounds import answer_probes, floor_seconds
from attnbench.formula import Formula
from attnbench.law import COUNTED_METRICS, PREFILL_METRICS, Law, Verdict, unique_laws
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.measure.machine.host import available_bytes, last_cache_bytes
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import Probed, SubjectPlan, probe, share_out
from attnbench.plan.memory import plan_memory
from attnbench.plan.window import PLANNED_ROUNDS, tiny
from attnbench.record import MEASURED_METRICS, Counted, PathMap, Peaks
from attnbench.session.judge import claimed
from attnbench.session.reporter import Show
from attnbench.session.request import Order
from attnbench.spec import AxisValues
from attnbench.trial import Choices, Subject, Trial

#: Counted metrics without which no plan can be made and no time judged.
_NEEDED_TO_PLAN = ("flops", "parameters", "peak_bytes")
#: Share of the budget that probing may take when sizes are automatic.
_PROBING_SHARE = 0.22
#: Share of the budget that measuring what the machine does at best may take, all its dtypes and threads together ...
_PEAKS_SHARE = 0.05
#: ... and seconds after which more time finds no better rate.
_PEAKS_SECONDS = 2.0
#: Share of the available memory that a trial's counted peak may take.
_MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first round."""

    order: Order
    counted_laws: tuple[Law, ...]
    subjects: tuple[SubjectPlan, ...]
    overhead_seconds: float = 0.0
    probing_seconds: float = 0.0
    floors: dict[str, float] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)
    reach: dict[str, Reach] = field(default_factory=dict)
    paths: dict[str, PathMap] = field(default_factory=dict)
    unsupported: dict[Trial, str] = field(default_factory=dict)
    pictures: Pictures = field(default_factory=Pictures)
    peaks: tuple[Peaks, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Suite, counted laws, windows and trials, for ``--dry-run --json``."""
        trials = [
            {
                "trial": p.trial.id,
                **p.trial.sizes,
                "visit_seconds": p.visit_seconds,
                "skipped": s.skipped.get(p.trial.id),
            }
            for s in self.subjects
            for p in s.trials
        ]
        refused = [{"trial": trial.id, **trial.sizes, "unsupported": why} for trial, why in self.unsupported.items()]
        return {
            "suite": self.order.suite.as_json(),
            "laws": [law.as_json() for law in self.shown_laws],
            "windows": self.windows,
            "trials": trials + refused,
        }

    @property
    def shown_laws(self) -> tuple[Law, ...]:
        """Laws of the counted metrics that the suite asks for; planning and judging need the others too."""
        return unique_laws(law for law in self.counted_laws if law.metric in self.order.suite.metrics)

    @property
    def windows(self) -> dict[str, str]:
        """Layer and choices, as in trial ids → why these sizes; a layer in several sweeps has several sentences."""
        found: dict[str, list[str]] = {}
        for s in self.subjects:
            found.setdefault(s.costs.subject.id, []).append(s.why)
        return {subject: " ".join(dict.fromkeys(sentences)) for subject, sentences in found.items()}

    @property
    def skipped(self) -> dict[str, str]:
        """Trial id → why it will not be measured."""
        return {trial: reason for subject in self.subjects for trial, reason in subject.skipped.items()}


def make_plan(asked: Order, show: Show) -> Plan:
    """Count, probe and decide; writes nothing.

    Raises:
        AttnbenchError: no layer can be counted, or no measuring process can be started.
    """
    show.stage("counting on fake tensors")
    suite = asked.suite
    laws, refused = _count_all(asked, show)
    subjects, unsupported = list(_subjects(asked, laws, refused)), dict(_unsupported(asked, refused))
    _something_left(asked, laws, unsupported)
    flat = tuple(law for found in laws.values() for law in found)
    names = [name for name in asked.layers if not any(one.layer == name for one in refused)]
    reach, paths = _far(asked, names)
    pictures = pictures_of(asked.registry, names, suite.pictures)
    plan = Plan(asked, flat, (), reach=reach, paths=paths, unsupported=unsupported, pictures=pictures)
    if not set(suite.metrics) & set(MEASURED_METRICS):
        return plan
    if "time" not in suite.metrics:
        show.stage("choosing sizes by their counted bytes")
        plans = tuple(_each_once(_weigh_all(asked, subjects)))
        counted = _counts(asked, laws, refused, [trial.trial for plan in plans for trial in plan.trials])
        return replace(plan, subjects=plans, counted=counted)
    show.stage("calibrating: short probes to find where each law can be read")
    pilot = _probe_all(asked, subjects, unsupported, show)
    _something_left(asked, pilot.probed, unsupported)
    spent = pilot.peaks_seconds + sum(one.limits.probing_seconds - one.left_seconds for one in pilot.probed)
    plans = tuple(_each_once(share_out(pilot.probed, max(suite.budget - spent, 0.0) / PLANNED_ROUNDS)))
    counted = _counts(asked, laws, refused, [trial.trial for plan in plans for trial in plan.trials])
    return replace(
        plan,
        subjects=plans,
        overhead_seconds=pilot.overhead_seconds,
        probing_seconds=spent,
        floors=pilot.floors,
        counted=counted,
        peaks=tuple(pilot.peaks),
    )


def _far(asked: Order, names: Sequence[str]) -> tuple[dict[str, Reach], dict[str, PathMap]]:
    """Effective reach and path lengths between all positions, where the suite counts hops."""
    if "hops" not in asked.suite.metrics:
        return {}, {}
    return reach_all(asked.registry, names), paths_all(asked.registry, names)


def _count_all(asked: Order, show: Show) -> tuple[dict[Subject, list[Law]], dict[Subject, str]]:
    """Counted laws of every layer under every choice, those asked for and those needed to plan; and refusals.

    A layer whose forward pass cannot be counted has laws that say so; another mode that cannot be has none.

    Raises:
        LayerError: nothing can be counted.
    """
    metrics = [metric for metric in COUNTED_METRICS if metric in {*asked.suite.metrics, *_NEEDED_TO_PLAN}]
    metrics += PREFILL_METRICS if "time" in asked.suite.metrics else ()
    every = itertools.product(asked.layers.values(), asked.suite.choices)
    wanted = [
        *dict.fromkeys(
            Subject(layer.name, choices).count_key for layer, choices in every if choices.mode in layer.modes
        )
    ]
    laws, refused, begun = dict[Subject, list[Law]](), dict[Subject, LayerError](), itertools.count()

    def told(layer: str) -> None:
        show.counting(layer, next(begun), len(wanted))

    for one, found in count_all(asked.registry, wanted, metrics, told).items():
        if not isinstance(found, LayerError):
            laws[one] = found
            continue
        refused[one] = found
        if one.choices.mode == "forward":
            laws[one] = _unlawful(asked.layers[one.layer], one.choices, metrics, found)
    if laws and len(refused) == len(wanted):
        raise next(iter(refused.values()))
    return laws, {one: str(error) for one, error in refused.items()}


def _unlawful(layer: Layer, choices: Choices, metrics: Sequence[str], why: LayerError) -> list[Law]:
    """The rows of a layer that cannot be counted."""
    claims, subject = layer.claims.given, Subject(layer.name, replace(choices, device=""))
    return [
        Law(subject, metric, Verdict.INCONCLUSIVE, str(why), claim=claims.get(metric), scope=layer.scope)
        for metric in metrics
    ]


def _unsupported(asked: Order, refused: Mapping[Subject, str]) -> Iterator[tuple[Trial, str]]:
    """One trial, and why it cannot be run, for each layer and choice that cannot."""
    for sweep, choices in itertools.product(asked.suite.sweeps, asked.suite.choices):
        for name in sweep.layers:
            layer = asked.registry.get(name)
            if choices.mode not in layer.modes:
                why = f"layer {name!r} has no mode {choices.mode}, only {' and '.join(layer.modes)}"
                yield _stand_in(layer, sweep.axes, choices), why
            elif choices.mode != "forward" and (why := refused.get(Subject(name, choices).count_key, "")):
                yield _stand_in(layer, sweep.axes, choices), why


def _stand_in(layer: Layer, axes: Mapping[str, AxisValues], choices: Choices) -> Trial:
    """The row of a layer that cannot be run at any size: the first sizes that were asked for, and usual ones."""
    usual = {axis: default or DEFAULT_SIZES.get(axis, 1) for axis, default in layer.axes.items()}
    given = {axis: values[0] for axis, values in axes.items() if axis in usual and not isinstance(values, str)}
    return Trial(Subject(layer.name, choices), usual | given)


def _something_left(asked: Order, left: Collection[Any], unsupported: Mapping[Trial, str]) -> None:
    if not left and unsupported:
        trial, why = next(iter(unsupported.items()))
        more = f", and {len(unsupported) - 1} more" if len(unsupported) > 1 else ""
        raise SuiteError(f"nothing of suite {asked.suite.name} can be run here: {trial.choices.slug}: {why}{more}")


def _each_once(plans: Sequence[SubjectPlan]) -> Iterator[SubjectPlan]:
    """Sweeps of one layer may overlap: a trial belongs to the first that asks for it."""
    seen: set[str] = set()
    for plan in plans:
        trials = {planned.trial.id: planned for planned in reversed(plan.trials) if planned.trial.id not in seen}
        kept = tuple(reversed(trials.values()))
        skipped = {trial: reason for trial, reason in plan.skipped.items() if trial not in seen}
        seen.update(trials)
        yield replace(plan, trials=kept, skipped=skipped)


def _subjects(
    asked: Order, laws: Mapping[Subject, Sequence[Law]], refused: Mapping[Subject, str]
) -> Iterator[CostModel]:
    """What can be measured, as far as the count can tell; where time is asked for, sizes are chosen for it."""
    metric = "time" if "time" in asked.suite.metrics else "memory"
    for choices, sweep in itertools.product(asked.suite.choices, asked.suite.sweeps):
        for name in sweep.layers:
            key = Subject(name, choices).count_key
            if (counted := laws.get(key)) is None:
                continue
            layer = asked.registry.get(name)
            claim = claimed(layer.claims.given, metric, choices.mode)
            yield CostModel(
                layer,
                choices,
                {axis: values for axis, values in sweep.axes.items() if axis in layer.axes},
                {law.metric: Formula(law.formula) for law in counted if law.formula},
                Formula(claim) if claim else None,
                refused.get(key, ""),
                metric,
            )


@dataclass
class _Pilot:
    """What was seen before anything was decided: probes of each subject, floors by subject, and the clock's cost.

    What the machine does at best joins them, and the seconds that measuring it took.
    """

    probed: list[Probed] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    overhead_seconds: float = 0.0
    peaks: list[Peaks] = field(default_factory=list)
    peaks_seconds: float = 0.0


def _probe_all(asked: Order, subjects: Sequence[CostModel], unsupported: dict[Trial, str], show: Show) -> _Pilot:
    """Probe one subject after the other; what one leaves over goes to those after it.

    A subject that cannot be run here joins the `unsupported`.
    """
    budget = asked.suite.budget
    left, pilot = _PROBING_SHARE * budget, _Pilot()
    every = dict.fromkeys(choices for s in subjects for choices in (s.choices, replace(s.choices, compile=False)))
    with compile_folder(every) as folder, contextlib.ExitStack() as stack:
        setups = {choices: asked.setup.under(choices, folder) for choices in every}
        processes = {setup: stack.enter_context(Process(setup)) for setup in dict.fromkeys(setups.values())}
        for number, costs in enumerate(subjects):
            share, device = left / (len(subjects) - number), costs.choices.device
            process = processes[setups[replace(costs.choices, compile=False)]]
            limits = Limits(
                probing_seconds=share,
                round_seconds=2 * budget / len(subjects) / PLANNED_ROUNDS,  # a share, and what others leave
                memory_bytes=_MEMORY_SHARE * available_bytes(device),
                rate=process.rate(device),
                cache_bytes=last_cache_bytes() if device == "cpu" else math.inf,
            )
            try:
                pilot.floors |= _floor(processes[setups[costs.choices]], costs)
                pilot.probed.append(_probe_one(process, costs, limits, pilot.probed, show))
                left -= share - max(pilot.probed[-1].left_seconds, 0.0)
            except UnsupportedError as error:
                unsupported[_stand_in(costs.layer, costs.axes, costs.choices)] = str(error)
        _measure_peaks(pilot, {choices: processes[setup] for choices, setup in setups.items()}, budget)
        pilot.overhead_seconds = max((process.overhead_seconds for process in processes.values()), default=0.0)
    return pilot


def _measure_peaks(pilot: _Pilot, processes: Mapping[Choices, Process], budget: float) -> None:
    """What the machine does at best under the choices that were probed; last, so that no probe finds it warmed up."""
    probed = (replace(one.costs.choices, compile=False) for one in pilot.probed)
    settings = {(one.device, one.dtype, one.threads): processes[one] for one in probed}
    for (device, dtype, _), process in settings.items():
        found, took = process.peaks(device, dtype, min(_PEAKS_SECONDS, _PEAKS_SHARE * budget / len(settings)))
        pilot.peaks.append(found)
        pilot.peaks_seconds += took


def _weigh_all(asked: Order, subjects: Sequence[CostModel]) -> list[SubjectPlan]:
    """Windows for memory; the budget bounds what calls may cost by estimate, and no clock runs."""
    with Process(asked.setup) as process:
        rates = {device: process.rate(device) for device in asked.suite.devices}
    return [
        plan_memory(
            subject,
            Limits(
                probing_seconds=0.0,
                round_seconds=asked.suite.budget / len(subjects),
                memory_bytes=_MEMORY_SHARE * available_bytes(subject.choices.device),
                rate=rates[subject.choices.device],
            ),
        )
        for subject in subjects
    ]


def _floor(process: Process, costs: CostModel) -> dict[str, float]:
    """What a call of a layer costs where it does next to nothing.

    Raises:
        UnsupportedError: it cannot be run under its choices.
    """
    sizes = None if costs.uncounted else tiny(costs)
    seconds = floor_seconds(process, Trial(costs.subject, sizes)) if sizes else None
    return {} if seconds is None else {costs.subject.id: seconds}


def _probe_one(process: Process, costs: CostModel, limits: Limits, earlier: Sequence[Probed], show: Show) -> Probed:
    """Probes of a layer as it is written, also where it is to be compiled: that would compile it for every probe."""
    plain = replace(costs.choices, compile=False)
    for one in earlier:
        alike = one.costs.layer is costs.layer and one.costs.axes == costs.axes
        if alike and replace(one.costs.choices, compile=False) == plain:
            return replace(one, costs=costs, limits=limits, left_seconds=limits.probing_seconds)
    probes = answer_probes(process, probe(costs, limits), Subject(costs.layer.name, plain))
    while True:
        try:
            show.probing(next(probes))
        except StopIteration as stop:
            probed: Probed = stop.value
            return probed


def _counts(
    asked: Order, laws: Mapping[Subject, Sequence[Law]], refused: Mapping[Subject, str], trials: Sequence[Trial]
) -> dict[str, Counted]:
    layers = asked.layers
    possible = [
        trial
        for trial in trials
        if trial.subject.count_key not in refused and not layers[trial.layer].broken_constraint(trial.sizes)
    ]
    return count_trials(asked.registry, possible, laws)
