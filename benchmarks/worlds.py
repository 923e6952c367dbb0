"""Simulated machines on which every law is known.

A world draws its coefficients, its grid, a constant cost of 0 to 30 % of the median time, noise of 1 to 10 % on every
block, a delay of one block in ten, and what a process does: 1 to 3 % to everything it runs, and as much to each
configuration (memory layout). On demand the achieved rate drifts with size, or breaks where a cache ends.
Nothing here knows how the estimators work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float64]]
Columns = Mapping[str, Array]

ROUNDS, ROUNDS_PER_PROCESS, BLOCKS = 6, 2, 5


@dataclass(frozen=True)
class Truth:
    """A law: its terms as exponents, what it is claimed as, and whether a factor log₂ n stands in front."""

    claim: str
    axes: tuple[str, ...]
    terms: tuple[tuple[float, ...], ...]
    logarithm: bool = False

    @property
    def exponents(self) -> tuple[float, ...]:
        """Exponents of a law of one term."""
        (only,) = self.terms
        return only


LAWS = {
    "n": Truth("n", ("n",), ((1,),)),
    "n·log n": Truth("n*log2(n)", ("n",), ((1,),), logarithm=True),
    "n^1.25": Truth("n**1.25", ("n",), ((1.25,),)),
    "n^1.75": Truth("n**1.75", ("n",), ((1.75,),)),
    "n^1.8 d": Truth("n**1.8*d", ("n", "d"), ((1.8, 1),)),
    "n²": Truth("n**2", ("n",), ((2,),)),
    "n²d": Truth("n**2*d", ("n", "d"), ((2, 1),)),
    "nd²": Truth("n*d**2", ("n", "d"), ((1, 2),)),
    "knd²": Truth("k*n*d**2", ("k", "n", "d"), ((1, 1, 2),)),
    "n^1.5 d": Truth("n**1.5*d", ("n", "d"), ((1.5, 1),)),
    "nd² + n²d": Truth("n*d**2 + n**2*d", ("n", "d"), ((1, 2), (2, 1))),
}
#: Laws of one term that a clock can tell apart.
SINGLE = ("n", "n²", "n²d", "nd²", "knd²", "n^1.5 d")


@dataclass(frozen=True)
class World:
    """What varies from one world to the next; a pair is a range to draw from.

    Attributes:
        noise: standard deviation of one block.
        overhead: share of the constant cost in the median time.
        process: standard deviation of what a process does, to everything and to each configuration.
        drift: exponent by which the achieved rate grows with size.
        jump: factor on the time past one footprint; 1 for none.
        tilt: standard deviation of what a process does to the exponents.
        narrow: whether the sizes span less than a decade of time.
    """

    noise: tuple[float, float] = (0.01, 0.10)
    overhead: tuple[float, float] = (0.0, 0.3)
    process: tuple[float, float] = (0.01, 0.03)
    drift: tuple[float, float] = (0.0, 0.0)
    jump: tuple[float, float] = (1.0, 1.0)
    tilt: float = 0.0
    narrow: bool = False


@dataclass(frozen=True)
class Seen:
    """One world as a tool sees it, and the truth beside it.

    Attributes:
        sizes: one row a configuration.
        blocks: seconds: configuration × round × block.
        truth: the law.
        exponents: exponents of the time once the constant is negligible, the drift taken off.
        coefficients: of the law's terms, in seconds.
        seconds_at: the true time, without noise, at other sizes.
        draw_visit: what one more visit of a configuration with this true time would read.
    """

    sizes: pd.DataFrame
    blocks: Array
    truth: Truth
    exponents: tuple[float, ...]
    coefficients: tuple[float, ...]
    seconds_at: Callable[[Columns], Array] = field(repr=False)
    draw_visit: Callable[[float], float] = field(repr=False)

    @property
    def visits(self) -> Array:
        """Median block of each visit: configuration × round."""
        return np.asarray(np.median(self.blocks, axis=2))

    @property
    def replicates(self) -> Array:
        """All blocks of a configuration side by side, as tools without processes and rounds see them."""
        return self.blocks.reshape(len(self.sizes), -1)


def draw(truth: Truth, world: World, seed: int) -> Seen:
    """One world, drawn with `seed`."""
    rng = np.random.default_rng(seed)
    sizes = _grid(truth.axes, world.narrow, rng)
    columns = {str(axis): column.to_numpy(dtype=float) for axis, column in sizes.items()}
    weights = (1.0,) if len(truth.terms) == 1 else (1.0, float(rng.uniform(0.3, 3.0)))
    drift = rng.uniform(*world.drift) * rng.dirichlet(np.ones(len(truth.axes)))
    footprint = np.log(np.array(list(columns.values()))).sum(axis=0)
    edge = np.quantile(footprint, rng.uniform(0.25, 0.75))
    jump = rng.uniform(*world.jump)
    raw = [_term(columns, exponents, truth) for exponents in truth.terms]
    scale = float(np.exp(rng.uniform(-9, -2)))
    coefficients = [w / float(np.median(term)) for w, term in zip(weights, raw, strict=True)]
    middle = float(np.median(sum(c * term for c, term in zip(coefficients, raw, strict=True))))
    coefficients = [scale * c / middle for c in coefficients]
    centre = [float(np.log(columns[axis]).mean()) for axis in truth.axes]

    def growing(at: Columns) -> Array:
        total = sum(c * _term(at, e, truth) for c, e in zip(coefficients, truth.terms, strict=True))
        slowed = sum(-g * (np.log(at[axis]) - c) for g, axis, c in zip(drift, truth.axes, centre, strict=True))
        past = np.log(np.array([at[axis] for axis in truth.axes])).sum(axis=0) > edge
        return np.asarray(total * np.exp(slowed) * np.where(past, jump, 1.0))

    share = rng.uniform(*world.overhead)
    constant = share / (1 - share) * float(np.median(growing(columns)))
    noise, process = rng.uniform(*world.noise), rng.uniform(*world.process)

    def seconds_at(at: Columns) -> Array:
        return constant + growing(at)

    blocks = _blocks(seconds_at(columns), columns, noise, process, world.tilt, rng)

    def draw_visit(seconds: float) -> float:
        lone = _blocks(np.array([seconds]), {}, noise, process, 0.0, rng)
        return float(np.median(lone[0, 0]))

    exponents = tuple(e - g for e, g in zip(truth.terms[0], drift, strict=True))
    return Seen(sizes, blocks, truth, exponents, tuple(coefficients), seconds_at, draw_visit)


def _grid(axes: tuple[str, ...], narrow: bool, rng: np.random.Generator) -> pd.DataFrame:
    """Four to eight sizes of one axis, three to five of each of several, doubling."""
    levels = {}
    for axis in axes:
        count = int(rng.integers(6, 9)) if len(axes) == 1 else int(rng.integers(3, 6))
        if axis == "k":
            levels[axis] = [3, 5, 9, 17][: int(rng.integers(3, 5))]
            continue
        first = {"n": 64, "d": 32}[axis] * 2 ** int(rng.integers(0, 4))
        step = 2.0 ** (0.5 / len(axes)) if narrow else 2.0
        levels[axis] = sorted({round(first * step**i) for i in range(min(count, 4) if narrow else count)})
    return pd.DataFrame(itertools.product(*levels.values()), columns=list(levels))


def _term(at: Columns, exponents: tuple[float, ...], truth: Truth) -> Array:
    value = np.prod([at[axis] ** power for axis, power in zip(truth.axes, exponents, strict=True)], axis=0)
    return np.asarray(value * (np.log2(at["n"]) if truth.logarithm else 1.0))


def _blocks(
    seconds: Array, columns: Columns, noise: float, process: float, tilt: float, rng: np.random.Generator
) -> Array:
    count, processes = len(seconds), -(-ROUNDS // ROUNDS_PER_PROCESS)
    shape = (count, ROUNDS, BLOCKS)
    luck = process * (rng.standard_normal((1, processes)) + rng.standard_normal((count, processes)))
    for column in columns.values():
        logs = np.log(column) - np.log(column).mean()
        luck = luck + tilt * logs[:, None] * rng.standard_normal((1, processes))
    of_round = np.repeat(luck, ROUNDS_PER_PROCESS, axis=1)[:, :ROUNDS]
    late = 1 + np.where(rng.random(shape) < 0.1, rng.exponential(0.3, shape), 0.0)
    whole = seconds[:, None, None] * np.exp(of_round[:, :, None] + noise * rng.standard_normal(shape)) * late
    return np.asarray(whole)
