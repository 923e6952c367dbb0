"""Maximum path length: how many hops information needs between two positions, however far apart.

One hop is one step that moves information between positions: one attention, one convolution, one step of a
recurrence. A layer that does not connect all pairs is stacked on itself until no further pair gets connected; a
layer with an axis ``l`` of its own, the layers in its stack, is built with l = 1, 2, 3 … instead.

Two conventions. *io*: from input position i to output position j (Vaswani et al.). *rf*: two input positions are
within the receptive field of one output (the book's); for a centred kernel it is half of io.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attnbench.counting.paths.case import drawn
from attnbench.counting.paths.shadow.run import Watched, watch
from attnbench.layers.base import Layer
from attnbench.trial import Sizes

Direction = Literal["both", "left to right", "right to left"]

#: Increments of a layer's own ``l`` without a new pair, after which no further pair is expected.
_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Hops:
    """How far apart positions are, in hops.

    Attributes:
        io: largest distance from an input position to another output position; inf if some pair never connects.
        rf: largest distance at which two input positions meet in one output; inf likewise.
        layers: how many layers it takes until no further pair gets connected.
        reach: share of all n² pairs of an input and an output position that are connected then.
        direction: whether all pairs that could connect lie in one direction, as in a causal layer.
        unknown: operations without a rule, taken for one sum over all they are given; with any, the rest is a guess.
    """

    io: float
    rf: float
    layers: int
    reach: float
    direction: Direction
    unknown: tuple[str, ...]


def hops_at(layer: Layer, sizes: Sizes) -> Hops:
    """Maximum path length of a layer at `sizes`, by one run for each layer of the stack it needs.

    Raises:
        LayerError: the layer cannot be built or called there, or has no positions to follow.
    """
    return _grown(layer, sizes).result()


def path_map(layer: Layer, sizes: Sizes) -> NDArray[np.float32]:
    """``(n, n)``, ``[output, input]``: hops from every input position to every output position, inf where never.

    Through as many layers as it takes until no further pair gets connected; the largest number beside the diagonal is
    `Hops.io`. On the diagonal stands what a position needs to arrive where it is: 0 where it is at most met there, by
    the state of a recurrence for example; 1 where it goes through a layer that mixes.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or has no positions to follow.
    """
    return _grown(layer, sizes).distance


def hop_matrix(layer: Layer, sizes: Sizes) -> NDArray[np.float32]:
    """``[output, input]``: hops through one layer from every input position to every output position.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or has no positions to follow.
    """
    return _one_layer(layer, sizes).hops


def _one_layer(layer: Layer, sizes: Sizes) -> Watched:
    with drawn(layer, sizes, seed=0, weights_differ=True) as case:
        found = watch(case)
    # Information that ends at another position has moved, if only by a shift.
    return Watched(np.maximum(found.hops, 1 - np.eye(case.length, dtype=np.float32)), found.unknown)


def _grown(layer: Layer, sizes: Sizes) -> _Stack:
    grows, stack = layer.axes.get("l", 0) != 0, _Stack(sizes["n"])
    stack.grow(_own_layers(layer, sizes) if grows else _copies(layer, sizes), patient=grows)
    return stack


def _copies(layer: Layer, sizes: Sizes) -> Iterator[tuple[int, Watched]]:
    """Stacks of 1, 2, 3 … layers that are all alike."""
    one = _one_layer(layer, sizes)
    hops = one.hops
    for height in itertools.count(1):
        yield height, Watched(hops, one.unknown)
        hops = _through(one.hops, hops)


def _own_layers(layer: Layer, sizes: Sizes) -> Iterator[tuple[int, Watched]]:
    """The layer's own stacks of 1, 2, 3 … layers, or the sizes as they are if it refuses all of these."""
    heights = range(1, sizes["n"] + math.ceil(math.log2(sizes["n"])) + 2 + _PATIENCE)
    possible = [height for height in heights if not layer.broken_constraint({**sizes, "l": height})]
    for height in possible or [sizes["l"]]:
        yield height, _one_layer(layer, {**sizes, "l": height})


def _through(after: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """The shortest way through one layer and then another: a product of matrices with min for + and + for ×."""
    return np.stack([(row[:, None] + before).min(axis=0) for row in after])


class _Stack:
    """Distances through ever higher stacks, until no further pair gets connected.

    Attributes:
        distance: ``[output, input]``: hops, inf where no stack so far connects the two.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._others = ~np.eye(length, dtype=np.bool_)
        self.distance = np.full((length, length), np.inf, np.float32)
        self._meeting = np.full((length, length), np.inf, np.float32)  # [input, other input]
        self._layers = 1
        self._unknown: dict[str, None] = {}

    def grow(self, stacks: Iterator[tuple[int, Watched]], *, patient: bool) -> None:
        """Look at one stack after the other until they bring nothing new."""
        for height, stack in stacks:
            before = np.isfinite(self.distance).sum()
            self._add(stack)
            if np.isfinite(self.distance).sum() > before:
                self._layers = height
            if self._is_done(height, patient=patient):
                break

    def _add(self, stack: Watched) -> None:
        self.distance = np.minimum(self.distance, stack.hops)
        both = np.stack([np.maximum(column[:, None], stack.hops).min(axis=0) for column in stack.hops.T])
        self._meeting = np.minimum(self._meeting, both)
        self._unknown |= dict.fromkeys(stack.unknown)

    def _is_done(self, height: int, *, patient: bool) -> bool:
        if np.isfinite(self.distance).all():
            return True
        if not patient:
            return height > self._layers
        enough = self._layers if self._direction() else max(self._layers, math.log2(self._length) + 2)
        return height >= enough + _PATIENCE

    def _direction(self) -> Direction | None:
        """Where all pairs that could connect do; None where some pair is missing."""
        connected = np.isfinite(self.distance)
        later, earlier = np.tril(connected, -1), np.triu(connected, 1)
        pairs = self._length * (self._length - 1) // 2
        if later.sum() == earlier.sum() == pairs:
            return "both"
        if later.sum() == pairs and not earlier.any():
            return "left to right"
        return "right to left" if earlier.sum() == pairs and not later.any() else None

    def result(self) -> Hops:
        """What the distances say."""
        direction = self._direction()
        connectable = self._others & (np.isfinite(self.distance) if direction else True)
        return Hops(
            io=float(self.distance[connectable].max(initial=0)),
            rf=float(self._meeting[self._others].max(initial=0)),
            layers=self._layers,
            reach=float(np.isfinite(self.distance).mean()),
            direction=direction or "both",
            unknown=tuple(self._unknown),
        )
