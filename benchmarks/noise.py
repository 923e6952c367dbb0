"""How far the location of a trial moves from one repetition to the next: ours beside torch's Timer.

    python benchmarks/noise.py [--repetitions 10] [--visits 3] [--seconds 0.1] [--json]

A repetition locates every operation once by each. Ours is what a run does within one process: visits of ``--seconds``
each, in rounds of random order over all operations, each visit read by its fastest block, and the location of all
visits by `fitting.model.observations`. Theirs is the median of one `Timer.blocked_autorange` that gets the seconds of
all visits together, at a random place among ours. Printed for each operation: the standard deviation of the logarithm
of both locations over the repetitions, and their ratio; and the geometric mean of the ratios. Wanted: at most 1.

A standard deviation of ten values is known to a quarter of itself, and a ratio of two to a third: read the mean.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import time
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch.utils.benchmark import Timer

from attnbench import units
from attnbench.fitting.model.observations import Observations
from attnbench.measure.clock import WallClock
from attnbench.measure.loop import Pace, time_call
from benchmarks.clock import operations

if TYPE_CHECKING:
    from collections.abc import Callable

#: The two longest operations of `benchmarks/clock.py` would take most of the time here.
LEFT_OUT = 2


def repetition(
    calls: dict[str, Callable[[], Any]], visits: int, seconds: float, rng: random.Random
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Location of each operation, ours and theirs, and the wall seconds that each spent."""
    turns = [(name, visit) for visit in range(visits) for name in rng.sample(list(calls), len(calls))]
    for name in calls:
        turns.insert(rng.randint(0, len(turns)), (name, visits))
    by_round = {name: [math.nan] * visits for name in calls}
    theirs: dict[str, float] = {}
    spent = {"ours": 0.0, "timer": 0.0}
    for name, visit in turns:
        begun = time.perf_counter()
        if visit < visits:
            by_round[name][visit] = min(time_call(calls[name], WallClock(), Pace(seconds)).block_seconds)
        else:
            timer = Timer("call()", globals={"call": calls[name]})
            theirs[name] = timer.blocked_autorange(min_run_time=visits * seconds).median
        spent["ours" if visit < visits else "timer"] += time.perf_counter() - begun
    sizes = pd.DataFrame({"operation": range(1, len(calls) + 1)})
    located = Observations(sizes, np.array([by_round[name] for name in calls])).values
    return dict(zip(calls, map(float, located), strict=True)), theirs, spent


def spread(locations: list[float]) -> float:
    """Standard deviation of the logarithm."""
    return stdev(map(math.log, locations))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed, as one document."""
    rng = random.Random(arguments.seed)
    calls = dict(list(operations().items())[:-LEFT_OUT])
    with torch.inference_mode():
        found = [repetition(calls, arguments.visits, arguments.seconds, rng) for _ in range(arguments.repetitions)]
    rows = {}
    for name in calls:
        ours, theirs = ([one[side][name] for one in found] for side in (0, 1))
        rows[name] = {
            "seconds": fmean(ours),
            "ours": spread(ours),
            "timer": spread(theirs),
            "ratio": spread(ours) / spread(theirs),
        }
    return {
        "operations": rows,
        "mean_ratio": math.exp(fmean(math.log(row["ratio"]) for row in rows.values())),
        "wall_seconds": {side: sum(one[2][side] for one in found) for side in ("ours", "timer")},
    }


def show(found: dict[str, Any]) -> None:
    """Print the document as a table."""
    print(f"{'operation':<26} {'location':>9} {'ours':>7} {'Timer':>7} {'ratio':>6}")
    for name, row in found["operations"].items():
        location, ratio = units.seconds(row["seconds"]), row["ratio"]
        print(f"{name:<26} {location:>9} {row['ours']:>7.2%} {row['timer']:>7.2%} {ratio:>6.2f}")
    wall = found["wall_seconds"]
    print(f"mean ratio of the spreads {found['mean_ratio']:.2f} (at most 1)")
    print(f"wall time: ours {units.seconds(wall['ours'])}, Timer {units.seconds(wall['timer'])}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10, help="locations of each operation by each")
    parser.add_argument("--visits", type=int, default=3, help="visits in one location of ours")
    parser.add_argument("--seconds", type=float, default=0.1, help="clock of one visit")
    parser.add_argument("--seed", type=int, default=0, help="of the random orders")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    gc.freeze()  # as measuring processes do: collecting before each visit need not walk through all of torch
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        show(found)


if __name__ == "__main__":
    main()
