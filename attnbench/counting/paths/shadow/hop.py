"""What one step costs: the only rule of the shadow execution.

Every number carries a label: what it has heard of. A label is a set of atoms; input position p is the atom p, and
weights and constants have the empty label 0. A number computed from several labels knows the largest of them if that
contains all others; else it knows their union and one new atom, which stands for this meeting. What contains several
others in one operation, as a sum over everything does that each position then adds to its own number, is common to
them: each of these meetings has a label of its own, and hears of nothing new.

An edge from a number that is read to the number computed costs one hop if the label changes, and nothing otherwise.
So mixing the features of one position is free, a sum over positions is one hop, and a recurrent step is one hop
however many gates it is written with: after the first gate, the others learn nothing new.

A sum of many numbers that brings labels together anywhere is a step for everything that passes through it: the first
position of a causal convolution sees only itself, and has still gone through one layer.

A hop moves information from one position to another, so an edge between two numbers that are at home at the same
position costs nothing: the input of a recurrent step, the sum of both directions of a recurrence, what is added to a
residual. Where labels are at home shows only in the end (`homes`). A sum that joins positions is still a step for
everything, unless it makes numbers for a single position: then it is the step of a recurrence, which its input enters.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
#: Label → position at which it is at home, below 0 where it has none.
Homes = NDArray[np.int64]
Costs = NDArray[np.float32]
_FREE, _ONE = np.float32(0), np.float32(1)


class Meetings:
    """All labels of one run: each set of labels that met has one label, whoever computes it.

    Attributes:
        sources: how many input positions there are.
        known: set of labels → label of what was computed from them.
    """

    def __init__(self, sources: int) -> None:
        self.sources = sources
        self.known: dict[frozenset[int], int] = {}
        self._atoms = [0, *(1 << p for p in range(sources))]  # label → set of atoms, as bits
        self._within = [0] * (sources + 1)  # label → the one that is common to it and others, 0 for none

    def __len__(self) -> int:
        """How many labels there are, the empty one among them."""
        return len(self._atoms)

    def at(self, position: int) -> int:
        """The label of an input position."""
        return position + 1

    def knows(self, label: int, position: int) -> bool:
        """Whether a label has heard of an input position."""
        return bool(self._atoms[label] >> position & 1)

    def labels(self, heard: Labels) -> tuple[Labels, NDArray[np.bool_]]:
        """The label of every row of labels read, and whether it is new: labels met of which none contains the others.

        Args:
            heard: ``[number, k]``; 0 for constants.
        """
        label = heard.max(axis=1)
        new = np.zeros(len(heard), np.bool_)
        several = ((heard > 0) & (heard != label[:, None])).any(axis=1)
        if several.any():
            rows = [frozenset(row) - {0} for row in heard[several].tolist()]
            sets = list(dict.fromkeys(rows))
            found = dict(zip(sets, self._met(sets), strict=True))
            are_new = {met: one not in met and self._within[one] not in met for met, one in found.items()}
            label[several], new[several] = [found[met] for met in rows], [are_new[met] for met in rows]
        return label, new

    def _met(self, sets: list[frozenset[int]]) -> list[int]:
        first = [labels not in self.known for labels in sets]
        found = [self._meet(labels) for labels in sets]
        shared = Counter(label for label, labels in zip(found, sets, strict=True) if label in labels)
        for place, (label, labels) in enumerate(zip(found, sets, strict=True)):
            if first[place] and shared[label] > 1 and label in labels:
                found[place] = self.known[labels] = self._new(self._atoms[label], within=label)
        return found

    def _meet(self, labels: frozenset[int]) -> int:
        if labels not in self.known:
            together = 0
            for label in labels:
                together |= self._atoms[label]
            largest = next((label for label in labels if self._atoms[label] == together), None)
            self.known[labels] = self._new(together) if largest is None else largest
        return self.known[labels]

    def _new(self, atoms: int, within: int = 0) -> int:
        label = len(self._atoms)
        self._atoms.append(atoms | 1 << label)
        self._within.append(within)
        return label

    def costs(self, heard: Labels, label: Labels, *, mixes: bool) -> Costs:
        """``[number, k]``: hops from each label read to the one computed, as long as nobody knows where they are.

        Args:
            heard: ``[number, k]``, what is read.
            label: ``[number]``, what is computed.
            mixes: it is computed by a sum that brings labels together anywhere.
        """
        return np.ones(heard.shape, np.float32) if mixes else np.where(self._are_alike(heard, label), _FREE, _ONE)

    def costs_between(
        self, heard: Labels, label: Labels, homes: Homes, *, a_sum: bool, new: NDArray[np.bool_]
    ) -> Costs:
        """The same where labels are at `homes`; `new` says which met there without one that contains the others."""
        alike, home = self._are_alike(heard, label), homes[label]
        at_home = (homes[heard] == home[:, None]) & (home >= 0)[:, None]
        if not a_sum:
            return np.where(alike | at_home, _FREE, _ONE)
        on_the_spot = (at_home | (heard == 0)).all(axis=1)
        if not (new & ~on_the_spot).any():
            return np.where(alike | on_the_spot[:, None], _FREE, _ONE)
        is_step = len(np.unique(home)) == 1
        return np.where(at_home & is_step, _FREE, _ONE)

    def _are_alike(self, heard: Labels, label: Labels) -> NDArray[np.bool_]:
        common = np.array(self._within)[label]
        return np.asarray((heard == label[:, None]) | (heard == common[:, None]))
