"""Where numbers are at home: the position that a label belongs to, as a state belongs to the step that makes it.

An input is at home at its position, and so is what comes out at one position alone and knows it. Of what lies between,
a number that stands in a sequence is at home where it stands; and one that stands in none, or in several places (a
sequence may be turned round), is where most of those are that it was computed from or that were computed from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from attnbench.counting.paths.shadow.hop import Homes, Labels, Meetings


class Seats:
    """At which indices of sequences labels were seen."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.of: dict[int, set[int]] = defaultdict(set)

    def see(self, labels: Labels) -> None:
        """Note every label that stands at one index alone of a dimension that is as long as the sequence."""
        for dimension, size in enumerate(labels.shape):
            if size == self._length > 1:
                self._see(np.moveaxis(labels, dimension, 0).reshape(size, -1))

    def _see(self, rows: Labels) -> None:
        index, flat = np.arange(self._length).repeat(rows.shape[1]), rows.reshape(-1)
        first, last = np.full((2, int(flat.max()) + 1), -1)
        last[flat] = index  # of several indices the one written last stays
        first[flat[::-1]] = index[::-1]
        for label in np.flatnonzero((first == last) & (first >= 0)).tolist():
            self.of[label].add(int(first[label]))


def homes_of(meetings: Meetings, seats: Seats, outputs: Sequence[set[int]]) -> Homes:
    """The position of every label, below 0 where it has none.

    Args:
        meetings: the labels.
        seats: where they were seen.
        outputs: for each position, the labels that come out there.
    """
    homes = _Homes(meetings, seats, outputs)
    homes.spread()
    found = np.full(len(meetings), -1, np.int64)
    for label, place in homes.known.items():
        found[label] = place
    found[0] = -1
    return found


class _Homes:
    """Homes known so far, and the votes for others."""

    def __init__(self, meetings: Meetings, seats: Seats, outputs: Sequence[set[int]]) -> None:
        known_places = {label: {p for p in places if meetings.knows(label, p)} for label, places in seats.of.items()}
        self._meetings, self._seats = meetings, known_places
        self.known = {label: next(iter(places)) for label, places in known_places.items() if len(places) == 1}
        for label in set[int]().union(*outputs):
            places = [place for place, labels in enumerate(outputs) if label in labels]
            if len(places) == 1 and meetings.knows(label, places[0]):
                self.known[label] = places[0]
        self.known |= {meetings.at(position): position for position in range(meetings.sources)}
        self._read: dict[int, set[int]] = defaultdict(set)
        self._readers: dict[int, set[int]] = defaultdict(set)
        for labels, together in meetings.known.items():
            self._read[together] |= labels - {together}
            for label in labels - {together}:
                self._readers[label].add(together)

    def spread(self) -> None:
        """Let labels without a home go where their neighbours are; where these disagree, where their readers are."""
        left = set(range(1, len(self._meetings))) - self.known.keys()
        while left:
            found = self._elected(left, lambda label: self._read[label] | self._readers[label])
            found = found or self._elected(left, lambda label: self._readers[label])
            if not found:
                break
            self.known |= found
            left -= found.keys()

    def _elected(self, labels: set[int], neighbours: Callable[[int], set[int]]) -> dict[int, int]:
        votes = {label: self._most(label, neighbours(label)) for label in labels}
        return {label: place for label, place in votes.items() if place is not None}

    def _most(self, label: int, neighbours: set[int]) -> int | None:
        """Where most of them are, if `label` may be there; None where two places have as many."""
        votes = Counter(self.known[other] for other in neighbours if other in self.known)
        places = self._seats.get(label) or {place for place in votes if self._meetings.knows(label, place)}
        ranked = sorted(((votes[place], place) for place in places if votes[place]), reverse=True)
        is_tied = len(ranked) > 1 and ranked[0][0] == ranked[1][0]
        return ranked[0][1] if ranked and not is_tied else None
