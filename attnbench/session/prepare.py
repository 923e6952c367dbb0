"""Everything before the first round: count, probe, decide.

request → counted laws → floors and probes → windows and trials
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from attnbench.errors import LayerError, SuiteError, UnsupportedError
from attnbench.execute.counting import count_all, count_trials, paths_all, pictures_of, reach_all
from attnbench.execute.process import Process, compile_folder
from attnbench.execute.rounds import answer_probes, floor_seconds
from attnbench.formula import Formula
from attnbench.law import COUNTED_METRICS, PREFILL_METRICS, Law, Verdict
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.measure.machine.host import available_bytes, last_cache_bytes
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import Probed, SubjectPlan, probe, share_out
from attnbench.plan.memory import plan_memory
from attnbench.plan.plan import Plan
from attnbench.plan.window import PLANNED_ROUNDS, tiny
from attnbench.record import Counted, Observations, Peaks
from attnbench.session.judge import claimed
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
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


def make_plan(request: RunRequest, reporter: Reporter) -> Plan:
    """Count, probe and decide; writes nothing.

    Raises:
        AttnbenchError: no layer can be counted, or no measuring process can be started.
    """
    reporter.stage("counting on fake tensors")
    suite = request.suite
    laws, refused = _count_all(request, reporter)
    subjects, unsupported = list(_subjects(request, laws, refused)), dict(_unsupported(request, refused))
    _something_left(request, laws, unsupported)
    plan = Plan(
        suite,
        claims={name: layer.claims.given for name, layer in request.layers.items()},
        scopes={name: layer.scope for name, layer in request.layers.items()},
        counted_laws=tuple(itertools.chain.from_iterable(laws.values())),
        observations=_observations(request, refused),
    )
    decided: list[SubjectPlan] = []
    if "time" in suite.metrics:
        reporter.stage("calibrating: short probes to find where each law can be read")
        pilot = _probe_all(request, subjects, unsupported, reporter)
        _something_left(request, pilot.probed, unsupported)
        spent = pilot.peaks_seconds + sum(one.limits.probing_seconds - one.left_seconds for one in pilot.probed)
        decided = share_out(pilot.probed, max(suite.budget - spent, 0.0) / PLANNED_ROUNDS)
        plan = replace(
            plan,
            calibration_seconds=spent,
            timer_overhead_seconds=pilot.overhead_seconds,
            floors=pilot.floors,
            peaks=tuple(pilot.peaks),
        )
    elif "memory" in suite.metrics:
        reporter.stage("choosing sizes by their counted bytes")
        decided = _weigh_all(request, subjects)
    plan = _with_trials(plan, list(_each_once(decided)), unsupported)
    return replace(
        plan, counted=_counts(request, laws, refused, [one for one in plan.trials if one.id in plan.visit_seconds])
    )


def _with_trials(plan: Plan, decided: Sequence[SubjectPlan], unsupported: Mapping[Trial, str]) -> Plan:
    """The plan with what was decided for each subject, and with a row for each that cannot be run at all."""
    trials = [planned for one in decided for planned in one.trials]
    sentences = tuple((one.costs.subject, one.why) for one in decided)
    windows: dict[str, list[str]] = {}
    for subject, sentence in dict.fromkeys(sentences):
        windows.setdefault(subject.id, []).append(sentence)
    return replace(
        plan,
        trials=(*(planned.trial for planned in trials), *unsupported),
        visit_seconds={planned.trial.id: planned.visit_seconds for planned in trials},
        skipped={trial: reason for one in decided for trial, reason in one.skipped.items()},
        unsupported={trial.id: reason for trial, reason in unsupported.items()},
        windows={subject: " ".join(one) for subject, one in windows.items()},
        sentences=sentences,
        calibration=tuple(row for one in decided for row in _calibration(one.probed)),
    )


def _calibration(probed: Probed) -> Iterator[dict[str, Any]]:
    """The probes of a subject, as rows that a run keeps."""
    costs = probed.costs
    for row in probed.probes:
        flops = int(costs.work(row.sizes)) if costs.counts_work else None
        yield {"layer": costs.layer.name, **asdict(costs.choices), **asdict(row), "flops": flops}


def _observations(request: RunRequest, refused: Mapping[Subject, str]) -> Observations:
    """What the suite wants to see of the layers beside their counts."""
    names = [name for name in request.layers if not any(one.layer == name for one in refused)]
    far = names if "hops" in request.suite.metrics else ()
    pictures = pictures_of(request.registry, names, request.suite.pictures)
    return Observations(
        {layer: list(pairs) for layer, pairs in reach_all(request.registry, far).items()},
        paths_all(request.registry, far),
        pictures.weights,
        pictures.fading,
    )


def _count_all(request: RunRequest, reporter: Reporter) -> tuple[dict[Subject, list[Law]], dict[Subject, str]]:
    """Counted laws of every layer under every choice, those asked for and those needed to plan; and refusals.

    A layer whose forward pass cannot be counted has laws that say so; another mode that cannot be has none.

    Raises:
        LayerError: nothing can be counted.
    """
    metrics = [metric for metric in COUNTED_METRICS if metric in {*request.suite.metrics, *_NEEDED_TO_PLAN}]
    metrics += PREFILL_METRICS if "time" in request.suite.metrics else ()
    every = itertools.product(request.layers.values(), request.suite.choices)
    wanted = [
        *dict.fromkeys(
            Subject(layer.name, choices).count_key for layer, choices in every if choices.mode in layer.modes
        )
    ]
    laws, refused, begun = dict[Subject, list[Law]](), dict[Subject, LayerError](), itertools.count()

    def begin(layer: str) -> None:
        reporter.counting(layer, next(begun), len(wanted))

    for one, counted in count_all(request.registry, wanted, metrics, begin).items():
        if not isinstance(counted, LayerError):
            laws[one] = counted
            continue
        refused[one] = counted
        if one.choices.mode == "forward":
            laws[one] = _unlawful(request.layers[one.layer], one.choices, metrics, counted)
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


def _unsupported(request: RunRequest, refused: Mapping[Subject, str]) -> Iterator[tuple[Trial, str]]:
    """One trial, and why it cannot be run, for each layer and choice that cannot."""
    for sweep, choices in itertools.product(request.suite.sweeps, request.suite.choices):
        for name in sweep.layers:
            layer = request.registry.get(name)
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


def _something_left(request: RunRequest, left: Collection[Any], unsupported: Mapping[Trial, str]) -> None:
    if not left and unsupported:
        trial, why = next(iter(unsupported.items()))
        more = f", and {len(unsupported) - 1} more" if len(unsupported) > 1 else ""
        raise SuiteError(f"nothing of suite {request.suite.name} can be run here: {trial.choices.slug}: {why}{more}")


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
    request: RunRequest, laws: Mapping[Subject, Sequence[Law]], refused: Mapping[Subject, str]
) -> Iterator[CostModel]:
    """What can be measured, as far as the count can tell; where time is asked for, sizes are chosen for it."""
    metric = "time" if "time" in request.suite.metrics else "memory"
    for choices, sweep in itertools.product(request.suite.choices, request.suite.sweeps):
        for name in sweep.layers:
            key = Subject(name, choices).count_key
            if (counted := laws.get(key)) is None:
                continue
            layer = request.registry.get(name)
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


def _probe_all(
    request: RunRequest, subjects: Sequence[CostModel], unsupported: dict[Trial, str], reporter: Reporter
) -> _Pilot:
    """Probe one subject after the other; what one leaves over goes to those after it.

    A subject that cannot be run here joins the `unsupported`.
    """
    budget = request.suite.budget
    left, pilot = _PROBING_SHARE * budget, _Pilot()
    every = dict.fromkeys(choices for s in subjects for choices in (s.choices, replace(s.choices, compile=False)))
    with compile_folder(every) as folder, contextlib.ExitStack() as stack:
        setups = {choices: request.setup.under(choices, folder) for choices in every}
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
                pilot.probed.append(_probe_one(process, costs, limits, pilot.probed, reporter))
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
        peaks, seconds = process.peaks(device, dtype, min(_PEAKS_SECONDS, _PEAKS_SHARE * budget / len(settings)))
        pilot.peaks.append(peaks)
        pilot.peaks_seconds += seconds


def _weigh_all(request: RunRequest, subjects: Sequence[CostModel]) -> list[SubjectPlan]:
    """Windows for memory; the budget bounds what calls may cost by estimate, and no clock runs."""
    with Process(request.setup) as process:
        rates = {device: process.rate(device) for device in request.suite.devices}
    return [
        plan_memory(
            subject,
            Limits(
                probing_seconds=0.0,
                round_seconds=request.suite.budget / len(subjects),
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


def _probe_one(
    process: Process, costs: CostModel, limits: Limits, earlier: Sequence[Probed], reporter: Reporter
) -> Probed:
    """Probes of a layer as it is written, also where it is to be compiled: that would compile it for every probe."""
    plain = replace(costs.choices, compile=False)
    for one in earlier:
        alike = one.costs.layer is costs.layer and one.costs.axes == costs.axes
        if alike and replace(one.costs.choices, compile=False) == plain:
            return replace(one, costs=costs, limits=limits, left_seconds=limits.probing_seconds)
    probes = answer_probes(process, probe(costs, limits), Subject(costs.layer.name, plain))
    while True:
        try:
            reporter.probing(next(probes))
        except StopIteration as stop:
            probed: Probed = stop.value
            return probed


def _counts(
    request: RunRequest, laws: Mapping[Subject, Sequence[Law]], refused: Mapping[Subject, str], trials: Sequence[Trial]
) -> dict[str, Counted]:
    layers = request.layers
    possible = [
        trial
        for trial in trials
        if trial.subject.count_key not in refused and not layers[trial.layer].broken_constraint(trial.sizes)
    ]
    return count_trials(request.registry, possible, laws)
