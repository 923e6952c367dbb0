"""A layer at a few small sizes that its constraints allow: a module, inputs, and what it makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from attnbench.counting.calls import one_clear_line
from attnbench.counting.paths.case import positions_among, positions_of
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

    def output(self, inputs: Inputs | None = None) -> Tensor:
        """The tensor that comes out, of these inputs or of others.

        Raises:
            LayerError: the call raised, or returned no tensor.
        """
        with one_clear_line(self.layer, self.sizes, self.dtype):
            returned = apply(self.module, self.inputs if inputs is None else inputs)
        return output_of(self.layer, self.sizes, returned)

    def checked_output(self) -> Tensor:
        """The same, where it has the right shape.

        Raises:
            LayerError: it has another.
        """
        with one_clear_line(self.layer, self.sizes, self.dtype):
            check_output(self.layer, self.sizes, apply(self.module, self.inputs))
        return self.output()

    @cached_property
    def real_leaves(self) -> list[tuple[Tensor, int]]:
        """Inputs that a gradient can reach, each with its dimension of positions.

        Raises:
            LayerError: no input has a dimension of n.
        """
        leaves, along = tree_leaves(self.inputs), positions_among(self.layer, self.sizes, self.inputs)
        return [(leaves[place], at) for place, at in along.items() if leaves[place].is_floating_point()]

    def changed_at(self, position: int) -> Inputs:
        """The inputs, with other numbers at one position."""
        places = {id(leaf): at for leaf, at in self.real_leaves}

        def change(leaf: Any) -> Any:
            if id(leaf) not in places:
                return leaf
            more = torch.randn_like(leaf.narrow(places[id(leaf)], 0, 1))
            return leaf.index_add(places[id(leaf)], torch.tensor([position]), more)

        changed: Inputs = tree_map(change, self.inputs)
        return changed

    def item(self, index: int) -> Inputs:
        """The inputs of one sequence of the batch."""

        def take(leaf: Any) -> Any:
            batched = isinstance(leaf, Tensor) and leaf.ndim > 0 and leaf.shape[0] == self.sizes["b"]
            return leaf[index : index + 1] if batched else leaf

        taken: Inputs = tree_map(take, self.inputs)
        return taken

    def by_position(self, output: Tensor) -> Tensor:
        """``(n, rest)``: an output, position by position.

        Raises:
            LayerError: it has no dimension of n.
        """
        with one_clear_line(self.layer, self.sizes):
            tensor, dimension = positions_of(output, self.sizes["n"])
        return tensor.movedim(dimension, 0).reshape(self.sizes["n"], -1)
