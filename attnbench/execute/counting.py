"""Counting: many layers side by side, as each takes seconds, and layers from elsewhere never in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from attnbench.count.laws import Reach, count_at, count_laws, reach_of
from attnbench.errors import LayerError
from attnbench.execute.process import Process, Setup
from attnbench.execute.side_by_side import enough, side_by_side
from attnbench.law import Law
from attnbench.layers.registry import Registry
from attnbench.record import Counted
from attnbench.trial import Sizes, Trial

#: Fewer layers of our own than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6

#: A layer, a dtype and a mode.
Wanted = tuple[str, str, str]


def count_all(
    registry: Registry, wanted: Sequence[Wanted], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Wanted, list[Law] | LayerError]:
    """Counted laws of each layer in each dtype and mode, or why it cannot be counted.

    `show` is told of every layer that is about to be counted. A layer from elsewhere may hang or end the process that
    calls it, so it is never called in this one.

    Raises:
        WorkerError: no process could be started.
    """
    processes = enough(len(wanted) // 2)
    ours = all(_is_ours(registry, name) for name, _, _ in wanted)
    if ours and (len(wanted) < _WORTH_A_PROCESS or processes < 2):
        laws: dict[Wanted, list[Law] | LayerError] = {}
        for name, dtype, mode in wanted:
            show(name)
            try:
                laws[name, dtype, mode] = count_laws(registry.get(name), metrics, dtype, mode)
            except LayerError as error:
                laws[name, dtype, mode] = error
        return laws
    return _side_by_side(max(processes, 1), registry, wanted, metrics, show)


def count_trials(
    registry: Registry, trials: Sequence[Trial], laws: Mapping[Wanted, Sequence[Law]]
) -> dict[str, Counted]:
    """Counts of each trial, by its id; one that cannot be counted at its sizes is left out.

    Raises:
        WorkerError: no process could be started.
    """
    groups: dict[Wanted, list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.layer, trial.choices.dtype, trial.choices.mode), []).append(trial)
    found: dict[str, Counted] = {}
    with _process_for(registry, {trial.layer for trial in trials}) as process:
        for one, group in groups.items():
            known, points = laws[one], [trial.sizes for trial in group]
            if process is None or _is_ours(registry, one[0]):
                counts = [_count_here(registry, one, known, sizes) for sizes in points]
            else:
                counts = process.count_at(*one, known, points)
            found |= {trial.id: counted for trial, counted in zip(group, counts, strict=True) if counted is not None}
    return found


def reach_all(registry: Registry, names: Sequence[str]) -> dict[str, Reach]:
    """Effective reach of each layer; one that has none to show is left out.

    Raises:
        WorkerError: no process could be started.
    """
    found = {}
    with _process_for(registry, names) as process:
        for name in names:
            if process is None or _is_ours(registry, name):
                with contextlib.suppress(LayerError):
                    found[name] = reach_of(registry.get(name))
            elif reach := process.reach(name):
                found[name] = reach
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


def _count_here(registry: Registry, wanted: Wanted, laws: Sequence[Law], sizes: Sizes) -> Counted | None:
    name, dtype, mode = wanted
    try:
        return count_at(registry.get(name), sizes, dtype, laws, mode)
    except LayerError:
        return None


def _side_by_side(
    number: int, registry: Registry, wanted: Sequence[Wanted], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Wanted, list[Law] | LayerError]:
    def count(process: Process, one: Wanted) -> list[Law] | LayerError:
        name, dtype, mode = one
        try:
            return process.count(name, metrics, dtype, mode)
        except LayerError as error:
            return error

    return dict(side_by_side(number, _setup(registry), wanted, count, lambda one: show(one[0])))
