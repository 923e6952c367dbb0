"""Several measuring processes that work off a list side by side, where nothing is timed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from attnbench.execute.process import Process

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_PROCESSES = 8


def pool_size(number: int) -> int:
    """How many processes to start where `number` would have something to do."""
    return min(os.cpu_count() or 1, _MAX_PROCESSES, number)


def map_in_pool(
    number: int,
    start: Callable[[], Process],
    items: Sequence[Item],
    work: Callable[[Process, Item], Result],
    show: Callable[[Item], None] = lambda _: None,
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, in order; `show` is told of an item before its answer is waited for.

    Threads sleep while their processes work. Whatever stops this, no process stays behind.

    Raises:
        WorkerError: no process could be started.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(number) as pool:  # threads end before their processes do
        processes = [start() for _ in range(number)]
        list(pool.map(stack.enter_context, processes))
        free: SimpleQueue[Process] = SimpleQueue()
        for process in processes:
            free.put(process)

        def do(item: Item) -> Result:
            process = free.get()
            try:
                return work(process, item)
            finally:
                free.put(process)

        futures = [(item, pool.submit(do, item)) for item in items]
        try:
            for item, future in futures:
                show(item)
                yield item, future.result()
        except BaseException:  # an interrupt, or a process that cannot be started: nobody waits for the others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.stop()
            raise
