"""Other inputs than the ones a layer has, as valid as they are: other draws, other numbers at a position, one sequence.

What another call of ``inputs()`` gives is valid whatever the vocabulary is, and what is the same in every draw (a mask,
a table, numbers of positions) is no sequence that an output could depend on.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from attnbench.counting.paths.case import position_dimension, positions_among
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, make_inputs
from attnbench.trial import Sizes

#: Other draws, and their seed: of few words, two sequences may have the same at one place.
_DRAWS, _SEED = 6, 1009


class Draws:
    """Inputs of a layer, and others.

    Args:
        layer: whose inputs they are.
        sizes: what they were made for.
        dtype: the same.
        inputs: the inputs.
    """

    def __init__(self, layer: Layer, sizes: Sizes, dtype: str, inputs: Inputs) -> None:
        self._layer, self._sizes, self._dtype = layer, sizes, dtype
        self._leaves, self._form = tree_flatten(inputs)

    @cached_property
    def along(self) -> dict[int, int]:
        """Place among the leaves → dimension of positions, of what differs between draws; if nothing does, of all."""
        if not any(position_dimension(leaf, self._sizes["n"]) is not None for leaf in self._numbers):
            return {}
        along = positions_among(self._layer, self._sizes, self.inputs(self._leaves))
        drawn = {place for place in along for draw in self._draws if _differ(self._leaves[place], draw[place])}
        return {place: at for place, at in along.items() if place in drawn or not drawn}

    @property
    def real(self) -> list[tuple[Tensor, int]]:
        """Inputs with positions that a gradient can reach, each with its dimension of positions."""
        return [(self._leaves[place], at) for place, at in self.along.items() if _is_real(self._leaves[place])]

    @property
    def floating(self) -> list[Tensor]:
        """Inputs that a gradient can reach, with positions or without."""
        return [leaf for leaf in self._leaves if isinstance(leaf, Tensor) and _is_real(leaf)]

    @property
    def tokens(self) -> list[Tensor]:
        """Inputs with positions that are whole numbers."""
        return [self._leaves[place] for place in self.along if not _is_real(self._leaves[place])]

    def inputs(self, leaves: list[Any]) -> Inputs:
        """Inputs of the same form."""
        inputs: Inputs = tree_unflatten(leaves, self._form)
        return inputs

    def changed_at(self, position: int) -> Inputs | None:
        """The inputs, with what another draw has at one position; None where all draws have the same."""
        leaves = list(self._leaves)
        for place, at in self.along.items():
            mine = leaves[place].narrow(at, position, 1)
            others = (draw[place].narrow(at, position, 1) for draw in self._others)
            other = next((other for other in others if _differ(mine, other)), mine)
            leaves[place] = leaves[place].index_copy(at, torch.tensor([position]), other)
        changed = any(_differ(self._leaves[place], leaves[place]) for place in self.along)
        return self.inputs(leaves) if changed else None

    def item(self, index: int) -> Inputs | None:
        """The inputs of one sequence of the batch; None where no input has a dimension of sequences."""
        leaves = list(self._leaves)
        for place, dimension in self._batched.items():
            leaves[place] = leaves[place].narrow(dimension, index, 1)
        return self.inputs(leaves) if self._batched else None

    @property
    def _numbers(self) -> list[Tensor]:
        return [leaf for leaf in self._leaves if isinstance(leaf, Tensor) and leaf.dtype != torch.bool]

    @cached_property
    def _draws(self) -> list[list[Any]]:
        """Leaves of other inputs of the same form."""
        drawn = [self._drawn(self._sizes, _SEED + number) for number in range(_DRAWS)]
        return [draw for draw in drawn if len(draw) == len(self._leaves)]

    @cached_property
    def _others(self) -> list[dict[int, Tensor]]:
        """Place → another tensor: of other draws; where nothing is drawn, with noise, or whole numbers moved along."""
        own = {place: self._leaves[place] for place in self.along}
        drawn = [{place: draw[place] for place in own if draw[place].shape == own[place].shape} for draw in self._draws]
        drawn = [draw for draw in drawn if draw.keys() == own.keys()]
        if any(_differ(own[place], other) for draw in drawn for place, other in draw.items()):
            return drawn
        return [
            {place: _elsewhere(leaf, self.along[place], by) for place, leaf in own.items()}
            for by in range(1, self._sizes["n"])
        ]

    @cached_property
    def _batched(self) -> dict[int, int]:
        """Place → dimension of sequences: the one that is longer where there is one sequence more."""
        b = self._sizes["b"]
        more = self._sizes | {"b": b + 1}
        if self._layer.broken_constraint(more):
            return {place: 0 for place, leaf in enumerate(self._leaves) if _shape(leaf)[:1] == (b,)}
        both = enumerate(zip(self._leaves, self._drawn(more, _SEED), strict=False))
        found = {place: longer_in(_shape(larger), _shape(leaf)) for place, (leaf, larger) in both}
        return {place: dimension for place, dimension in found.items() if dimension is not None}

    def _drawn(self, sizes: Sizes, seed: int) -> list[Any]:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            return tree_leaves(make_inputs(self._layer, sizes, dtype=self._dtype))


def longer_in(shape: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """The dimension in which one shape is larger than another, where that is all the difference."""
    if len(shape) != len(other):
        return None
    differing = [at for at, (size, smaller) in enumerate(zip(shape, other, strict=True)) if size != smaller]
    return differing[0] if len(differing) == 1 and shape[differing[0]] > other[differing[0]] else None


def part_of(output: Tensor, index: int, alone: Tensor) -> Tensor | None:
    """One sequence of an output, of the form that a single one has alone; None where all outputs are of one size.

    Raises:
        LayerError: the two shapes do not fit.
    """
    if output.shape == alone.shape:
        return None
    dimension = longer_in(tuple(output.shape), tuple(alone.shape))
    if dimension is None or alone.shape[dimension] != 1:
        raise LayerError(f"gives {tuple(alone.shape)} for one sequence, and {tuple(output.shape)} for several")
    return output.narrow(dimension, index, 1)


def _elsewhere(leaf: Tensor, at: int, by: int) -> Tensor:
    return leaf + torch.randn_like(leaf) if _is_real(leaf) else leaf.roll(by, at)


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if isinstance(leaf, Tensor) else ()


def _is_real(leaf: Tensor) -> bool:
    return leaf.is_floating_point() or leaf.is_complex()


def _differ(one: Tensor, other: Any) -> bool:
    """Whether two leaves are tensors of one shape with other numbers."""
    return isinstance(other, Tensor) and one.shape == other.shape and not torch.equal(one, other)
