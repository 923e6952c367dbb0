"""Everything before the first round: count, probe, decide.

request → counted laws → floors and probes → windows and trials
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from attnbench.errors import SuiteError
from attnbench.formula import Formula
from attnbench.measure.machine.host import available_bytes
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import Probed, SubjectPlan, share_out
from attnbench.plan.memory import plan_memory
from attnbench.plan.plan import Plan
from attnbench.plan.window import PLANNED_ROUNDS
from attnbench.session.counts import Counts, count_layers, count_planned, observe_layers, unsupported_trials
from attnbench.session.judge import claimed
from attnbench.session.pilot import MEMORY_SHARE, Pilot, probe_all
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
from attnbench.trial import Subject, Trial


def make_plan(request: RunRequest, reporter: Reporter) -> Plan:
    """Count, probe and decide; writes nothing.

    Raises:
        AttnbenchError: no layer can be counted, or no measuring process can be started.
    """
    reporter.stage("counting on fake tensors")
    counts = count_layers(request, reporter)
    costs, unsupported = list(_cost_models(request, counts)), dict(unsupported_trials(request, counts))
    _something_left(request, counts.laws, unsupported)
    plan = Plan(
        request.suite,
        claims={name: layer.claims.given for name, layer in request.layers.items()},
        scopes={name: layer.scope for name, layer in request.layers.items()},
        counted_laws=tuple(itertools.chain.from_iterable(counts.laws.values())),
        observations=observe_layers(request, counts),
    )
    decided: list[SubjectPlan] = []
    if plan.measures("time"):
        reporter.stage("calibrating: short probes to find where each law can be read")
        pilot = probe_all(request, costs, unsupported, reporter)
        _something_left(request, pilot.probed, unsupported)
        decided = share_out(pilot.probed, max(request.suite.budget - pilot.spent_seconds, 0.0) / PLANNED_ROUNDS)
        plan = _with_pilot(plan, pilot)
    elif plan.measures("memory"):
        reporter.stage("choosing sizes by their counted bytes")
        decided = _choose_by_bytes(request, costs)
    plan = _with_trials(plan, list(_each_once(decided)), unsupported)
    planned = [trial for trial in plan.trials if trial.id in plan.visit_seconds]
    return replace(plan, counted=count_planned(request, counts, planned))


def _with_pilot(plan: Plan, pilot: Pilot) -> Plan:
    """The plan with what the pilot saw of the machine."""
    return replace(
        plan,
        calibration_seconds=pilot.spent_seconds,
        timer_overhead_seconds=pilot.overhead_seconds,
        floors=pilot.floors,
        peaks=tuple(pilot.peaks),
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


def _cost_models(request: RunRequest, counts: Counts) -> Iterator[CostModel]:
    """What can be measured, as far as the count can tell; where time is asked for, sizes are chosen for it."""
    metric = "time" if "time" in request.suite.metrics else "memory"
    for choices, sweep in itertools.product(request.suite.choices, request.suite.sweeps):
        for name in sweep.layers:
            key = Subject(name, choices).count_key
            if (counted := counts.laws.get(key)) is None:
                continue
            layer = request.registry.get(name)
            claim = claimed(layer.claims.given, metric, choices.mode)
            yield CostModel(
                layer,
                choices,
                {axis: values for axis, values in sweep.axes.items() if axis in layer.axes},
                {law.metric: Formula(law.formula) for law in counted if law.formula},
                Formula(claim) if claim else None,
                counts.refused.get(key, ""),
                metric,
            )


def _choose_by_bytes(request: RunRequest, costs: Sequence[CostModel]) -> list[SubjectPlan]:
    """Windows for memory; the budget bounds what calls may cost by estimate, and no clock runs."""
    with request.machine.process(request.setup) as process:
        rates = {device: process.rate(device) for device in request.suite.devices}
    return [
        plan_memory(
            one,
            Limits(
                probing_seconds=0.0,
                round_seconds=request.suite.budget / len(costs),
                memory_bytes=MEMORY_SHARE * available_bytes(one.choices.device),
                rate=rates[one.choices.device],
            ),
        )
        for one in costs
    ]
