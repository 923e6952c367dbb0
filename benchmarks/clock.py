"""Whether our clock tells the right time: beside torch's Timer, beside a loop of known length, and how busy it is.

    python benchmarks/clock.py [--pairs 15] [--seconds 0.1] [--run RUN] [--json]

1. Ten operations from about 5 µs to 500 ms, one thread, the same callable for `attnbench.measure.loop.time_call` and
   for `torch.utils.benchmark.Timer`. A pair is one visit by each in random order, with as many blocks of as many calls,
   of which each reads the fastest; the pairs of all operations are interleaved. Wanted: the median of all ratios
   within 1 %, each within 3 %.
2. A busy loop of known length: two machine instructions, "take one away" and "go back unless zero", so that a call has
   twice as many instructions as turns, and a constant. A call of 7 million turns between two bare readings of the
   system's clock, interleaved with ours, says what a turn takes. What a call takes by our clock beyond one of a single
   turn must be its further turns, from 10 thousand to 10 million of them: wanted is a bias of at most 1 %.
   What the loop adds to a call by itself is read with a call that does nothing.
3. The share of the measuring stage's wall time that lies inside timed regions, from the journal of ``--run``, or of a
   short run that is made for it. Wanted, for the suite `scaling`: at least 70 %.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import mmap
import platform
import random
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional
from torch.utils.benchmark import Timer

from attnbench import units
from attnbench.measure.clock import WallClock
from attnbench.measure.loop import Pace, time_call
from attnbench.session.reading import load
from attnbench.session.run import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.store.run_folder import StoredRun

#: Turns of the busy loop, from some 5 µs to 4 ms, so that most calls are not interrupted.
TURNS = (15_000, 50_000, 150_000, 500_000, 1_500_000, 10_000_000)
#: Turns of the call that says what one takes.
CALIBRATION = 7_000_000
#: "Subtract one; jump back unless zero; return", the turns being the first argument.
BUSY = {
    "x86_64": bytes.fromhex("48ffcf 75fb c3"),
    "aarch64": bytes.fromhex("000400d1 e0ffffb5 c0035fd6"),
}
SHORTEST_OPERATION = 5e-6


class Pair(NamedTuple):
    """Seconds per call, as two clocks read them within one moment."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours / self.theirs


def operations(device: str = "cpu") -> dict[str, Callable[[], Any]]:
    """Operations of many lengths and kinds."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device)

    row, weight, scores, numbers = normal(1, 256), normal(256, 256), normal(128, 128), normal(128, 512)
    middle, signal, kernel = normal(400_000), normal(1, 128, 2048), normal(128, 128, 3)
    edge_192, edge_1024, edge_2800 = normal(192, 192), normal(1024, 1024), normal(2800, 2800)
    heads, recurrent, sequence = normal(1, 1, 512, 64), torch.nn.RNN(512, 512, device=device), normal(2000, 1, 512)
    return {
        "linear 1×256×256": lambda: functional.linear(row, weight),
        "softmax 128×128": lambda: scores.softmax(-1),
        "layer norm 128×512": lambda: functional.layer_norm(numbers, (512,)),
        "matmul 192": lambda: edge_192 @ edge_192,
        "gelu 400 000": lambda: functional.gelu(middle),
        "attention n=512 d=64": lambda: functional.scaled_dot_product_attention(heads, heads, heads),
        "conv1d n=2048 d=128 k=3": lambda: functional.conv1d(signal, kernel),
        "matmul 1024": lambda: edge_1024 @ edge_1024,
        "rnn n=2000 d=512": lambda: recurrent(sequence),
        "matmul 2800": lambda: edge_2800 @ edge_2800,
    }


def compare(pairs: int, seconds: float, rng: random.Random) -> dict[str, list[Pair]]:
    """Visit every operation `pairs` times by both clocks, with as many blocks of as many calls."""
    calls, clock = operations(), WallClock()
    shapes = {name: time_call(call, clock, Pace(seconds)) for name, call in calls.items()}
    found: dict[str, list[Pair]] = {name: [] for name in calls}

    def ours(name: str) -> float:
        shapes[name] = time_call(calls[name], clock, Pace(seconds))
        return min(shapes[name].block_seconds)

    def theirs(name: str) -> float:
        timer, shape = Timer("call()", globals={"call": calls[name]}), shapes[name]
        return min(timer.timeit(shape.iterations).mean for _ in shape.block_seconds)

    for _ in range(pairs):
        for name in rng.sample(list(calls), len(calls)):
            read = {reader: reader(name) for reader in rng.sample([ours, theirs], 2)}
            found[name].append(Pair(read[ours], read[theirs]))
    return found


def busy_call() -> Callable[[int], None]:
    """A function that takes a number of turns and does nothing else."""
    if (code := BUSY.get(platform.machine())) is None:
        raise SystemExit(f"there is no busy loop for {platform.machine()} here")
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    function.page = page  # which lives as long as what jumps into it
    return function


def busy_loop(visits: int, seconds: float, rng: random.Random) -> dict[int, float]:
    """Turns → by how much the seconds of the turns beyond the first differ from what they take, as a share.

    Delays only add, so each is read by its fastest block of all visits.
    """
    clock, spin = WallClock(), busy_call()
    fastest = dict.fromkeys((1, *TURNS), math.inf)
    calibrated = math.inf
    for _ in range(visits):
        for turns in rng.sample(list(fastest), len(fastest)):
            calibrated = min(calibrated, *(time_bare(spin, CALIBRATION) for _ in range(5)))
            blocks = time_call(partial(spin, turns), clock, Pace(seconds)).block_seconds
            fastest[turns] = min(fastest[turns], *blocks)
    one_turn = (calibrated - fastest[1]) / (CALIBRATION - 1)
    return {turns: (fastest[turns] - fastest[1]) / ((turns - 1) * one_turn) - 1 for turns in TURNS}


def time_bare(spin: Callable[[int], None], turns: int) -> float:
    """Seconds of one call between two readings of the system's clock, without any loop around it."""
    start = time.perf_counter()
    spin(turns)
    return time.perf_counter() - start


