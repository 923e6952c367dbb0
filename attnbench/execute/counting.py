"""Counting: many layers side by side, as each takes seconds, and layers from elsewhere never in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attnbench.counting.laws import count_at, count_laws
from attnbench.counting.observations import OBSERVATIONS
from attnbench.errors import LayerError
from attnbench.execute.pool import enough, side_by_side
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.law import Law
from attnbench.layers.registry import Registry
from attnbench.record import Counted
from attnbench.trial import Asked, Sizes, Trial, counted_as

#: Fewer layers of our own than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6


def count_all(
    registry: Registry, wanted: Sequence[Asked], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Asked, list[Law] | LayerError]:
    """Counted laws of each layer in each dtype, mode and form of attention, or why it cannot be counted.

    `show` is told of every layer that is about to be counted. A layer from elsewhere may hang or end the process that
    calls it, so it is never called in this one.

    Raises:
        WorkerError: no process could be started.
    """
    processes = enough(len(wanted) // 2)
    ours = all(_is_ours(registry, one[0]) for one in wanted)
    if ours and (len(wanted) < _WORTH_A_PROCESS or processes < 2):
        laws: dict[Asked, list[Law] | LayerError] = {}
        for one in wanted:
            name, *choices = one
            show(name)
            try:
                laws[one] = count_laws(registry.get(name), metrics, *choices)
            except LayerError as error:
                laws[one] = error
        return laws
    return _side_by_side(max(processes, 1), registry, wanted, metrics, show)


def count_trials(
    registry: Registry, trials: Sequence[Trial], laws: Mapping[Asked, Sequence[Law]]
) -> dict[str, Counted]:
    """Counts of each trial, by its id; one that cannot be counted at its sizes is left out.

    Raises:
        WorkerError: no process could be started.
    """
    groups: dict[Asked, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(counted_as(trial.layer, trial.choices), []).append(trial)
    found: dict[str, Counted] = {}
    with _process_for(registry, {trial.layer for trial in trials}) as process:
        for one, group in groups.items():
            known, points = laws[one], [trial.sizes for trial in group]
            if process is None or _is_ours(registry, one[0]):
                counts = [_count_here(registry, one, known, sizes) for sizes in points]
            else:
                counts = process.count_at(one, known, points)
            found |= {trial.id: counted for trial, counted in zip(group, counts, strict=True) if counted is not None}
    return found


def observe_all(registry: Registry, layers: Sequence[str], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What is seen of each layer: name of `attnbench.counting.observations.OBSERVATIONS` → layer → as JSON keeps it.

    Our own layers are looked at in this process, others in one of their own. A layer of which nothing was seen is left
    out, unless the observation says what stands for it.

    Raises:
        WorkerError: no process could be started.
    """
    with _process_for(registry, layers if names else ()) as process:
        seen = {name: {layer: _observed(registry, process, name, layer) for layer in layers} for name in names}
    return {name: {layer: one for layer, one in found.items() if one is not None} for name, found in seen.items()}


def _observed(registry: Registry, process: Process | None, name: str, layer: str) -> Any:
    observation = OBSERVATIONS[name]
    try:
        if process is None or _is_ours(registry, layer):
            return observation.look(registry.get(layer))
        return process.observe(name, layer)
    except LayerError as error:
        return observation.refused(str(error))


@contextmanager
def _process_for(registry: Registry, names: Collection[str]) -> Iterator[Process | None]:
    """A process to count layers from elsewhere in; None where all are our own."""
    if all(_is_ours(registry, name) for name in names):
        yield None
        return
    with Process(_setup(registry)) as process:
        yield process


def _is_ours(registry: Registry, name: str) -> bool:
    return registry.origin(name) == "built in"


def _setup(registry: Registry) -> Setup:
    return Setup(threads=1, plugins=registry.plugins, seed=0, installed=registry.installed)


def _count_here(registry: Registry, wanted: Asked, laws: Sequence[Law], sizes: Sizes) -> Counted | None:
    name, dtype, mode, sdpa = wanted
    try:
        return count_at(registry.get(name), sizes, dtype, laws, mode, sdpa)
    except LayerError:
        return None


def _side_by_side(
    number: int, registry: Registry, wanted: Sequence[Asked], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Asked, list[Law] | LayerError]:
    def count(process: Process, one: Asked) -> list[Law] | LayerError:
        try:
            return process.count(one, metrics)
        except LayerError as error:
            return error

    return dict(side_by_side(number, _setup(registry), wanted, count, lambda one: show(one[0])))
