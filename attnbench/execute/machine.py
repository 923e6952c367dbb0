"""Where trials are visited: who starts measuring processes, and by which clock."""

from __future__ import annotations

import time
from collections.abc import Mapping

from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.layers.registry import Registry


class Machine:
    """The machine at hand. Whoever plans, counts and measures takes one as an argument, so that it may be another."""

    def process(self, setup: Setup, variables: Mapping[str, str] | None = None) -> Process:
        """A measuring process, not yet started; `variables` of its environment besides those of `setup`."""
        return Process(setup, variables)

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def calls_here(self, registry: Registry, layer: str) -> bool:
        """Whether this process itself may call a layer; one from elsewhere may hang or end whoever calls it."""
        return registry.origin(layer) == "built in"


THIS_MACHINE = Machine()
