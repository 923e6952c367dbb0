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

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.operators.contract.dependencies import Reads

Distances = NDArray[np.float32]
Labels = NDArray[np.int64]

#: Distances looked at together; bounds the memory of one step.
_TOGETHER = 1 << 22


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
        self._within = [0] * (sources + 1)  # label → the one that it took over as it was, 0 for none
        self._seats: dict[int, set[int]] = {}
        self._home: NDArray[np.int64] | None = None  # label → position, below 0 where it has none

    def at(self, position: int) -> int:
        """The label of an input position."""
        return position + 1

    def seat(self, labels: Labels, dimension: int) -> None:
        """Note at which index along a dimension of all positions each label stands, if at one alone."""
        if self._home is not None:
            return
        rows = np.moveaxis(labels, dimension, 0).reshape(self.sources, -1)
        index = np.arange(self.sources).repeat(rows.shape[1])
        first, last = np.full(len(self._atoms), -1), np.full(len(self._atoms), -1)
        last[rows.reshape(-1)] = index  # of several indices the last one written stays
        first[rows.reshape(-1)[::-1]] = index[::-1]
        for label in np.flatnonzero((first == last) & (first >= 0)).tolist():
            self._seats.setdefault(label, set()).add(int(first[label]))

    def meet(self, labels: frozenset[int]) -> int:
        """The label of a number computed from numbers with these labels."""
        if labels not in self._known:
            together = self._together(labels)
            largest = next((label for label in labels if self._atoms[label] == together), None)
            self._known[labels] = self._new(together) if largest is None else largest
        return self._known[labels]

    def _together(self, labels: frozenset[int]) -> int:
        together = 0
        for label in labels:
            together |= self._atoms[label]
        return together

    def _new(self, atoms: int, within: int = 0) -> int:
        label = len(self._atoms)
        self._atoms.append(atoms | 1 << label)
        self._within.append(within)
        return label

    def settle(self, outputs: Sequence[set[int]]) -> bool:
        """Find out where labels are at home; from now on, what is read at home costs nothing. Whether that may matter.

        An input is at home at its position, and so is a label that comes out at one position that it knows. Any other
        is where most of those are that it was computed from, or that were computed from it; of several such places it
        is where it stands in a sequence, if it does.
        """
        fixed = {self.at(p): p for p in range(self.sources)}
        for label in set[int]().union(*outputs) - fixed.keys():
            places = [place for place, labels in enumerate(outputs) if label in labels]
            if len(places) == 1 and self._knows(label, places[0]):
                fixed[label] = places[0]
        self._home = np.full(len(self._atoms), -1, np.int64)
        for label, place in self._spread(fixed).items():
            self._home[label] = place
        return True

    def _knows(self, label: int, position: int) -> bool:
        return bool(self._atoms[label] >> position & 1)

    def _spread(self, homes: dict[int, int]) -> dict[int, int]:
        read, readers = self._neighbours()
        seats = {label: {p for p in places if self._knows(label, p)} for label, places in self._seats.items()}
        homes = {label: next(iter(places)) for label, places in seats.items() if len(places) == 1} | homes
        left = [label for label in range(self.sources + 1, len(self._atoms)) if label not in homes]

        def votes(label: int, near: set[int]) -> int | None:
            counts = Counter(homes[other] for other in near if other in homes)
            possible = seats.get(label) or {place for place in counts if self._knows(label, place)}
            ranked = sorted(((counts[place], place) for place in possible), reverse=True)
            if not ranked or not ranked[0][0] or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
                return None
            return ranked[0][1]

        while left:
            found = {
                label: place for label in left if (place := votes(label, read[label] | readers[label])) is not None
            }
            found = found or {label: place for label in left if (place := votes(label, readers[label])) is not None}
            if not found:
                break
            homes |= found
            left = [label for label in left if label not in found]
        return homes

    def _neighbours(self) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
        read: dict[int, set[int]] = defaultdict(set)
        readers: dict[int, set[int]] = defaultdict(set)
        for labels, together in self._known.items():
            for label in labels - {together}:
                read[together].add(label)
                readers[label].add(together)
        return read, readers

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
        cost = self._cost(heard, label, met, a_sum=a_sum)
        cost[heard == 0] = np.inf
        return Shadow(_nearest(read.distance, reads, cost), label)

    def _cost(self, heard: Labels, label: Labels, met: NDArray[np.bool_], *, a_sum: bool) -> Distances:
        theirs = label[:, None]
        same = (heard == theirs) | (heard == np.array(self._within)[theirs])
        if self._home is None:
            return np.ones(heard.shape, np.float32) if a_sum and met.any() else (~same).astype(np.float32)
        home = self._home[theirs]
        at_home = (self._home[heard] == home) & (home >= 0)
        if not a_sum:
            return (~(same | at_home)).astype(np.float32)
        on_the_spot = (at_home | (heard == 0)).all(axis=1)
        if not (met & ~on_the_spot).any():
            return (~(same | on_the_spot[:, None])).astype(np.float32)
        homes = np.unique(home[label > 0])
        if len(homes) == 1 and homes[0] >= 0:
            return (~at_home).astype(np.float32)
        return np.ones(heard.shape, np.float32)

    def _labels(self, heard: Labels) -> tuple[Labels, NDArray[np.bool_]]:
        """The label of every output, and whether labels met there without one that contains the others."""
        heard = np.sort(heard, axis=1)
        label = heard[:, -1] if heard.shape[1] else np.zeros(len(heard), np.int64)
        met = np.zeros(len(heard), np.bool_)
        several = ((heard > 0) & (heard != label[:, None])).any(axis=1)
        if not several.any():
            return label, met
        rows, inverse = np.unique(heard[several], axis=0, return_inverse=True)
        sets = [frozenset(row) - {0} for row in rows.tolist()]
        found = self._met(sets)
        label = label.copy()
        label[several] = np.array(found)[inverse.reshape(-1)]
        new = [one not in labels and self._within[one] not in labels for one, labels in zip(found, sets, strict=True)]
        met[several] = np.array(new)[inverse.reshape(-1)]
        return label, met

    def _met(self, sets: list[frozenset[int]]) -> list[int]:
        """Each label; what contains several others in one operation is no number of any, but common to them."""
        first = {labels for labels in sets if labels not in self._known}
        found = [self.meet(labels) for labels in sets]
        partners = Counter(found[k] for k, labels in enumerate(sets) if found[k] in labels)
        for k, labels in enumerate(sets):
            if labels in first and found[k] in labels and partners[found[k]] > 1:
                found[k] = self._known[labels] = self._new(self._atoms[found[k]], within=found[k])
        return found


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
