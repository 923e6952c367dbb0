"""Counting: many layers side by side, as each takes seconds, and layers from elsewhere never in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from attnbench.count.laws import Reach, count_at, count_laws, reach_of
from attnbench.errors import LayerError
from attnbench.execute.process import Process, Setup
from attnbench.law import Law
from attnbench.layers.registry import Registry
from attnbench.record import Counted
from attnbench.trial import Asked, Sizes, Trial, counted_as

#: Fewer layers of our own than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6
_MOST_PROCESSES = 8


def count_all(
    registry: Registry, wanted: Sequence[Asked], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Asked, list[Law] | LayerError]:
    """Counted laws of each layer in each dtype, mode and form of attention, or why it cannot be counted.

    `show` is told of every layer that is about to be counted. A layer from elsewhere may hang or end the process that
    calls it, so it is never called in this one.

    Raises:
        WorkerError: no process could be started.
    """
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES, len(wanted) // 2)
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
    return Setup(threads=1, plugins=registry.plugins, seed=0)


def _count_here(registry: Registry, wanted: Asked, laws: Sequence[Law], sizes: Sizes) -> Counted | None:
    name, dtype, mode, sdpa = wanted
    try:
        return count_at(registry.get(name), sizes, dtype, laws, mode, sdpa)
    except LayerError:
        return None


def _side_by_side(
    number: int, registry: Registry, wanted: Sequence[Asked], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Asked, list[Law] | LayerError]:
    """Threads that sleep while their processes count."""
    setup = _setup(registry)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(number) as pool:  # threads end before their processes do
        processes = [Process(setup) for _ in range(number)]
        list(pool.map(stack.enter_context, processes))
        free: SimpleQueue[Process] = SimpleQueue()
        for process in processes:
            free.put(process)

        def count(one: Asked) -> list[Law] | LayerError:
            process = free.get()
            try:
                return process.count(one, metrics)
            except LayerError as error:
                return error
            finally:
                free.put(process)

        futures = {one: pool.submit(count, one) for one in wanted}
        laws: dict[Asked, list[Law] | LayerError] = {}
        try:
            for one, future in futures.items():
                show(one[0])
                laws[one] = future.result()
        except BaseException:  # an interrupt, or a process that cannot be started: nobody waits for the others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.stop()
            raise
        return laws