def timed_share(stored: StoredRun) -> float:
    """Timed seconds over wall seconds, from the start of the measuring stage to the end of its last visit."""
    visits = stored.visits
    last = max(visits, key=lambda visit: visit.started)
    return sum(visit.clock_seconds for visit in visits) / (last.started + last.clock_seconds)


def run_for_share(folder: str | None) -> tuple[str, float]:
    """The name of a run and its share."""
    if folder:
        stored = load(Path(folder))
        return stored.info.plan.suite.name, timed_share(stored)
    with tempfile.TemporaryDirectory() as results:
        made = run("scaling", results=results, budget="20s")
        return "scaling with a budget of 20 s", timed_share(made)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed, as one document."""
    rng, begun = random.Random(arguments.seed), time.monotonic()
    with torch.inference_mode():
        pairs = compare(arguments.pairs, arguments.seconds, rng)
        biases = busy_loop(2 * arguments.pairs, arguments.seconds, rng)
        step = min(time_call(lambda: None, WallClock(), Pace(arguments.seconds)).block_seconds)
    ratios = {name: median(pair.ratio for pair in found) for name, found in pairs.items()}
    suite, share = run_for_share(arguments.run)
    return {
        "operations": {
            name: {
                "ours": median(pair.ours for pair in found),
                "timer": median(pair.theirs for pair in found),
                "ratio": ratios[name],
            }
            for name, found in pairs.items()
        },
        "median_ratio": median(ratios.values()),
        "worst_ratio": max(ratios.values(), key=lambda ratio: abs(ratio - 1)),
        "busy_loop": {str(turns): bias for turns, bias in biases.items()},
        "worst_bias": max(biases.values(), key=abs),
        "empty_call_seconds": step,
        "suite": suite,
        "timed_share": share,
        "wall_seconds": time.monotonic() - begun,
    }


def show(found: dict[str, Any]) -> None:
    """Print the document as tables."""
    print(f"{'operation':<26} {'ours':>9} {'Timer':>9} {'ratio':>7}")
    for name, row in found["operations"].items():
        print(f"{name:<26} {units.seconds(row['ours']):>9} {units.seconds(row['timer']):>9} {row['ratio']:>7.4f}")
    print(f"median ratio {found['median_ratio']:.4f} (within 1 %), worst {found['worst_ratio']:.4f} (within 3 %)\n")
    print(f"{'turns of a busy loop':<26} {'bias':>8}")
    for turns, bias in found["busy_loop"].items():
        print(f"{turns:<26} {bias:>8.2%}")
    print(f"worst bias {found['worst_bias']:.2%} (within 1 %)")
    step = found["empty_call_seconds"]
    print(f"a call that does nothing: {units.seconds(step)}, {step / SHORTEST_OPERATION:.2%} of a call of 5 µs\n")
    print(f"timed share of measuring, {found['suite']}: {found['timed_share']:.1%} (at least 70 %)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="visits of each operation by each clock")
    parser.add_argument("--seconds", type=float, default=0.1, help="clock of one visit")
    parser.add_argument("--seed", type=int, default=0, help="of the random orders")
    parser.add_argument("--run", help="folder of a run to read the timed share from")
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
