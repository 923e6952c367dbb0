"""What was observed: for each configuration its sizes, and what every visit of it read.

Three levels vary: blocks within a visit, visits of a configuration, and configurations about the law. Blocks of one
visit share a process and a moment, so a visit counts once, and a configuration is located by its visits. What is left
between configurations holds every source of error that differs from one to the next (noise, memory layout, the luck of
a process), and intervals are built on that, never on the number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: Axes are tied when the logarithms of their sizes, each scaled to one length, are this close to dependent.
_MAX_CONDITION = 100.0
#: An axis takes part in a tie when it has this weight in the direction that hardly varies.
_PART_OF_A_TIE = 0.1
#: Leaving one size out of this many leaves two, which still show a growth.
_SIZES_OF_A_WINDOW = 3


@dataclass(frozen=True)
class Observations:
    """Values of some configurations, all positive.

    Attributes:
        sizes: one row a configuration, one column a swept axis.
        by_round: what each visit (column) of each configuration (row) read; NaN where there was no visit.
        processes: the process of each round (column); each round is one of its own where nothing is said.
        floor: a value at sizes next to nothing, which no constant cost can exceed; None where nobody looked.
        tolerance: relative error that a value may have however little visits differ, as where there is no noise.
    """

    sizes: pd.DataFrame
    by_round: Array
    processes: tuple[int, ...] = ()
    floor: float | None = None
    tolerance: float = 0.0

    @cached_property
    def values(self) -> Array:
        """Location of each configuration: the mean of the faster half of its visits, at the level of their medians.

        Delays only add, and strike several visits of one configuration and none of another: the faster half forgives
        them. Put back to the level of the medians, all configurations by one factor, it is no smaller than a typical
        visit either.
        """
        logs = np.sort(np.log(self.by_round), axis=1)  # missing visits come last
        faster = -(-np.isfinite(logs).sum(axis=1) // 2)
        low = np.nancumsum(logs, axis=1)[np.arange(len(logs)), faster - 1] / faster
        located: Array = np.exp(low + np.mean(np.nanmedian(logs, axis=1) - low))
        return located

    @cached_property
    def of_processes(self) -> Array:
        """Mean logarithm of each configuration (row) in each process (column) that visited them all."""
        labels = np.array(self.processes or range(self.by_round.shape[1]))
        logs = np.log(self.by_round)
        complete = np.isfinite(logs).all(axis=0)
        kept = [logs[:, complete & (labels == label)] for label in dict.fromkeys(labels[complete])]
        if not kept:
            return np.zeros((len(logs), 0))
        return np.column_stack([part.mean(axis=1) for part in kept])

    @property
    def axes(self) -> tuple[str, ...]:
        """Swept axes."""
        return tuple(map(str, self.sizes.columns))

    @cached_property
    def raw_logs(self) -> Array:
        """Natural logarithms of the sizes: configuration × axis."""
        return np.asarray(np.log(self.sizes.to_numpy(dtype=float)))

    @property
    def centre(self) -> Array:
        """Mean logarithm of each axis."""
        return np.asarray(self.raw_logs.mean(axis=0))

    @cached_property
    def logs(self) -> Array:
        """Logarithms of the sizes, centred on their means."""
        centred: Array = self.raw_logs - self.centre
        return centred

    def slope_of_a_logarithm(self, axis: str) -> float:
        """Exponent that a factor log₂(axis) adds at these sizes."""
        logs = np.unique(self.raw_logs[:, self.axes.index(axis)])
        logs = logs[logs > 0]
        if len(logs) < 2:
            return 0.0
        return float(np.polyfit(logs, np.log(logs), 1)[0])

    @property
    def tied(self) -> tuple[str, ...]:
        """Axes that vary only together, or not at all: no values can tell their exponents apart."""
        return self._tied(np.ones(len(self.sizes), dtype=bool))

    def _tied(self, kept: Mask) -> tuple[str, ...]:
        """The same where only the configurations `kept` are known."""
        logs = self.raw_logs[kept]
        if still := tuple(a for a, column in zip(self.axes, logs.T, strict=True) if (column == column[:1]).all()):
            return still
        logs = logs - logs.mean(axis=0)
        # One row more for each axis: also of few configurations, all directions come back.
        padded = np.vstack([logs / np.linalg.norm(logs, axis=0), np.zeros((len(self.axes), len(self.axes)))])
        _, spread, directions = np.linalg.svd(padded, full_matrices=False)
        if spread[0] < _MAX_CONDITION * spread[-1]:
            return ()
        return tuple(a for a, part in zip(self.axes, directions[-1], strict=True) if abs(part) > _PART_OF_A_TIE)

    @property
    def resting_on_one(self) -> tuple[str, ...]:
        """Axes that are tied once some single configuration is left out: no other can check what that one says."""
        if len(self.sizes) > 10 * 2 ** len(self.axes):  # each size of a grid this large occurs several times
            counts = (self.sizes[axis].value_counts() for axis in self.axes)
            if all(len(count) > 2 or count.min() > 1 for count in counts):
                return ()
        numbers = np.arange(len(self.sizes))
        return next(filter(None, (self._tied(numbers != left_out) for left_out in numbers)), ())

    def only(self, kept: Mask) -> Observations:
        """The configurations where `kept` is true."""
        return replace(self, sizes=self.sizes[kept].reset_index(drop=True), by_round=self.by_round[kept])

    def windows(self) -> list[tuple[str, Mask]]:
        """The smallest and the largest size of each axis left out in turn, where the rest still shows each growth."""
        parts = []
        for axis in self.axes:
            column = self.sizes[axis].to_numpy()
            levels = np.unique(column)
            if len(levels) >= _SIZES_OF_A_WINDOW:
                parts.append((f"without {axis} = {levels[0]:g}", column != levels[0]))
                parts.append((f"without {axis} = {levels[-1]:g}", column != levels[-1]))
        return [(name, kept) for name, kept in parts if not self._tied(kept)]


def observe(records: pd.DataFrame, samples: pd.DataFrame, axes: tuple[str, ...]) -> Observations:
    """Observations of the trials in `records`, from their samples.

    A visit is a trial in a round, and reads its fastest block: within a visit delays are all that differs.
    """
    mine = samples[samples["trial"].isin(records["trial"])]
    visits = mine.groupby(["trial", "round"], sort=False)["seconds"].min().unstack("round").sort_index(axis=1)
    by_round = visits.reindex(records["trial"]).to_numpy(dtype=float)
    processes = mine.groupby("round")["process"].first().reindex(visits.columns)
    sizes = records[list(axes)].astype("int64").reset_index(drop=True)
    floors = records["floor_seconds"].dropna() if "floor_seconds" in records else ()
    return Observations(sizes, by_round, tuple(map(int, processes)), float(max(floors)) if len(floors) else None)
