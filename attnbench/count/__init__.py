"""Counting: exact, deterministic, on fake tensors. No clock, no data.

The room itself can be called, ``attnbench.count("rnn", n=64, d=32)``: importing any part of it makes it the attribute
``count`` of the package, and would hide a function of that name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.record import Counted


class _Room(ModuleType):
    """A module that counts when it is called."""

    def __call__(self, layer: str | Layer, **sizes: int) -> Counted:
        """Exact counts of one call of a layer, at any size.

        Args:
            layer: the name of a layer, or a `Layer` of one's own.
            **sizes: such as ``n=4096, d=512``; axes left out take the layer's defaults.

        Raises:
            LayerError: the layer is unknown, or cannot be built, called or counted there.
        """
        from attnbench.count.laws import count_layer

        return count_layer(layer, **sizes)


sys.modules[__name__].__class__ = _Room
