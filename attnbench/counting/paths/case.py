"""One draw of a layer's weights and inputs, called so that what enters at a position can be followed.

Real inputs are followed as they are. Whole numbers have no gradient and cannot be NaN, so of tokens the first real
tensors that are made of them are followed: what an embedding returns, for example.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from attnbench.counting.calls import one_clear_line, plain_kernels
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, build_module, make_inputs, output_of, tensors_in
from attnbench.trial import Sizes

#: A real tensor and the dimension that positions lie along.
Followed = tuple[Tensor, int]


class NothingToFollowError(LayerError):
    """No real tensor with positions is given, or made of what is given."""


@dataclass(frozen=True, slots=True)
class Case:
    """A module and inputs at one draw.

    Attributes:
        along: leaves of the inputs that have positions, and the dimension of each.
    """

    layer: Layer
    sizes: Sizes
    module: nn.Module
    inputs: Inputs
    along: dict[int, int]

    @property
    def length(self) -> int:
        """How many positions there are."""
        return self.sizes["n"]

    @property
    def real(self) -> list[Followed]:
        """Real inputs with positions."""
        leaves = tree_leaves(self.inputs)
        return [(leaves[place], dimension) for place, dimension in self.along.items() if is_real(leaves[place])]

    @property
    def tokens(self) -> list[Followed]:
        """Whole numbers with positions."""
        leaves = tree_leaves(self.inputs)
        return [(leaves[place], dimension) for place, dimension in self.along.items() if not is_real(leaves[place])]

    def output(self, replace: Callable[[Followed], Tensor]) -> Tensor:
        """``(n, rest)``: what comes out at every position where each real tensor followed is replaced by another.

        Raises:
            NothingToFollowError: there is none.
            LayerError: nothing with a length, or nothing finite, comes out.
        """
        replaced = {id(leaf): replace((leaf, dimension)) for leaf, dimension in self.real}
        inputs = tree_map(lambda leaf: replaced.get(id(leaf), leaf), self.inputs)
        first = _FirstReal([leaf for leaf, _ in self.tokens], self.length, replace)
        with first:
            output = _by_position(*self.called(inputs))
        if not (replaced or first.was_made):
            raise NothingToFollowError(f"layer {self.layer.name!r} takes and makes no real tensor with positions")
        return output

    def plain_output(self, inputs: Inputs | None = None) -> Tensor:
        """``(n, rest)``: what comes out at every position, for inputs of its own or others.

        Raises:
            LayerError: nothing with a length, or nothing finite, comes out.
        """
        output = _by_position(*self.called(self.inputs if inputs is None else inputs))
        if not bool(output.isfinite().all()):
            raise LayerError("returns numbers that are not finite for random inputs")
        return output

    def called(self, inputs: Inputs, leaves: Callable[[Tensor, str], None] = lambda tensor, way: None) -> Followed:
        """What counts as the output, and its dimension of positions.

        Args:
            inputs: its own, or others.
            leaves: told of every tensor whose numbers are handed to Python or numpy, and how.

        Raises:
            LayerError: it has none.
        """
        with warnings.catch_warnings(), _Watched(leaves):
            warnings.simplefilter("ignore")  # a checkpoint, for one, warns where there is no gradient
            returned = apply(self.module, inputs)
        return positions_of(output_of(self.layer, self.sizes, returned), self.length)


def _by_position(output: Tensor, dimension: int) -> Tensor:
    """``(n, rest)``."""
    output = torch.view_as_real(output) if output.is_complex() else output
    return output.movedim(dimension, 0).reshape(output.shape[dimension], -1)


@contextmanager
def drawn(layer: Layer, sizes: Sizes, *, seed: int, weights_differ: bool = False) -> Iterator[Case]:
    """One draw in float64, with plain kernels and one clear line for what goes wrong.

    With `weights_differ`, none of the weights that training may change is zero: such a weight is no mask.

    Raises:
        LayerError: the layer cannot be built or called at `sizes`, or has no positions to follow.
    """
    sizes = single(layer, sizes)
    with torch.random.fork_rng(devices=[]), one_clear_line(layer, sizes, "float64"), plain_kernels():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed also looks for accelerators, for milliseconds
        module = build_module(layer, sizes, dtype="float64")
        if weights_differ:
            leave_no_zero_weight(module)
        inputs = make_inputs(layer, sizes, dtype="float64")
        yield Case(layer, sizes, module, inputs, positions_among(layer, sizes, inputs))


def single(layer: Layer, sizes: Sizes) -> Sizes:
    """`sizes` with one sequence: sequences of a batch know nothing of each other."""
    alone = {**sizes, "b": 1}
    return sizes if layer.broken_constraint(alone) else alone


def positions_among(layer: Layer, sizes: Sizes, inputs: Inputs) -> dict[int, int]:
    """Which leaves of the inputs have positions, and along which dimension each.

    Raises:
        LayerError: none has.
    """
    leaves = enumerate(tree_leaves(inputs))
    tensors = [(place, leaf) for place, leaf in leaves if isinstance(leaf, Tensor) and leaf.dtype != torch.bool]
    dimensions = {place: position_dimension(leaf, sizes["n"]) for place, leaf in tensors}
    found = {place: dimension for place, dimension in dimensions.items() if dimension is not None}
    if not found:
        raise LayerError(f"layer {layer.name!r} has no input with a dimension of n = {sizes['n']}; no path to follow")
    return found


def positions_of(value: Any, length: int) -> Followed:
    """The first tensor with a dimension of `length` numbers, and that dimension: the second if it fits.

    Raises:
        LayerError: there is none.
    """
    for tensor in tensors_in(value):
        if (found := position_dimension(tensor, length)) is not None:
            return tensor, found
    raise LayerError(f"returns no tensor with a dimension of n = {length}")


def position_dimension(tensor: Tensor, length: int) -> int | None:
    """The dimension of `tensor` that positions lie along; None when it has none of that length."""
    likely = sorted(range(tensor.ndim), key=lambda dimension: dimension != 1)
    return next((dimension for dimension in likely if tensor.shape[dimension] == length), None)


def leave_no_zero_weight(module: nn.Module) -> None:
    """A weight that training may change is no mask, even if it starts at zero."""
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight[weight == 0] = 0.1


def is_real(tensor: Tensor) -> bool:
    """Whether a tensor can have a gradient."""
    return tensor.is_floating_point() or tensor.is_complex()


class _FirstReal(TorchFunctionMode):
    """Replaces the first real tensors with positions that are made of tokens.

    Attributes:
        was_made: whether there was any.
    """

    def __init__(self, tokens: Sequence[Tensor], length: int, replace: Callable[[Followed], Tensor]) -> None:
        super().__init__()
        self.was_made = False
        self._length, self._replace = length, replace
        # Tensors by their identity, held so that it stays theirs.
        self._whole, self._real = {id(token): token for token in tokens}, dict[int, Tensor]()

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not self._whole or _only_allocates(function):
            return result
        read = [id(tensor) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
        if any(tensor in self._real for tensor in read):
            self._real |= {id(tensor): tensor for tensor in tree_leaves(result) if isinstance(tensor, Tensor)}
            return result
        return tree_map(self._made, result) if any(tensor in self._whole for tensor in read) else result

    def _made(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if not is_real(value):
            self._whole[id(value)] = value
            return value
        dimension = position_dimension(value, self._length)
        if dimension is not None:
            self.was_made, value = True, self._replace((value, dimension))
        self._real[id(value)] = value
        return value


def _only_allocates(function: Any) -> bool:
    name = str(getattr(function, "__name__", ""))
    return name.endswith("_like") or name.startswith("new_")


class _Watched(TorchFunctionMode):
    """Shows what happens behind the back of torch's operations.

    A ``copy.deepcopy`` of a tensor becomes an operation as any other, where torch copies the memory; and of what leaves
    torch somebody is told.
    """

    def __init__(self, leaves: Callable[[Tensor, str], None]) -> None:
        super().__init__()
        self._leaves = leaves

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is Tensor.__deepcopy__:
            tensor, memo = args
            return memo.setdefault(id(tensor), tensor.clone())
        if function in _WAYS_OUT:
            self._leaves(args[0], f"Tensor.{function.__name__}")
        return function(*args, **(kwargs or {}))


_WAYS_OUT = (Tensor.numpy, Tensor.__array__, Tensor.tolist)
