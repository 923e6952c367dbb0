"""Checking: the contract of many layers side by side, never in this process, for a layer may do anything to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from attnbench.check.contract import CLAIMS, checks_of, is_due
from attnbench.check.outcome import Outcome
from attnbench.execute.pool import map_in_pool, pool_size
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.layers.registry import Registry

#: A check calls a layer at tiny sizes a few dozen times; comparing claims with counts makes hundreds of traces.
_SECONDS, _CLAIMS_SECONDS = 60.0, 300.0


def check_all(registry: Registry, names: Sequence[str]) -> Iterator[tuple[str, list[Outcome]]]:
    """Each layer with the outcomes of its checks, in the order of `names`.

    A check after which the process is gone, or has been changed, is the layer's last.

    Raises:
        WorkerError: no process could be started.
    """

    def check(process: Process, name: str) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for one in checks_of(registry.get(name)):
            if is_due(one, outcomes):
                seen, intact = process.check(name, one, _CLAIMS_SECONDS if one == CLAIMS else _SECONDS)
                outcomes += seen
                if not intact:
                    break
        return outcomes

    setup = Setup(threads=1, plugins=registry.plugins, seed=0)
    return map_in_pool(pool_size(len(names)), partial(Process, setup), names, check)
