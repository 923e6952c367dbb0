"""What a forward pass keeps for the backward pass, whoever keeps it."""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from attnbench.counting.live_memory import Held, LiveMemory, storages


class _Packed:
    """A tensor that autograd has saved; it lives as long as autograd needs it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class Kept:
    """What the graph of one forward pass keeps alive, each storage once; weights are none of it.

    Tensors that autograd saves pass through `pack`. Others hang on a step that was written by hand
    (``ctx.values = y``), or on something that only the graph knows (what a hook needs, copies that were moved away):
    the first are looked for, the others are alive after the forward pass and not after the graph is gone.
    """

    def __init__(self, weights: Sequence[Tensor], memory: LiveMemory) -> None:
        self._weights = weakref.WeakSet(storages(weights))
        self._memory = memory
        self._packed: list[weakref.ref[_Packed]] = []
        self._nbytes: list[int] = []
        self._doubtful: list[tuple[int, Held]] = []

    def pack(self, tensor: Tensor) -> _Packed:
        """Called for each saved tensor."""
        packed = _Packed(tensor.detach())  # a result knows its graph, which would hold itself alive for ever
        self._packed.append(weakref.ref(packed))
        return packed

    def unpack(self, packed: _Packed) -> Tensor:
        """Inverse of `pack`."""
        return packed.tensor

    def look(self, results: Sequence[Tensor], returned: Any, module: nn.Module) -> None:
        """Look at what is alive after the forward pass; a view keeps its whole storage alive."""
        saved = [packed.tensor for reference in self._packed if (packed := reference())]
        by_hand = [value for value in _values_of(results) if self._memory.knows(value.untyped_storage())]
        found = dict.fromkeys(one for one in storages([*saved, *by_hand]) if one not in self._weights)
        self._nbytes = [storage.nbytes() for storage in found]
        if doubtful := {storage: held for storage, held in self._memory.alive().items() if storage not in found}:
            elsewhere = set(storages(_within([returned, module])))
            self._doubtful = [(one.nbytes, one) for storage, one in doubtful.items() if storage not in elsewhere]

    def nbytes(self) -> tuple[int, ...]:
        """Bytes of each storage; to be asked when nothing holds the graph any more."""
        if any(held.is_alive for _, held in self._doubtful):
            gc.collect()  # a step that keeps its own result is a circle
        return (*self._nbytes, *(nbytes for nbytes, held in self._doubtful if not held.is_alive))


def _values_of(results: Sequence[Tensor]) -> Iterator[Tensor]:
    """Tensors that steps written by hand hold as their attributes."""
    waiting, seen = [result.grad_fn for result in results], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
        yield from _tensors(getattr(node, "__dict__", {}).values())


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [value for value in tree_leaves(list(values)) if isinstance(value, Tensor)]


def _within(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors that are held by values, their parts and their attributes, such as a cache in what a model returns."""
    waiting, seen = list(values), set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | deque):
            waiting.extend(value)
        elif not isinstance(value, type | ModuleType | FunctionType):
            waiting.extend(getattr(value, "__dict__", {}).values())
