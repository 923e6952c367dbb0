"""How long counting takes: every registered layer, every counted metric, side by side as a run does it.

    python benchmarks/counting.py

Prints seconds of wall time, and how many laws were found of how many asked.
"""

from __future__ import annotations

import time

from attnbench.execute.counting import count_all
from attnbench.law import COUNTED_METRICS
from attnbench.layers.registry import Registry


def main() -> None:
    """Print the figures."""
    registry = Registry()
    wanted = [(name, "float32", "forward") for name in registry.names]
    start = time.perf_counter()
    found = count_all(registry, wanted, COUNTED_METRICS, lambda layer: print(f"counting {layer}"))
    seconds = time.perf_counter() - start
    laws = [law for each in found.values() if isinstance(each, list) for law in each]
    print(f"{len(wanted)} layers, {sum(bool(law.formula) for law in laws)} formulas of {len(laws)}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
