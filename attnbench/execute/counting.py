"""Counting many layers side by side: each takes seconds, and they know nothing of each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from attnbench.count.laws import count_laws
from attnbench.execute.process import Process, Setup
from attnbench.law import Law
from attnbench.layers.registry import Registry

#: Fewer layers than this are counted here: a process takes seconds to start.
_WORTH_A_PROCESS = 6
_MOST_PROCESSES = 8

#: A layer and a dtype.
Wanted = tuple[str, str]


def count_all(
    registry: Registry, wanted: Sequence[Wanted], metrics: Sequence[str], show: Callable[[str], None]
) -> dict[Wanted, list[Law]]:
    """Counted laws of each layer in each dtype; `show` is told of every layer that is about to be counted.

    Raises:
        LayerError: a layer cannot be counted; the first in the order of `wanted` is named.
        WorkerError: no process could be started.
    """
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES, len(wanted) // 2)
    if len(wanted) < _WORTH_A_PROCESS or processes < 2:
        laws = {}
        for name, dtype in wanted:
            show(name)
            laws[name, dtype] = count_laws(registry.get(name), metrics, dtype)
        return laws
    return _side_by_side(processes, registry, wanted, metrics, show)


def _side_by_side(
    number: int, registry: Registry, wanted: Sequence[Wanted], metrics: Sequence[str], show: Callable[[str], None]
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
            process = free.get()
            try:
                return process.count(one[0], metrics, one[1])
            finally:
                free.put(process)

        futures = {one: pool.submit(count, one) for one in wanted}
        laws = {}
        try:
            for one, future in futures.items():
                show(one[0])
                laws[one] = future.result()
        except BaseException:  # an interrupt, or a layer that cannot be counted: nobody waits for the others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.stop()
            raise
        return laws
