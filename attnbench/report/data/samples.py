"""Every timed block of a trial, in the order in which it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attnbench.record import Visit
from attnbench.report.data.columns import TRIAL
from attnbench.report.data.labels import distinguishing_axes, size_labels
from attnbench.store.run_folder import StoredRun
from attnbench.store.summary import TUKEY_LABELS, tukey_labels

#: So many trials and blocks are drawn in one figure at most.
_MAX_TRIALS, _MAX_BLOCKS = 12, 800
#: Half the height of a row is one of these parts of the trial's median: the least that holds nearly all blocks.
_REACHES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_NEARLY_ALL = 0.97


@dataclass(frozen=True)
class Strip:
    """The blocks of one trial.

    Attributes:
        sizes: its sizes as text.
        blocks: one row a block, in the order taken: ``visit`` (counted from 0), ``place`` (visits passed until then),
            ``process, round, block, seconds``, ``apart`` (over the median of the trial, less one) and ``outlier``.
        location: what the law reads, over the median, less one.
    """

    sizes: str
    blocks: pd.DataFrame
    location: float

    @property
    def visits(self) -> pd.DataFrame:
        """The first block of each visit."""
        return self.blocks.drop_duplicates("visit")


@dataclass(frozen=True)
class Strips:
    """The strips that are drawn, and of how many trials and blocks they were chosen."""

    rows: tuple[Strip, ...]
    trials: int
    blocks: int

    @property
    def reach(self) -> float:
        """Half the height of a row."""
        sizes = np.abs(np.concatenate([row.blocks["apart"].to_numpy() for row in self.rows]))
        wanted = float(np.quantile(sizes, _NEARLY_ALL))
        return next((reach for reach in _REACHES if wanted <= reach), _REACHES[-1])


def strips(run: StoredRun, points: pd.DataFrame) -> Strips:
    """The blocks of the trials of `points`, from the shortest to the longest time; some of them, if they are many."""
    ordered = points.sort_values("seconds").reset_index(drop=True)
    visits = [_timed(run.visits_by_trial.get(trial, [])) for trial in ordered[TRIAL]]
    counts = [sum(len(visit.block_seconds) for visit in each) for each in visits]
    names = size_labels(ordered, distinguishing_axes(points)) if len(ordered) else []
    rows = (_strip(names[at], visits[at], float(ordered["seconds"][at])) for at in _chosen(counts))
    return Strips(tuple(rows), len(ordered), sum(counts))


def _timed(visits: Sequence[Visit]) -> list[Visit]:
    return [visit for visit in visits if visit.block_seconds]


def _chosen(counts: Sequence[int]) -> list[int]:
    """Which of the trials, evenly from the first to the last, so that their blocks can be drawn."""
    for number in range(min(_MAX_TRIALS, len(counts)), 0, -1):
        places = np.unique(np.linspace(0, len(counts) - 1, number).round().astype(int))
        if sum(counts[place] for place in places) <= _MAX_BLOCKS:
            return [int(place) for place in places]
    return [0] if counts else []


def _strip(sizes: str, visits: Sequence[Visit], location: float) -> Strip:
    rows = [
        (number, number + (block + 0.5) / len(visit.block_seconds), visit.process, visit.round, block, seconds)
        for number, visit in enumerate(visits)
        for block, seconds in enumerate(visit.block_seconds)
    ]
    frame = pd.DataFrame(rows, columns=["visit", "place", "process", "round", "block", "seconds"])
    seconds = frame["seconds"].to_numpy(dtype=np.float64)
    median = float(np.median(seconds))
    labels = [TUKEY_LABELS[label] for label in tukey_labels(seconds)]
    blocks = frame.assign(apart=seconds / median - 1, outlier=labels)
    return Strip(sizes, blocks.head(_MAX_BLOCKS), location / median - 1)
