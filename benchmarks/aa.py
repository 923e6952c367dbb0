"""A/A: how often `compare` finds a difference where there is none, and how often it finds a layer that is slower.

    python benchmarks/aa.py [--suite smoke] [--budget 60s] [--repeats 1] [--worlds 200] [--runs FOLDER]

First simulated runs with known effects (seeded), then pairs of real runs of one suite, made back to back on this
machine; with ``--runs``, all pairs of the runs in a folder instead, and with ``--repeats 0`` no real run at all.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from attnbench.errors import InputError
from attnbench.fitting.compare.ratios import ratios
from attnbench.fitting.compare.runs import MIN_CHANGE, compare
from attnbench.session.reading import load
from attnbench.session.run import run
from attnbench.store.run_info import runs_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.session.reading import Run

LAYERS, TRIALS, ROUNDS, BLOCKS = 5, 9, 2, 3
FALSE = 0.05


class World(NamedTuple):
    """What happens between two runs of five layers with nine trials each.

    A process has one effect on all its trials and one on each, both with this standard deviation; a block has noise of
    its own, and one in ten is late by 30 % on average; all of the second run is slower or faster by up to `shift`.
    """

    processes: int
    process: float
    noise: float
    shift: float


class Answer(NamedTuple):
    """Shares: unchanged trials called different, worlds with any such, 10 % slower trials and layers that are found."""

    false: float
    any_false: float
    trials_found: float
    layers_found: float


WORLDS = [
    World(processes, process, noise, shift)
    for processes in (2, 4)
    for process, noise in ((0.01, 0.01), (0.01, 0.05), (0.02, 0.02), (0.03, 0.10))
    for shift in (0.0, 0.03)
]


def samples(world: World, factor: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """One run: samples of all trials, each slowed by its `factor`."""
    shape = (LAYERS * TRIALS, world.processes, ROUNDS, BLOCKS)
    common = world.process * rng.standard_normal((1, world.processes, 1, 1))
    own = world.process * rng.standard_normal((*shape[:2], 1, 1))
    late = np.where(rng.random(shape) < 0.1, np.log1p(rng.exponential(0.3, shape)), 0.0)
    seconds = factor[:, None, None, None] * np.exp(common + own + world.noise * rng.standard_normal(shape) + late)
    trial, process, turn, _ = (index.ravel() for index in np.indices(shape))
    names = [f"{number:02}" for number in trial]
    return pd.DataFrame(
        {"trial": names, "process": process, "round": process * ROUNDS + turn, "seconds": seconds.ravel()}
    )


def simulate(world: World, worlds: int) -> Answer:
    """Compare `worlds` pairs of runs in which only the first layer is slower, by 10 %."""
    rng = np.random.default_rng(0)
    unchanged, slower = np.ones(LAYERS * TRIALS), np.repeat([1.1, *[1.0] * (LAYERS - 1)], TRIALS)
    groups = pd.Series(
        [f"layer {n // TRIALS}" for n in range(LAYERS * TRIALS)], [f"{n:02}" for n in range(LAYERS * TRIALS)]
    )
    answers = []
    for _ in range(worlds):
        shift = np.exp(rng.uniform(-world.shift, world.shift))
        base, again = samples(world, unchanged, rng), samples(world, unchanged * shift, rng)
        late = samples(world, slower * shift, rng)
        null = ratios(base, again).chances(MIN_CHANGE) <= FALSE
        found = ratios(base, late).chances(MIN_CHANGE)[:TRIALS] <= FALSE
        beside = ratios(base, late, groups).chances_beside(MIN_CHANGE)
        layer = stats.false_discovery_control(beside)[0] <= FALSE
        answers.append((null.mean(), null.any(), found.mean(), layer))
    return Answer(*map(float, np.mean(answers, axis=0)))


def real_pairs(arguments: argparse.Namespace) -> Iterator[tuple[Run, Run]]:
    """Pairs of runs of one suite."""
    if arguments.runs:
        yield from itertools.combinations([load(folder) for folder in sorted(runs_in(Path(arguments.runs)))], 2)
        return
    options = {"budget": arguments.budget} if arguments.budget else {}
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            yield run(arguments.suite, results=folder, **options), run(arguments.suite, results=folder, **options)


def real(arguments: argparse.Namespace) -> None:
    """Print how many trials and laws of real pairs differ."""
    different = same = trials = laws = changed = pairs = 0
    for base, new in real_pairs(arguments):
        try:
            found = compare(base, new)
        except InputError as error:
            print(error)
            continue
        pairs += 1
        trials += len(found.trials)
        different += sum(trial.change in ("slower", "faster") for trial in found.trials)
        same += sum(trial.change == "same" for trial in found.trials)
        laws += len(found.laws)
        changed += sum(law.change.endswith("changed") for law in found.laws)
        print(f"{base.info.name} against {new.info.name}: {' '.join(found.sentences)}")
    if trials:
        print(
            f"\n{pairs} pairs: {different} of {trials} trials differ ({different / trials:.2%}; at most 5 % may), "
            f"{same} are shown to be the same; {changed} of {laws} laws changed"
        )


def simulated(worlds: int) -> None:
    """Print how often simulated pairs differ."""
    print(
        f"{'processes':>9} {'effect':>7} {'noise':>6} {'shift':>6} {'false':>7} {'any':>6} {'trials':>7} {'layer':>6}"
    )
    for world in WORLDS:
        answer = simulate(world, worlds)
        print(
            f"{world.processes:>9} {world.process:>7.0%} {world.noise:>6.0%} {world.shift:>6.0%} {answer.false:>7.2%} "
            f"{answer.any_false:>6.0%} {answer.trials_found:>7.0%} {answer.layers_found:>6.0%}",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="smoke", help="a shipped suite or a file")
    parser.add_argument("--budget", help="clock of each run, such as 60s")
    parser.add_argument("--repeats", type=int, default=1, help="pairs of real runs")
    parser.add_argument("--worlds", type=int, default=200, help="simulated pairs for each row")
    parser.add_argument("--runs", help="folder of runs to compare instead of making any")
    arguments = parser.parse_args()
    if arguments.worlds:
        simulated(arguments.worlds)
    real(arguments)


if __name__ == "__main__":
    main()
