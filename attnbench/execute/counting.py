"""Counting: many layers side by side, as each takes seconds, and layers from elsewhere never in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from attnbench.counting.laws import count_at, count_laws
from attnbench.counting.observations import OBSERVATIONS
from attnbench.errors import LayerError
from attnbench.execute.machine import THIS_MACHINE, Machine
from attnbench.execute.pool import map_in_pool, pool_size
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.law import Law
from attnbench.layers.registry import Registry
from attnbench.record import Counted
from attnbench.trial import Sizes, Subject, Trial

#: Fewer layers of our own than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6


def count_all(
    registry: Registry,
    wanted: Sequence[Subject],
    metrics: Sequence[str],
    show: Callable[[str], None],
    machine: Machine = THIS_MACHINE,
) -> dict[Subject, list[Law] | LayerError]:
    """Counted laws of each layer in each dtype, mode and form of attention, or why it cannot be counted.

    `show` is told of every layer that is about to be counted. A layer from elsewhere may hang or end the process that
    calls it, so it is never called in this one.

    Raises:
        WorkerError: no process could be started.
    """
    processes = pool_size(len(wanted) // 2)
    ours = all(machine.calls_here(registry, one.layer) for one in wanted)

    def count(process: Process | None, one: Subject) -> list[Law] | LayerError:
        try:
            return process.count(one, metrics) if process else count_laws(registry.get(one.layer), metrics, one.choices)
        except LayerError as error:
            return error

    if ours and (len(wanted) < _WORTH_A_PROCESS or processes < 2):
        laws: dict[Subject, list[Law] | LayerError] = {}
        for one in wanted:
            show(one.layer)
            laws[one] = count(None, one)
        return laws
    start = partial(machine.process, _setup(registry))
    return dict(map_in_pool(max(processes, 1), start, wanted, count, lambda one: show(one.layer)))


def count_trials(
    registry: Registry, trials: Sequence[Trial], laws: Mapping[Subject, Sequence[Law]], machine: Machine = THIS_MACHINE
) -> dict[str, Counted]:
    """Counts of each trial, by its id; one that cannot be counted at its sizes is left out.

    Raises:
        WorkerError: no process could be started.
    """
    groups: dict[Subject, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.subject.count_key, []).append(trial)
    counted: dict[str, Counted | None] = {}
    with _processes(registry, {trial.layer for trial in trials}, machine) as processes:
        for one, group in groups.items():
            process, known, points = processes[one.layer], laws[one], [trial.sizes for trial in group]
            if process is None:
                counts = [_count_here(registry, one, known, sizes) for sizes in points]
            else:
                counts = process.count_at(one, known, points)
            counted |= zip((trial.id for trial in group), counts, strict=True)
    return {trial: one for trial, one in counted.items() if one is not None}


def observe_all(
    registry: Registry, layers: Sequence[str], names: Collection[str], machine: Machine = THIS_MACHINE
) -> dict[str, dict[str, Any]]:
    """What is seen of each layer: name of `attnbench.counting.observations.OBSERVATIONS` → layer → as JSON keeps it.

    A layer of which nothing was seen is left out, unless the observation says what stands for it.

    Raises:
        WorkerError: no process could be started.
    """
    with _processes(registry, layers if names else (), machine) as processes:
        seen = {
            name: {layer: _observed(registry, process, name, layer) for layer, process in processes.items()}
            for name in names
        }
    return {name: {layer: one for layer, one in of.items() if one is not None} for name, of in seen.items()}


def _observed(registry: Registry, process: Process | None, name: str, layer: str) -> Any:
    observation = OBSERVATIONS[name]
    try:
        return process.observe(name, layer) if process else observation.look(registry.get(layer))
    except LayerError as error:
        return observation.refused(str(error))


@contextmanager
def _processes(registry: Registry, layers: Collection[str], machine: Machine) -> Iterator[dict[str, Process | None]]:
    """Layer → the process to call it in, which is one for all layers from elsewhere, and None for our own."""
    here = {layer: machine.calls_here(registry, layer) for layer in layers}
    if all(here.values()):
        yield dict.fromkeys(layers)
        return
    with machine.process(_setup(registry)) as process:
        yield {layer: None if ours else process for layer, ours in here.items()}


def _setup(registry: Registry) -> Setup:
    return Setup(threads=1, plugins=registry.plugins, seed=0, installed=registry.installed)


def _count_here(registry: Registry, wanted: Subject, laws: Sequence[Law], sizes: Sizes) -> Counted | None:
    try:
        return count_at(registry.get(wanted.layer), sizes, wanted.choices, laws)
    except LayerError:
        return None
