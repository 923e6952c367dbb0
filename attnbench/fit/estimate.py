"""From visits to numbers with intervals.

Everything here works on `Observations`: for each trial its sizes, its smallest time over all visits, and its smallest
time in each round. An estimator is a function from seconds to a vector of parameters. Its interval has two parts:

* noise: the estimator is applied again without each round in turn (delete-one jackknife, Student's t). A round is the
  unit that repeats: rounds are spread over time and processes, so what they share is what another run would share. The
  smallest time forgives a round that was disturbed, and so does its jackknife;
* window: the estimator is applied again with the smallest, and with the largest, size of each axis left out. A law
  that holds does not move; how far it moves is the systematic part.

The two are added in quadrature. Samples within a visit are never treated as independent.

An axis of two sizes has no window to leave out, nor has one whose other sizes vary only together with another axis.
There the interval also spans what leaving out single trials says
(jackknife and Student's t once more): what a process does to one trial is common to its rounds, so they cannot show it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from attnbench.law import Estimate, Specification

Array = np.ndarray[Any, np.dtype[np.float64]]
Estimator = Callable[["Observations"], Array]

#: Axes are tied when the logarithms of their sizes, each scaled to one length, are this close to dependent.
_LARGEST_CONDITION = 100.0
#: An axis takes part in a tie when it has this weight in the direction that hardly varies.
_PART_OF_A_TIE = 0.1

#: Leaving one size out of this many leaves two, which still show a growth.
_SIZES_OF_A_WINDOW = 3


@dataclass(frozen=True)
class Observations:
    """Times of some trials.

    Attributes:
        sizes: one row a trial, one column a swept axis.
        best: smallest seconds of each trial, over all visits.
        by_round: smallest seconds of each trial (row) in each round (column); NaN where it was not visited.
    """

    sizes: pd.DataFrame
    best: Array
    by_round: Array

    @property
    def axes(self) -> tuple[str, ...]:
        """Swept axes."""
        return tuple(map(str, self.sizes.columns))

    @property
    def logs(self) -> Array:
        """Natural logarithms of the sizes, centred on their means."""
        logs = np.log(self.sizes.to_numpy(dtype=float))
        centred: Array = logs - logs.mean(axis=0)
        return centred

    @property
    def tied(self) -> tuple[str, ...]:
        """Axes that vary only together, or not at all: no times can tell their exponents apart."""
        lengths = np.linalg.norm(self.logs, axis=0)
        if not lengths.all():
            return tuple(axis for axis, length in zip(self.axes, lengths, strict=True) if not length)
        # One row more for each axis: also of few trials, all directions come back.
        padded = np.vstack([self.logs / lengths, np.zeros((len(self.axes), len(self.axes)))])
        _, spread, directions = np.linalg.svd(padded, full_matrices=False)
        if spread[0] < _LARGEST_CONDITION * spread[-1]:
            return ()
        return tuple(a for a, part in zip(self.axes, directions[-1], strict=True) if abs(part) > _PART_OF_A_TIE)

    def only(self, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Observations:
        """The trials where `kept` is true."""
        return Observations(self.sizes[kept].reset_index(drop=True), self.best[kept], self.by_round[kept])

    def without_each_round(self) -> list[Observations]:
        """The same trials, their smallest times taken without one round; a trial's only round is never left out."""
        parts = []
        for left_out in range(self.by_round.shape[1]):
            others = np.delete(self.by_round, left_out, axis=1)
            if others.shape[1] and np.isfinite(others).any(axis=1).all():
                parts.append(Observations(self.sizes, np.nanmin(others, axis=1), others))
        return parts

    def without_each_trial(self) -> list[Observations]:
        """All trials but one, for each, where the rest still shows each growth."""
        numbers = np.arange(len(self.best))
        parts = [self.only(numbers != left_out) for left_out in numbers]
        return [part for part in parts if not part.tied]

    @property
    def resting_on_one_trial(self) -> tuple[str, ...]:
        """Axes that are tied once some single trial is left out: no other trial can check what that one says."""
        numbers = np.arange(len(self.best))
        return next(filter(None, (self.only(numbers != left_out).tied for left_out in numbers)), ())

    def windows(self) -> list[tuple[str, Observations]]:
        """The smallest and the largest size of each axis left out in turn, where the rest still shows each growth."""
        parts = []
        for axis in self.axes:
            column = self.sizes[axis].to_numpy()
            levels = np.unique(column)
            if len(levels) >= _SIZES_OF_A_WINDOW:
                parts.append((f"without {axis} = {levels[0]}", self.only(column != levels[0])))
                parts.append((f"without {axis} = {levels[-1]}", self.only(column != levels[-1])))
        return [(name, part) for name, part in parts if not part.tied]


