"""Our clock on a CUDA device beside `triton.testing.do_bench` and torch's Timer. Nobody has run this on a device yet.

    python benchmarks/gpu.py [--device cuda] [--pairs 15] [--seconds 0.1]

With the L2 cache flushed before each call, ours stands beside `do_bench`, which does the same; back to back beside
Timer, which waits for the device once in a block. Pairs are interleaved in random order, and each reads its median.
Wanted: the median of each operation's ratios within 3 %. Without triton, or without a device, one line says so.
"""

from __future__ import annotations

import argparse
import random
import sys
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.benchmark import Timer

from attnbench import units
from attnbench.measure.clock import EventClock
from attnbench.measure.loop import Pace, time_call
from benchmarks.clock import operations

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[Callable[[], Any], float], float]


def readers(device: str) -> dict[str, tuple[Reader, Reader]]:
    """What is compared: ours first."""
    from triton.testing import do_bench  # only where there is a device

    def ours(clock: EventClock) -> Reader:
        return lambda call, seconds: median(time_call(call, clock, Pace(seconds)).block_seconds)

    def timer(call: Callable[[], Any], seconds: float) -> float:
        return Timer("call()", globals={"call": call}).blocked_autorange(min_run_time=seconds).median

    def triton(call: Callable[[], Any], seconds: float) -> float:
        return do_bench(call, rep=1e3 * seconds, return_mode="median") / 1e3

    return {
        "flushed, do_bench": (ours(EventClock(device)), triton),
        "back to back, Timer": (ours(EventClock(device, back_to_back=True)), timer),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="such as cuda or cuda:1")
    parser.add_argument("--pairs", type=int, default=15, help="visits of each operation by each clock")
    parser.add_argument("--seconds", type=float, default=0.1, help="clock of one visit")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA device here")
    rng, calls = random.Random(0), operations(arguments.device)
    with torch.inference_mode():
        for compared, sides in readers(arguments.device).items():
            print(f"{compared:<26} {'ours':>9} {'theirs':>9} {'ratio':>7}")
            found: dict[str, list[list[float]]] = {name: [] for name in calls}
            for _ in range(arguments.pairs):
                for name in rng.sample(list(calls), len(calls)):
                    order = rng.sample((0, 1), 2)
                    read = {side: sides[side](calls[name], arguments.seconds) for side in order}
                    found[name].append([read[0], read[1]])
            for name, pairs in found.items():
                ours, theirs = (units.seconds(median(pair[side] for pair in pairs)) for side in (0, 1))
                print(f"{name:<26} {ours:>9} {theirs:>9} {median(one / other for one, other in pairs):>7.4f}")


if __name__ == "__main__":
    main()
