"""Short probes that tell a plan where each law can be read, and what the machine does at best."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from attnbench.errors import UnsupportedError
from attnbench.execute.process import Process
from attnbench.execute.rounds import answer_probes, floor_seconds
from attnbench.execute.setup import compile_folder
from attnbench.measure.machine.host import available_bytes, last_cache_bytes
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import Probed, probe
from attnbench.plan.window import PLANNED_ROUNDS, tiny
from attnbench.record import Peaks
from attnbench.session.counts import stand_in
from attnbench.session.reporter import Reporter
from attnbench.session.request import RunRequest
from attnbench.trial import Choices, Subject, Trial

#: Share of the budget that probing may take when sizes are automatic.
_PROBING_SHARE = 0.22
#: Share of the budget that measuring what the machine does at best may take, all its dtypes and threads together ...
_PEAKS_SHARE = 0.05
#: ... and seconds after which more time finds no better rate.
_PEAKS_SECONDS = 2.0
#: Share of the available memory that a trial's counted peak may take.
MEMORY_SHARE = 0.5


@dataclass
class Pilot:
    """What was seen before anything was decided: probes of each subject, floors by subject, and the clock's cost.

    What the machine does at best joins them, and the seconds that measuring it took.
    """

    probed: list[Probed] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    overhead_seconds: float = 0.0
    peaks: list[Peaks] = field(default_factory=list)
    peaks_seconds: float = 0.0

    @property
    def spent_seconds(self) -> float:
        """Clock that all of it took."""
        return self.peaks_seconds + sum(one.limits.probing_seconds - one.left_seconds for one in self.probed)


def probe_all(
    request: RunRequest, subjects: Sequence[CostModel], unsupported: dict[Trial, str], reporter: Reporter
) -> Pilot:
    """Probe one subject after the other; what one leaves over goes to those after it.

    A subject that cannot be run here joins the `unsupported`.
    """
    budget = request.suite.budget
    left, pilot = _PROBING_SHARE * budget, Pilot()
    every = dict.fromkeys(choices for s in subjects for choices in (s.choices, replace(s.choices, compile=False)))
    with compile_folder(every) as folder, contextlib.ExitStack() as stack:
        setups = {choices: request.setup.under(choices, folder) for choices in every}
        processes = {
            setup: stack.enter_context(request.machine.process(setup)) for setup in dict.fromkeys(setups.values())
        }
        for number, costs in enumerate(subjects):
            share, device = left / (len(subjects) - number), costs.choices.device
            process = processes[setups[replace(costs.choices, compile=False)]]
            limits = Limits(
                probing_seconds=share,
                round_seconds=2 * budget / len(subjects) / PLANNED_ROUNDS,  # a share, and what others leave
                memory_bytes=MEMORY_SHARE * available_bytes(device),
                rate=process.rate(device),
                cache_bytes=last_cache_bytes() if device == "cpu" else math.inf,
            )
            try:
                pilot.floors |= _floor(processes[setups[costs.choices]], costs)
                pilot.probed.append(_probe_one(process, costs, limits, pilot.probed, reporter))
                left -= share - max(pilot.probed[-1].left_seconds, 0.0)
            except UnsupportedError as error:
                unsupported[stand_in(costs.layer, costs.axes, costs.choices)] = str(error)
        _measure_peaks(pilot, {choices: processes[setup] for choices, setup in setups.items()}, budget)
        pilot.overhead_seconds = max((process.overhead_seconds for process in processes.values()), default=0.0)
    return pilot


def _measure_peaks(pilot: Pilot, processes: Mapping[Choices, Process], budget: float) -> None:
    """What the machine does at best under the choices that were probed; last, so that no probe finds it warmed up."""
    probed = (replace(one.costs.choices, compile=False) for one in pilot.probed)
    settings = {(one.device, one.dtype, one.threads): processes[one] for one in probed}
    for (device, dtype, _), process in settings.items():
        peaks, seconds = process.peaks(device, dtype, min(_PEAKS_SECONDS, _PEAKS_SHARE * budget / len(settings)))
        pilot.peaks.append(peaks)
        pilot.peaks_seconds += seconds


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
