"""What it saves to visit only what narrows the deciding interval, on simulated machines of known truth.

    python benchmarks/spending.py                  # 300 worlds a row, some minutes
    python benchmarks/spending.py --worlds 40

Each world begins with the three whole rounds of every run. It goes on until its verdict is settled, once by whole
rounds and once by the visits that the engine asks for. A visit costs a constant and five calls. The table shows the
clock of both, and whether they end with the right answer: looking again after each round must not confirm more often
what is not so, least of all an exponent that lies exactly on the margin of its claim.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attnbench.execute.rounds import MAX_ROUNDS, MIN_ROUNDS, ROUNDS_PER_PROCESS
from attnbench.fitting.model.observations import Mask, Observations
from attnbench.fitting.next_visits import Contest
from attnbench.fitting.time_law import Question
from attnbench.fitting.verdict.unjudged import unjudged_law
from attnbench.formula import Formula
from attnbench.law import Verdict
from benchmarks import worlds
from benchmarks.worlds import LAWS, SINGLE, Seen, Truth, World, draw

#: Rounds that a world has in store.
worlds.ROUNDS = MAX_ROUNDS

#: Seconds that a visit takes beside its calls, and how many calls it makes.
CONSTANT, CALLS = 0.05, 5


@dataclass(frozen=True)
class Row:
    """One row of the table: truths, the world they live in, whether a confirmation is right, and how often it must."""

    name: str
    truths: tuple[Truth, ...]
    world: World
    confirmed: bool
    goal: float


@dataclass(frozen=True)
class Spent:
    """How one world ended: its verdict, its clock, and how many rounds it took."""

    verdict: Verdict
    seconds: float
    first_seconds: float
    rounds: int


def _shifted(name: str, *by: float) -> Truth:
    """A law that grows otherwise than its claim says."""
    truth = LAWS[name]
    moved = tuple(exponent + more for exponent, more in zip(truth.exponents, by, strict=True))
    return Truth(truth.claim, truth.axes, (moved,))


RIGHT = tuple(LAWS[name] for name in SINGLE)
WRONG = (_shifted("n", 0.25), _shifted("n²d", -0.5, 0.0), _shifted("nd²", 0.25, 0.0), _shifted("n²", -0.2))
BORDER = (_shifted("n²", 0.1), _shifted("n²d", 0.1, 0.0), _shifted("nd²", 0.1, 0.0), _shifted("n", -0.1))
NOISY = World(noise=(0.10, 0.20), process=(0.03, 0.05))

ROWS = (
    Row("right claim", RIGHT, World(), confirmed=True, goal=0.90),
    Row("right claim, noise 10–20 %", RIGHT, NOISY, confirmed=True, goal=0.0),
    Row("right claim, rate drifts", RIGHT, World(drift=(0.0, 0.1)), confirmed=True, goal=0.0),
    Row("two terms", (LAWS["nd² + n²d"],), World(), confirmed=True, goal=0.0),
    Row("wrong claim", WRONG, World(), confirmed=False, goal=0.99),
    Row("claim off by the margin", BORDER, World(), confirmed=False, goal=0.94),
    Row("… noise 10–20 %", BORDER, NOISY, confirmed=False, goal=0.94),
)


def look(seen: Seen, visited: Mask) -> Contest:
    """The law after these visits."""
    by_round = np.where(visited, seen.visits[:, : visited.shape[1]], np.nan)
    processes = tuple(round_ // ROUNDS_PER_PROCESS for round_ in range(visited.shape[1]))
    observed = Observations(seen.sizes, by_round, processes)
    unjudged = unjudged_law(observed, Question(Formula(seen.truth.claim), per_sequence=False), "time", seen.sizes)
    return Contest(observed, unjudged.judged(unjudged.evidence), unjudged.evidence)


def settle(seen: Seen, *, whole: bool) -> Spent:
    """Visit until the verdict is settled."""
    columns = {str(axis): column.to_numpy(dtype=float) for axis, column in seen.sizes.items()}
    seconds = CONSTANT + CALLS * seen.seconds_at(columns)
    visited = np.ones((len(seconds), MIN_ROUNDS), dtype=bool)
    before = look(seen, visited[:, :-1]).law.verdict
    while True:
        contest, rounds = look(seen, visited), visited.shape[1]
        if rounds == MAX_ROUNDS or not contest.is_open(before, MAX_ROUNDS - rounds):
            break
        fresh = rounds % ROUNDS_PER_PROCESS == 0
        batch = np.ones(len(seconds), dtype=bool) if whole else contest.deciding.batch(seconds, fresh=fresh)
        visited, before = np.column_stack([visited, batch]), contest.law.verdict
    first = MIN_ROUNDS * float(seconds.sum())
    return Spent(contest.law.verdict, float(visited.sum(axis=1) @ seconds), first, rounds)


def both(number: int, seed: int) -> tuple[Spent, Spent]:
    """One world of a row by whole rounds, and by the engine's choice."""
    row = ROWS[number]
    seen = draw(row.truths[seed % len(row.truths)], row.world, seed)
    return settle(seen, whole=True), settle(seen, whole=False)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=300)
    asked = parser.parse_args()
    print(f"{asked.worlds} worlds a row; clock in units of the first {MIN_ROUNDS} rounds, mean over worlds")
    print(f"{'':<28}{'clock':>16}{'':>8}{'after the first':>18}{'':>8}{'rounds':>14}{'right':>16}{'goal':>8}")
    print(f"{'':<28}" + f"{'whole':>8}{'chosen':>8}{'ratio':>8}{'whole':>10}{'chosen':>8}{'ratio':>8}", end="")
    print(f"{'whole':>7}{'chosen':>7}{'whole':>8}{'chosen':>8}")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, row in enumerate(ROWS):
            pairs = list(pool.map(both, itertools.repeat(number), range(asked.worlds), chunksize=5))
            clock, later, rounds, right = [], [], [], []
            for each in zip(*pairs, strict=True):
                clock.append(float(np.mean([spent.seconds / spent.first_seconds for spent in each])))
                later.append(clock[-1] - 1)
                rounds.append(float(np.mean([spent.rounds for spent in each])))
                right.append(float(np.mean([(s.verdict is Verdict.CONFIRMED) is row.confirmed for s in each])))
            goal = f"≥ {row.goal:.0%}" if row.goal else ""
            ratio = f"{later[1] / later[0]:>8.2f}" if later[0] else f"{'—':>8}"
            print(
                f"{row.name:<28}{clock[0]:>8.2f}{clock[1]:>8.2f}{clock[1] / clock[0]:>8.2f}"
                f"{later[0]:>10.2f}{later[1]:>8.2f}{ratio}"
                f"{rounds[0]:>7.1f}{rounds[1]:>7.1f}{right[0]:>8.1%}{right[1]:>8.1%}{goal:>8}",
                flush=True,
            )


if __name__ == "__main__":
    main()
