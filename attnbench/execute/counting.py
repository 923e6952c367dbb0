"""Counting many layers side by side: each takes seconds, and they know nothing of each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from attnbench.count.laws import count_laws
from attnbench.errors import LayerError
from attnbench.execute.process import Process, Setup
from attnbench.law import Law
from attnbench.layers.registry import Registry

#: Fewer layers than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6
_MOST_PROCESSES = 8

#: A layer, a dtype and a mode.
Wanted = tuple[str, str, str]


def _refuse(_: Wanted, error: LayerError) -> None:
    raise error


def count_all(
    registry: Registry,
    wanted: Sequence[Wanted],
    metrics: Sequence[str],
    show: Callable[[str], None],
    refuse: Callable[[Wanted, LayerError], None] = _refuse,
) -> dict[Wanted, list[Law]]:
    """Counted laws of each layer in each dtype and mode.

    Args:
        registry: where the layers come from.
        wanted: what is counted.
        metrics: those wanted; a mode may not have all of them.
        show: told of every layer that is about to be counted.
        refuse: told of what cannot be counted, in the order of `wanted`; it raises, or leaves that out.

    Raises:
        LayerError: a layer cannot be counted, if `refuse` was not given.
        WorkerError: no process could be started.
    """
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES, len(wanted) // 2)
    if len(wanted) < _WORTH_A_PROCESS or processes < 2:
        laws = {}
        for one in wanted:
            name, dtype, mode = one
            show(name)
            try:
                laws[one] = count_laws(registry.get(name), metrics, dtype, mode)
            except LayerError as error:
                refuse(one, error)
        return laws
    return _side_by_side(processes, registry, wanted, metrics, show, refuse)


def _side_by_side(
    number: int,
    registry: Registry,
    wanted: Sequence[Wanted],
    metrics: Sequence[str],
    show: Callable[[str], None],
    refuse: Callable[[Wanted, LayerError], None],
) -> dict[Wanted, list[Law]]:
    """Threads that sleep while their processes count."""
    setup = Setup(threads=1, plugins=registry.plugins, seed=0)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(number) as pool:  # threads end before their processes do
        processes = [Process(setup) for _ in range(number)]
        list(pool.map(stack.enter_context, processes))
        free: SimpleQueue[Process] = SimpleQueue()
        for process in processes:
            free.put(process)

        def count(one: Wanted) -> list[Law]:
            (name, dtype, mode), process = one, free.get()
            try:
                return process.count(name, metrics, dtype, mode)
            finally:
                free.put(process)

        futures = {one: pool.submit(count, one) for one in wanted}
        laws = {}
        try:
            for one, future in futures.items():
                show(one[0])
                try:
                    laws[one] = future.result()
                except LayerError as error:
                    refuse(one, error)
        except BaseException:  # an interrupt, or a layer that cannot be counted: nobody waits for the others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.stop()
            raise
        return laws