@dataclass(frozen=True)
class Fitted:
    """Parameters with their intervals, and the specification curve behind the systematic part."""

    estimates: tuple[Estimate, ...]
    curve: tuple[tuple[str, Array], ...]


def observe(records: pd.DataFrame, samples: pd.DataFrame, axes: tuple[str, ...]) -> Observations:
    """Observations of the trials in `records` (status ok), from their samples."""
    rounds = samples.pivot_table(index="trial", columns="round", values="seconds", aggfunc="min")
    by_round = rounds.reindex(records["trial"]).to_numpy(dtype=float)
    sizes = records[list(axes)].astype("int64").reset_index(drop=True)
    return Observations(sizes, records["seconds"].to_numpy(dtype=float), by_round)


def fit_with_intervals(estimator: Estimator, observed: Observations, level: float = 0.9) -> Fitted | None:
    """Parameters of all observations together, with intervals; None with fewer than two rounds of each trial."""
    rounds = observed.without_each_round()
    if len(rounds) < 2:
        return None
    whole = estimator(observed)
    noise = _student(level, len(rounds) - 1) * _jackknife(estimator, rounds)
    curve = tuple((name, estimator(part)) for name, part in observed.windows())
    moved = [np.abs(values - whole) for _, values in curve]
    systematic = np.max(moved, axis=0) if moved else np.zeros_like(whole)
    half = np.hypot(noise, systematic)
    if len(curve) < 2 * len(observed.axes):  # some end of some axis could not be left out
        spare = max(1, len(observed.best) - len(observed.axes) - 1)
        half = np.maximum(half, _student(level, spare) * _jackknife(estimator, observed.without_each_trial()))
    estimates = tuple(Estimate(float(v), float(v - h), float(v + h), level) for v, h in zip(whole, half, strict=True))
    return Fitted(estimates, curve)


def _jackknife(estimator: Estimator, parts: list[Observations]) -> Array:
    """Standard error from the estimates without each part in turn."""
    each = np.array([estimator(part) for part in parts])
    scale = (len(parts) - 1) / len(parts)
    error: Array = np.sqrt(scale * np.square(each - each.mean(axis=0)).sum(axis=0))
    return error


def _student(level: float, freedom: int) -> float:
    """How many standard errors on either side hold the truth with probability `level`."""
    return float(stats.t.ppf((1 + level) / 2, freedom))


def specifications(fitted: Fitted, axes: tuple[str, ...]) -> tuple[Specification, ...]:
    """The specification curve of an estimator whose first parameters are the exponents of `axes`."""
    named = [("all sizes", np.array([e.value for e in fitted.estimates])), *fitted.curve]
    return tuple(
        Specification(name, {axis: float(value) for axis, value in zip(axes, values, strict=False)})
        for name, values in named
    )


def power_law(observed: Observations) -> Array:
    """Exponent of each axis, then the logarithm of the level at the centre: ``log T = level + Σ α log x``.

    Ordinary least squares on logarithms: noise of a running time is relative.
    """
    matrix = np.column_stack([observed.logs, np.ones(len(observed.best))])
    solution, *_ = np.linalg.lstsq(matrix, np.log(observed.best), rcond=None)
    return np.asarray(solution, dtype=float)
