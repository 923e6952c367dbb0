"""A layer at a few small sizes that its constraints allow: a module, inputs, and what it makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn

from attnbench.check.draws import Draws
from attnbench.counting.calls import one_clear_line
from attnbench.counting.paths.case import positions_of
from attnbench.errors import LayerError
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.layers.building import Inputs, apply, build_module, check_output, make_inputs, output_of
from attnbench.trial import Sizes

#: Sizes in the order in which they are tried: odd ones first, then what blocks and heads divide.
_USUAL = {"b": (3,), "n": (15, 21, 27, 16, 24, 32, 48, 64, 128, 256), "d": (8, 12, 16, 24, 32, 48, 64, 128, 256)}
_OTHER = {"b": (2,), "n": (45, 35, 25, 36, 40, 64, 96, 256), "d": (9, 15, 6, 10, 12, 8, 16, 24, 32, 48, 64, 128, 256)}
_PARTS = (5, 3, 2, 4, 8, 16)


def points(layer: Layer) -> list[Sizes]:
    """Two sets of small sizes: the layer's own defaults at an odd length, and others that are odd throughout.

    Raises:
        LayerError: the constraints leave none of the sizes tried.
    """
    found = [_first_allowed(layer, _USUAL, defaults=True), _first_allowed(layer, _OTHER, defaults=False)]
    if possible := [sizes for sizes in found if sizes]:
        return possible
    raise LayerError(f"layer {layer.name!r}: its constraints leave none of the small sizes that are checked")


def _first_allowed(layer: Layer, inputs: dict[str, tuple[int, ...]], *, defaults: bool) -> Sizes | None:
    pools: dict[str, Sequence[int]] = {}
    for axis, default in layer.axes.items():
        own = tuple(filter(None, (default or DEFAULT_SIZES.get(axis),))) if defaults else ()
        bound = axis in layer.constrained_axes or not own
        pools[axis] = inputs.get(axis) or ((*own, *_PARTS) if bound else own)
    every = (dict(zip(pools, combination, strict=True)) for combination in itertools.product(*pools.values()))
    return next((sizes for sizes in every if not layer.broken_constraint(sizes)), None)


@dataclass(frozen=True)
class Case:
    """A built layer and inputs for it."""

    layer: Layer
    sizes: Sizes
    dtype: str
    module: nn.Module
    inputs: Inputs

    @classmethod
    def of(cls, layer: Layer, sizes: Sizes, dtype: str = "float64", seed: int = 7) -> Self:
        """Weights and inputs drawn from `seed`.

        Raises:
            LayerError: the layer cannot be built.
        """
        torch.manual_seed(seed)
        module = build_module(layer, sizes, dtype=dtype)
        return cls(layer, sizes, dtype, module, make_inputs(layer, sizes, dtype=dtype))

    def output(self, inputs: Inputs | None = None, **sizes: int) -> Tensor:
        """The tensor that comes out, of these inputs or of others, and other `sizes`.

        Raises:
            LayerError: the call raised, or returned no tensor.
        """
        with one_clear_line(self.layer, self.sizes, self.dtype):
            returned = apply(self.module, self.inputs if inputs is None else inputs)
        return output_of(self.layer, self.sizes | sizes, returned)

    def checked_output(self) -> Tensor:
        """The same, where it has the right shape.

        Raises:
            LayerError: it has another.
        """
        with one_clear_line(self.layer, self.sizes, self.dtype):
            check_output(self.layer, self.sizes, apply(self.module, self.inputs))
        return self.output()

    @cached_property
    def draws(self) -> Draws:
        """These inputs, and others of the layer."""
        return Draws(self.layer, self.sizes, self.dtype, self.inputs)

    def by_position(self, output: Tensor) -> Tensor:
        """``(n, rest)``: an output, position by position.

        Raises:
            LayerError: it has no dimension of n.
        """
        with one_clear_line(self.layer, self.sizes):
            tensor, dimension = positions_of(output, self.sizes["n"])
        numbers = tensor if tensor.is_complex() else tensor.double()
        return numbers.movedim(dimension, 0).reshape(self.sizes["n"], -1)
