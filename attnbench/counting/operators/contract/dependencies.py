"""One executed operation as the rules of the shadow execution see it, and what such a rule says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

#: Positions of numbers among those that can be read; -1 reads nothing.
Reads = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Which numbers each number computed was computed from.

    Attributes:
        outputs: one array ``[number, k]`` for each output; of a single row where all numbers read the same.
        a_sum: whether each output is one sum over what it reads, or a merge of operands side by side.
        added: ``[number, 1]``, what is merged in afterwards: the bias of a matrix product.
    """

    outputs: list[Reads]
    a_sum: bool
    added: Reads | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """One argument, each array in its shape.

    Attributes:
        places: where each number can be read; -1 for constants.
        value: the numbers themselves, as they were before the operation.
    """

    places: Reads
    value: NDArray[Any]

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which numbers depend on no input position."""
        return self.places < 0

    def equals(self, number: float) -> NDArray[np.bool_]:
        """Which numbers are constants of this value."""
        return np.asarray(self.constant & (self.value == number))

    def viewed(self, reshape: Callable[[Any], Any]) -> Operand:
        """The same numbers in another shape."""
        return Operand(reshape(self.places), reshape(self.value))


class ShadowCall:
    """An operation, before and after it ran.

    Attributes:
        operation: what runs.
        named: argument name → value, defaults included, in the order of the signature.
        readable: how many numbers of the arguments can be read.
        outputs: tensors that it made or wrote, once it ran.
    """

    def __init__(self, operation: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        schema = operation._schema.arguments
        self.operation = operation
        self.outputs: list[Tensor] = []
        self.readable = 0
        self.args, self.kwargs = args, kwargs
        given = {item.name: value for item, value in zip(schema, args, strict=False)} | dict(kwargs)
        self.named = {item.name: given.get(item.name, item.default_value) for item in schema}
        self._written = {item.name for item in schema if item.alias_info is not None and item.alias_info.is_write}
        self._only_written = {item.name for item in schema if item.kwarg_only} & self._written
        self._operands: dict[int, Operand] = {}

    def locate(self, tensor: Tensor, depends: NDArray[np.bool_] | None) -> None:
        """Give an argument its places: the next ones to numbers that `depends` marks, none where it is None."""
        places = np.full(tensor.numel(), -1, np.int64)
        if depends is not None:
            places = np.where(depends, np.arange(self.readable, self.readable + tensor.numel()), -1)
            self.readable += tensor.numel()
        self._operands[id(tensor)] = Operand(places.reshape(tensor.shape), self._values(tensor))

    def _values(self, tensor: Tensor) -> NDArray[Any]:
        tensor = tensor.detach().resolve_conj().resolve_neg()
        if tensor.dtype == torch.bfloat16:  # numpy has none
            tensor = tensor.double()
        return tensor.clone().numpy() if self._written else tensor.numpy()

    @property
    def read_tensors(self) -> list[Tensor]:
        """Tensors among the arguments, in order; one that is only written is none."""
        read = [value for name, value in self.named.items() if name not in self._only_written]
        return [leaf for leaf in tree_leaves(read) if isinstance(leaf, Tensor)]

    @property
    def written(self) -> list[Tensor]:
        """Arguments that the operation changes."""
        changed = [self.named.get(name) for name in sorted(self._written)]
        return [leaf for leaf in tree_leaves(changed) if isinstance(leaf, Tensor)]

    def operand(self, name_or_value: Any) -> Operand:
        """What is known of an argument, given by name or as it is; a plain number is a constant."""
        value = self.named[name_or_value] if isinstance(name_or_value, str) else name_or_value
        if isinstance(value, Tensor):
            return self._operands[id(value)]
        return Operand(np.full((), -1, np.int64), np.asarray(value))

    @property
    def operands(self) -> list[Operand]:
        """All tensors and plain numbers among the arguments that are read, in order."""
        read = [value for name, value in self.named.items() if name not in self._only_written]
        return [self.operand(leaf) for leaf in tree_leaves(read) if isinstance(leaf, Tensor | int | float | complex)]

    def again(self, replace: Callable[[Tensor], Tensor]) -> Callable[[], list[Tensor]]:
        """The operation on other tensors, to be run as often as wanted on whatever these hold at the time."""
        arguments = _mapped(replace, (tuple(self.args), dict(self.kwargs)))

        def run() -> list[Tensor]:
            args, kwargs = _mapped(Tensor.clone, arguments) if self._written else arguments
            return [leaf for leaf in tree_leaves(self.operation(*args, **kwargs)) if isinstance(leaf, Tensor)]

        return run


Rule = Callable[[ShadowCall], Dependencies]


def _mapped(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    return tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, values)
