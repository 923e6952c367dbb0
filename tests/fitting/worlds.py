"""Machines of one fixed law, for tests that need a certain truth; those of ``benchmarks/worlds.py`` draw theirs.

A process draws one factor for everything it runs and one for each configuration (memory layout), every block has its
own noise, and one block in ten is late by a random amount.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.time_law import Question, time_law
from attnbench.formula import Formula
from attnbench.trial import Choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fitting.model.observations import Array
    from attnbench.law import Law

    Truth = str | Callable[[Mapping[str, Array]], Array]

GRID = {"n": (128, 256, 512, 1024), "d": (64, 128, 256)}
ROUNDS_PER_PROCESS = 2


@dataclass(frozen=True)
class World:
    """How a simulated machine behaves.

    Attributes:
        truth: seconds, as a formula or as a function of columns of sizes.
        sizes: axis → sizes, measured on the full grid.
        rounds, blocks: visits of each trial, and timed blocks of each visit.
        process: standard deviation of what a process does to all its trials, and to each trial.
        noise: standard deviation of one block.
        late: share of blocks that something else delays, by 30 % on average.
    """

    truth: Truth
    sizes: dict[str, tuple[int, ...]] = field(default_factory=lambda: GRID)
    rounds: int = 6
    blocks: int = 3
    process: float = 0.02
    noise: float = 0.02
    late: float = 0.1

    @property
    def points(self) -> pd.DataFrame:
        """One row a trial."""
        return pd.DataFrame(itertools.product(*self.sizes.values()), columns=list(self.sizes))

    @property
    def seconds(self) -> Array:
        """True seconds of each trial."""
        columns = {axis: column.to_numpy(dtype=float) for axis, column in self.points.items()}
        if callable(self.truth):
            return np.asarray(self.truth({str(axis): column for axis, column in columns.items()}))
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return np.array([float(Formula(self.truth).evaluate(row)) for row in rows])

    @property
    def processes(self) -> tuple[int, ...]:
        """Process of each round."""
        return tuple(round_ // ROUNDS_PER_PROCESS for round_ in range(self.rounds))

    def blocks_seen(self, seed: int) -> Array:
        """Seconds of each block: trial × round × block."""
        rng = np.random.default_rng(seed)
        trials, processes = len(self.points), self.processes[-1] + 1
        shape = (trials, self.rounds, self.blocks)
        drawn = rng.standard_normal((1, processes)) + rng.standard_normal((trials, processes))
        of_round = np.exp(self.process * drawn)[:, self.processes]
        delay = 1 + np.where(rng.random(shape) < self.late, rng.exponential(0.3, shape), 0)
        noise = np.exp(self.noise * rng.standard_normal(shape))
        return np.asarray(self.seconds[:, None, None] * of_round[:, :, None] * noise * delay)

    def observed(self, seed: int = 0) -> Observations:
        """What the estimators are given."""
        return Observations(self.points, np.median(self.blocks_seen(seed), axis=2), self.processes)

    def tables(self, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Records and samples, as a run has them."""
        seen = self.blocks_seen(seed)
        names = ["x-" + "-".join(f"{axis}{size}" for axis, size in row.items()) for _, row in self.points.iterrows()]
        before = {"trial": names, "layer": "x", **asdict(Choices())}
        after = {"status": "ok", "reason": "", "seconds": np.median(seen, axis=(1, 2))}
        records = pd.DataFrame({**before, **{a: c.to_numpy() for a, c in self.points.items()}, **after})
        index = pd.MultiIndex.from_product([names, range(self.rounds), range(self.blocks)])
        samples = pd.Series(
            seen.ravel(), index=index.set_names(["trial", "round", "block"]), name="seconds"
        ).reset_index()
        return records, samples.assign(process=samples["round"].map(dict(enumerate(self.processes))))


def quiet(truth: Truth, sizes: dict[str, tuple[int, ...]] = GRID) -> World:
    """A machine without noise."""
    return World(truth, sizes, process=0, noise=0, late=0)


def noisy(truth: Truth, sizes: dict[str, tuple[int, ...]], noise: float, seed: int) -> Observations:
    """One reading of each configuration, with independent relative noise."""
    world = quiet(truth, sizes)
    factors = np.exp(noise * np.random.default_rng(seed).standard_normal((len(world.points), 1)))
    return Observations(world.points, world.seconds[:, None] * factors)


def doubling(first: int, count: int) -> tuple[int, ...]:
    """Sizes of one axis, each twice the one before."""
    return tuple(first * 2**power for power in range(count))


CORE, CORE_FLOPS = "n**2*d", "4*n**2*d"
LAYER, LAYER_FLOPS = "n*d**2 + n**2*d", "8*n*d**2 + 4*n**2*d"
LAYER_SECONDS = "8e-9*n*d**2 + 4e-9*n**2*d"
WIDE = {"n": (64, 256, 1024, 4096), "d": (64, 256, 1024)}
SHORT = {"n": (64, 128, 256), "d": (128, 256, 512)}
ALONG_N = {"n": doubling(64, 8)}


def law_at(world: World, claim: str | None, flops: str | None = None, seed: int = 0, **fields: object) -> Law:
    question = Question(Formula(claim) if claim else None, Formula(flops) if flops else None, **fields)  # type: ignore[arg-type]
    return time_law(*world.tables(seed), question)
