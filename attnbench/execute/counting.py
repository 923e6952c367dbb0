"""Counting: many layers side by side, as each takes seconds, and layers from elsewhere never in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from attnbench.counting.laws import Reach, count_at, count_laws, reach_of
from attnbench.counting.paths.maps import path_map_of
from attnbench.counting.pictures.attention_weights import Weights, weights_of
from attnbench.counting.pictures.position_probe import PositionProbe, position_probe_of
from attnbench.errors import LayerError
from attnbench.execute.pool import enough, side_by_side
from attnbench.execute.process import Process, Setup
from attnbench.law import Law
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from attnbench.record import Counted, PathMap
from attnbench.trial import Asked, Sizes, Trial, counted_as

Found = TypeVar("Found")

#: Fewer layers of our own than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6


@dataclass(frozen=True)
class Pictures:
    """What was looked at beside the metrics, by layer.

    Attributes:
        weights: head, query, key → attention weight.
        fading: way of stacking → what is left of the position after each layer, in several draws.
    """

    weights: dict[str, Weights] = field(default_factory=dict)
    fading: dict[str, PositionProbe] = field(default_factory=dict)


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


def reach_all(registry: Registry, names: Sequence[str]) -> dict[str, Reach]:
    """Effective reach of each layer; one that has none to show is left out.

    Raises:
        WorkerError: no process could be started.
    """
    return _of_each(registry, names, reach_of, Process.reach)


def paths_all(registry: Registry, names: Sequence[str]) -> dict[str, PathMap]:
    """Path lengths between all positions of each layer, or why one has none at the length of this look.

    Raises:
        WorkerError: no process could be started.
    """
    return _of_each(registry, names, path_map_of, Process.paths)


def pictures_of(registry: Registry, names: Sequence[str], wanted: Collection[str]) -> Pictures:
    """What the suite wants to look at, of `attnbench.spec.PICTURES`; a layer that has none to show is left out.

    Raises:
        WorkerError: no process could be started.
    """
    weights = _of_each(registry, names, weights_of, Process.weights) if "weights" in wanted else {}
    fading = _of_each(registry, names, position_probe_of, Process.fading) if "position" in wanted else {}
    return Pictures(weights, fading)


def _of_each(
    registry: Registry,
    names: Sequence[str],
    here: Callable[[Layer], Found],
    there: Callable[[Process, str], Found | None],
) -> dict[str, Found]:
    """Our own layers are looked at in this process, others in one of their own."""
    found = {}
    with _process_for(registry, names) as process:
        for name in names:
            if process is None or _is_ours(registry, name):
                with contextlib.suppress(LayerError):
                    found[name] = here(registry.get(name))
            elif seen := there(process, name):
                found[name] = seen
    return found


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
