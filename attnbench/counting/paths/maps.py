"""The dependency map of a layer: path lengths between all positions, at one small length for all layers of a run."""

from __future__ import annotations

from attnbench.counting.calls import sizes_or_own_parts
from attnbench.counting.paths.hops import path_map
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.record import PathMap
from attnbench.trial import Sizes

#: The same for every layer, so that maps compare; small enough that every cell is seen.
_SIZES: Sizes = {"b": 1, "n": 32, "d": 8}
#: What says how far one layer looks, so small beside n that it shows; whoever refuses these keeps its own.
_SMALL_PARTS: Sizes = {"k": 3, "w": 4, "c": 8}


def path_map_of(layer: Layer) -> PathMap:
    """Hops between all positions at n = 32 and d = 8, or why the layer has no such map."""
    try:
        sizes = sizes_or_own_parts(layer, _SIZES, _SMALL_PARTS)
        rows = path_map(layer, sizes).tolist()
    except LayerError as error:
        return PathMap(refused=str(error))
    return PathMap(sizes, [" ".join(f"{hops:g}" for hops in row) for row in rows])
