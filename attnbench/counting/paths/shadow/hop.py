"""What one step costs: the only rule of the shadow execution.

Every number carries a label: what it has heard of. A label is a set of atoms; input position p is the atom p, and
weights and constants have the empty label 0. A number computed from several labels knows the largest of them if that
contains all others; else it knows their union and one new atom, which stands for this meeting.

An edge from a number that is read to the number computed costs one hop if the label changes, and nothing otherwise.
So mixing the features of one position is free, a sum over positions is one hop, and a recurrent step is one hop
however many gates it is written with: after the first gate, the others learn nothing new.

A sum of many numbers that brings labels together anywhere is a step for everything that passes through it: the first
position of a causal convolution sees only itself, and has still gone through one layer.

A hop moves information from one position to another, so what is met on the spot costs nothing: the input of a recurrent
step, or the sum of both directions of a recurrence. Where a number is at home shows only in the end, by the position at
which its label comes out; a second run then counts with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.operators.contract.dependencies import Reads

Distances = NDArray[np.float32]
Labels = NDArray[np.int64]

#: Distances looked at together; bounds the memory of one step.
_TOGETHER = 1 << 22
#: No run has as many labels; two of them are one number.
_PAIR = 1 << 31


@dataclass(frozen=True, slots=True)
class Shadow:
    """What is known of a row of numbers.

    Attributes:
        distance: ``[number, source]``, hops from each input position; inf where it is not reached.
        label: ``[number]``; 0 for a constant.
    """

    distance: Distances
    label: Labels

    def take(self, numbers: Reads) -> Shadow:
        """The shadows of some of the numbers, in order; -1 gives a constant."""
        distance, label = self.distance[numbers], self.label[numbers]
        nothing = numbers < 0
        distance[nothing], label[nothing] = np.inf, 0
        return Shadow(distance, label)


def constants(count: int, sources: int) -> Shadow:
    """Numbers that no input position reaches."""
    return Shadow(np.full((count, sources), np.inf, np.float32), np.zeros(count, np.int64))


def join(shadows: list[Shadow]) -> Shadow:
    """Several rows of numbers, one after the other."""
    return Shadow(np.concatenate([one.distance for one in shadows]), np.concatenate([one.label for one in shadows]))


class Meetings:
    """All labels of one run: each set of labels that met has one label, whoever computes it."""

    def __init__(self, sources: int) -> None:
        self.sources = sources
        self._atoms = [0, *(1 << p for p in range(sources))]  # label → set of atoms, as bits
        self._known: dict[frozenset[int], int] = {}
        # Pairs of a label that is read and the one computed, as numbers: what enters, and whatever meets, on the spot.
        self._entered = self._on_the_spot = np.empty(0, np.int64)

    def at(self, position: int) -> int:
        """The label of an input position."""
        return position + 1

    def meet(self, labels: frozenset[int]) -> int:
        """The label of a number computed from numbers with these labels."""
        if labels not in self._known:
            together = 0
            for label in labels:
                together |= self._atoms[label]
            largest = next((label for label in labels if self._atoms[label] == together), None)
            if largest is None:
                largest = len(self._atoms)
                self._atoms.append(together | 1 << largest)
            self._known[labels] = largest
        return self._known[labels]

    def settle(self, outputs: Sequence[set[int]]) -> bool:
        """Whether some meetings cost nothing, as the labels that come out at each position show; they do from now on.

        A label is at home where it comes out, if that is one position that it knows, and so are labels that met there
        and all knew it. An input is on the spot in what is at home at its own position, if this is so for all inputs,
        but the one that a recurrence starts from.
        """
        homes = self._homes(outputs)
        met, entered = set[int](), set[int]()
        for labels, together in self._known.items():
            if (home := homes.get(together)) is None:
                continue
            if self._all_know(labels, home):
                met |= {label * _PAIR + together for label in labels - {together}}
            elif self.at(home) in labels:
                entered.add(self.at(home) * _PAIR + together)
        if len({pair // _PAIR for pair in entered}) < self.sources - 1:
            entered = set()
        self._entered, self._on_the_spot = (
            np.array(sorted(entered), np.int64),
            np.array(sorted(met | entered), np.int64),
        )
        return bool(met | entered)

    def _homes(self, outputs: Sequence[set[int]]) -> dict[int, int]:
        out = set[int]().union(*outputs)
        homes = {}
        for label in out:
            places = [place for place, labels in enumerate(outputs) if label in labels]
            if len(places) == 1 and self._all_know({label}, places[0]):
                homes[label] = places[0]
        for labels, together in self._known.items():
            if together in homes and self._all_know(labels, homes[together]):
                homes |= dict.fromkeys(labels - out, homes[together])
        return homes

    def _all_know(self, labels: Collection[int], position: int) -> bool:
        return all(self._atoms[label] >> position & 1 for label in labels)

    def step(self, read: Shadow, reads: Reads, *, a_sum: bool) -> Shadow:
        """Numbers computed from others: output o reads ``read[reads[o, k]]`` for every k.

        Args:
            read: the numbers that can be read.
            reads: ``[output, k]``.
            a_sum: the outputs are sums (or maxima, or transforms) made by one operation, not separate merges.
        """
        if reads.shape[1] == 1:
            return read.take(reads[:, 0])
        heard = np.where(reads < 0, 0, read.label[reads])  # also right for -1, which reads the last number
        label, met = self._labels(heard)
        cost = np.ones(heard.shape, np.float32) if a_sum and met else (heard != label[:, None]).astype(np.float32)
        if (free := self._entered if a_sum else self._on_the_spot).size:
            cost[np.isin(heard * _PAIR + label[:, None], free)] = 0
        cost[heard == 0] = np.inf
        return Shadow(_nearest(read.distance, reads, cost), label)

    def _labels(self, heard: Labels) -> tuple[Labels, bool]:
        """The label of every output, and whether labels met anywhere without one that contains the others."""
        heard = np.sort(heard, axis=1)
        label = heard[:, -1] if heard.shape[1] else np.zeros(len(heard), np.int64)
        several = ((heard > 0) & (heard != label[:, None])).any(axis=1)
        if not several.any():
            return label, False
        rows, inverse = np.unique(heard[several], axis=0, return_inverse=True)
        sets = [frozenset(row) - {0} for row in rows.tolist()]
        met = np.array([self.meet(labels) for labels in sets])
        label = label.copy()
        label[several] = met[inverse.reshape(-1)]
        return label, any(new not in labels for new, labels in zip(met.tolist(), sets, strict=True))


def _nearest(distance: Distances, reads: Reads, cost: Distances) -> Distances:
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
