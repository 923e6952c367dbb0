"""One executed operation as the rules of the shadow execution see it, and what such a rule says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_leaves

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


class Operand:
    """One argument, each array in its shape.

    Attributes:
        places: where each number can be read; -1 for constants.
    """

    def __init__(self, places: Reads, value: Callable[[], NDArray[Any]]) -> None:
        self.places = places
        self._value = value

    @cached_property
    def value(self) -> NDArray[Any]:
        """The numbers themselves, as they were before the operation."""
        return self._value()

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """Which numbers depend on no input position."""
        return np.asarray(self.places < 0)

    def equals(self, number: float) -> NDArray[np.bool_]:
        """Which numbers are constants of this value."""
        return np.asarray(self.constant & (self.value == number)) if self.constant.any() else np.zeros((), np.bool_)

    def viewed(self, reshape: Callable[[Any], Any]) -> Operand:
        """The same numbers in another shape."""
        return Operand(reshape(self.places), lambda: reshape(self.value))


class _Signature:
    """What the schema of an operation says of its arguments."""

    def __init__(self, operation: torch._ops.OpOverload) -> None:
        schema = operation._schema.arguments
        self.names = [item.name for item in schema]
        self.defaults = {item.name: item.default_value for item in schema}
        self.written = {item.name for item in schema if item.alias_info is not None and item.alias_info.is_write}
        self.only_written = {item.name for item in schema if item.kwarg_only} & self.written


_signature = cache(_Signature)


class ShadowCall:
    """An operation, before and after it ran.

    Attributes:
        operation: what runs.
        named: argument name → value, defaults included, in the order of the signature.
        readable: how many numbers can be read; those that were computed alike are one.
        outputs: tensors that it made or wrote, once it ran.
    """

    def __init__(self, operation: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        signature = _signature(operation)
        self.operation = operation
        self.outputs: list[Tensor] = []
        self.readable = 0
        self.args, self.kwargs = args, kwargs
        self.named = {**signature.defaults, **dict(zip(signature.names, args, strict=False)), **kwargs}
        self._written, self._only_written = signature.written, signature.only_written
        self._operands: dict[int, Operand] = {}

    def locate(self, tensor: Tensor, places: Reads) -> None:
        """Give the numbers of an argument their places."""
        value = partial(_values, tensor.clone() if self._written else tensor)
        self._operands[id(tensor)] = Operand(places.reshape(tensor.shape), value)

    @property
    def read_tensors(self) -> list[Tensor]:
        """Tensors among the arguments, in order; one that is only written is none."""
        read = [value for name, value in self.named.items() if name not in self._only_written]
        return tensors_among(read)

    @property
    def written(self) -> list[Tensor]:
        """Arguments that the operation changes."""
        changed = [self.named.get(name) for name in sorted(self._written)]
        return tensors_among(changed)

    def operand(self, name_or_value: Any) -> Operand:
        """What is known of an argument, given by name or as it is; a plain number is a constant."""
        value = self.named[name_or_value] if isinstance(name_or_value, str) else name_or_value
        if isinstance(value, Tensor):
            return self._operands[id(value)]
        return Operand(np.full((), -1, np.int64), partial(np.asarray, value))

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
            return tensors_among([self.operation(*args, **kwargs)])

        return run


Rule = Callable[[ShadowCall], Dependencies]


def _values(tensor: Tensor) -> NDArray[Any]:
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:  # numpy has none
        tensor = tensor.double()
    return np.asarray(tensor.numpy())


def tensors_among(values: Iterable[Any]) -> list[Tensor]:
    """Tensors among the arguments or results of an operation, in order; lists of them may be among these."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_among(value)
    return found


def _mapped(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, list | tuple):
        return [_mapped(change, value) for value in values]
    return {name: _mapped(change, value) for name, value in values.items()} if isinstance(values, dict) else values
