"""Every number of a run that depends on an input position, and how far it is from each of them.

A run only notes which numbers each was computed from. Numbers that read the same are one: all features of a position,
once they were mixed. Distances are worked out afterwards, from the first number to the last, as often as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.paths.shadow.hop import Costs, Homes, Labels, Meetings

#: Names of numbers; 0 names all constants.
Names = NDArray[np.int64]
Distances = NDArray[np.float32]

#: Columns up to which nobody looks for equal ones.
_FEW = 4
#: Distances looked at together; bounds the memory of one step.
_TOGETHER = 1 << 22


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation: numbers from `first` on, made of what they read.

    Attributes:
        reads: ``[number, k]``; 0 for constants.
        new: ``[number]``, whether labels met there of which none contains the others.
    """

    first: int
    reads: Names
    new: NDArray[np.bool_]
    a_sum: bool


class Numbers:
    """The numbers of one run, in the order in which they were computed; input positions come first."""

    def __init__(self, meetings: Meetings) -> None:
        self._meetings = meetings
        labels = [0, *(meetings.at(position) for position in range(meetings.sources))]
        self._count = len(labels)
        self._labels = np.array(labels)
        self._random = np.random.default_rng(0)
        self._marks = np.zeros(1, np.int64)
        self._steps: list[_Step] = []

    def __len__(self) -> int:
        """How many numbers have a name, constants aside."""
        return self._count - 1

    def at(self, positions: Names) -> Names:
        """The numbers of an input, by the position of each."""
        return positions + 1

    def labels(self, names: Names) -> Labels:
        """What each number has heard of."""
        return self._labels[names]

    def step(self, reads: Names, *, a_sum: bool) -> Names:
        """Numbers computed from others.

        Args:
            reads: ``[number, k]``: the numbers that each was computed from; 0 for constants.
            a_sum: they are sums (or maxima, or transforms) made by one operation, not separate merges.
        """
        if reads.shape[1] < 2 or not len(reads):
            return np.asarray(reads[:, 0]) if reads.shape[1] else np.zeros(len(reads), np.int64)
        if (reads == reads[0]).all():  # most of all: the features of one position, mixed
            return np.repeat(self._made(np.unique(reads[0])[None], a_sum), len(reads))
        rows, inverse = _distinct(self._marked(self._count)[reads].sum(axis=1))
        reads = reads[rows]
        if reads.shape[1] > _FEW:
            columns, _ = _distinct(self._marked(len(reads) + 1)[1:] @ reads)
            reads = reads[:, columns]
        return np.asarray(self._made(reads, a_sum)[inverse])

    def _made(self, reads: Names, a_sum: bool) -> Names:
        """Names of what is computed: a new one, but where only one number is read on its own."""
        label, new = self._meetings.labels(self._labels[reads])
        names: Names = reads.max(axis=1)
        alone = ((reads == 0) | (reads == names[:, None])).all(axis=1)
        made = names > 0 if a_sum and new.any() else ~alone
        if made.any():
            first = self._add(label[made])
            self._steps.append(_Step(first, reads[made], new[made], a_sum))
            names[made] = np.arange(first, self._count)
        return names

    def _add(self, labels: Labels) -> int:
        first, self._count = self._count, self._count + len(labels)
        while self._count > len(self._labels):
            self._labels = np.concatenate([self._labels, np.zeros_like(self._labels)])
        self._labels[first : self._count] = labels
        return first

    def _marked(self, count: int) -> NDArray[np.int64]:
        """Random marks of `count` numbers, by whose sums sets of numbers are told apart."""
        while count > len(self._marks):
            self._marks = np.concatenate([self._marks, self._random.integers(1, 1 << 63, len(self._marks), np.int64)])
        return self._marks[:count]

    def distances(self, homes: Homes | None = None) -> Distances:
        """``[number, input position]``: hops, inf where it is not reached; by homes, once they are known."""
        sources = self._meetings.sources
        distance = np.full((self._count, sources), np.inf, np.float32)
        distance[1 : sources + 1][np.eye(sources, dtype=np.bool_)] = 0
        for step in self._steps:
            part = slice(step.first, step.first + len(step.reads))
            heard, label = self._labels[step.reads], self._labels[part]
            if homes is None:
                cost = self._meetings.costs(heard, label, mixes=step.a_sum and bool(step.new.any()))
            else:
                cost = self._meetings.costs_between(heard, label, homes, a_sum=step.a_sum, new=step.new)
            distance[part] = _nearest(distance, step.reads, cost)
        return distance


def _distinct(marks: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first place of every mark, and for every place which of these it is."""
    _, places, inverse = np.unique(marks, return_index=True, return_inverse=True)
    return places, inverse.reshape(-1)


def _nearest(distance: Distances, reads: Names, cost: Costs) -> Distances:
    """``min over k of distance[reads[o, k]] + cost[o, k]``, along whichever of o and k is longer."""
    outputs, width = reads.shape
    nearest = np.full((outputs, distance.shape[1]), np.inf, np.float32)
    if width <= outputs:
        for k in range(width):
            np.minimum(nearest, distance[reads[:, k]] + cost[:, k, None], out=nearest)
        return nearest
    chunk = max(1, _TOGETHER // max(1, width * distance.shape[1]))
    for start in range(0, outputs, chunk):
        part = slice(start, start + chunk)
        nearest[part] = (distance[reads[part]] + cost[part, :, None]).min(axis=1)
    return nearest
