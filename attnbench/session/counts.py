"""What is counted and seen of layers before anything is measured, and what cannot be run at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from attnbench.counting.observations import asked_by
from attnbench.errors import LayerError
from attnbench.execute.counting import count_all, count_trials, observe_all
from attnbench.law import COUNTED_METRICS, PREFILL_METRICS, Law, Verdict
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.record import Counted, Observations
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
from attnbench.spec import AxisValues
from attnbench.trial import Choices, Subject, Trial

#: Counted metrics without which no plan can be made and no time judged.
_NEEDED_TO_PLAN = ("flops", "parameters", "peak_bytes")


@dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        laws: subject, as it is counted → its counted laws.
        refused: subject, as it is counted → why it cannot be.
    """

    laws: dict[Subject, list[Law]]
    refused: dict[Subject, str]


def count_layers(request: RunRequest, reporter: Reporter) -> Counts:
    """Counted laws of every layer under every choice: those asked for, and those needed to plan.

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

    for one, counted in count_all(request.registry, wanted, metrics, begin, request.machine).items():
        if not isinstance(counted, LayerError):
            laws[one] = counted
            continue
        refused[one] = counted
        if one.choices.mode == "forward":
            laws[one] = _unlawful(request.layers[one.layer], one.choices, metrics, counted)
    if laws and len(refused) == len(wanted):
        raise next(iter(refused.values()))
    return Counts(laws, {one: str(error) for one, error in refused.items()})


def _unlawful(layer: Layer, choices: Choices, metrics: Sequence[str], why: LayerError) -> list[Law]:
    """The rows of a layer that cannot be counted."""
    claims, subject = layer.claims.given, Subject(layer.name, replace(choices, device=""))
    return [
        Law(subject, metric, Verdict.INCONCLUSIVE, str(why), claim=claims.get(metric), scope=layer.scope)
        for metric in metrics
    ]


def observe_layers(request: RunRequest, counts: Counts) -> Observations:
    """What the suite wants to see of the layers beside their counts."""
    names = [name for name in request.layers if not any(one.layer == name for one in counts.refused)]
    wanted = asked_by({*request.suite.metrics, *request.suite.pictures})
    return msgspec.convert(observe_all(request.registry, names, wanted, request.machine), Observations)


def unsupported_trials(request: RunRequest, counts: Counts) -> Iterator[tuple[Trial, str]]:
    """One trial, and why it cannot be run, for each layer and choice that cannot."""
    for sweep, choices in itertools.product(request.suite.sweeps, request.suite.choices):
        for name in sweep.layers:
            layer = request.registry.get(name)
            if choices.mode not in layer.modes:
                why = f"layer {name!r} has no mode {choices.mode}, only {' and '.join(layer.modes)}"
                yield stand_in(layer, sweep.axes, choices), why
            elif choices.mode != "forward" and (why := counts.refused.get(Subject(name, choices).count_key, "")):
                yield stand_in(layer, sweep.axes, choices), why


def stand_in(layer: Layer, axes: Mapping[str, AxisValues], choices: Choices) -> Trial:
    """The row of a layer that cannot be run at any size: the first sizes that were asked for, and usual ones."""
    usual = {axis: default or DEFAULT_SIZES.get(axis, 1) for axis, default in layer.axes.items()}
    given = {axis: values[0] for axis, values in axes.items() if axis in usual and not isinstance(values, str)}
    return Trial(Subject(layer.name, choices), usual | given)


def count_planned(request: RunRequest, counts: Counts, trials: Sequence[Trial]) -> dict[str, Counted]:
    """Trial id → its exact counts, for all trials that can be built and counted."""
    layers = request.layers
    possible = [
        trial
        for trial in trials
        if trial.subject.count_key not in counts.refused and not layers[trial.layer].broken_constraint(trial.sizes)
    ]
    return count_trials(request.registry, possible, counts.laws, request.machine)
