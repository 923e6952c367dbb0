"""Dependencies between kernels: how long a chain of them stands behind each part of each storage."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Part:
    """Elements `first` to `last` of a storage, and the chain behind them."""

    first: int
    last: int
    depth: int
    log_depth: float


class Chains:
    """The longest dependent chain of kernels behind every tensor seen so far.

    Parts of one storage are told apart by the range of elements they span, so that writing one step of a
    preallocated output does not wait for the steps before it.
    """

    def __init__(self) -> None:
        self._parts: weakref.WeakKeyDictionary[torch.UntypedStorage, list[_Part]] = weakref.WeakKeyDictionary()

    def extend(self, inputs: Iterable[Any], outputs: Iterable[Any], weight: float) -> tuple[int, float]:
        """One more kernel: the number of kernels and the sum of weights of the longest chain that ends in it.

        A kernel without tensor inputs (an allocation, a constant) waits for nothing and starts no chain.
        """
        read = [value for value in inputs if isinstance(value, Tensor)]
        depth, log_depth = self._longest(read)
        if read:
            depth, log_depth = depth + 1, log_depth + weight
        self._write(outputs, depth, log_depth)
        return depth, log_depth

    def follow(self, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
        """`outputs` come after `inputs`, without a kernel between them."""
        self._write(outputs, *self._longest(inputs))

    def _longest(self, values: Iterable[Any]) -> tuple[int, float]:
        behind = [part for value in values if isinstance(value, Tensor) for part in self._behind(value)]
        return max((part.depth for part in behind), default=0), max((part.log_depth for part in behind), default=0.0)

    def _behind(self, value: Tensor) -> list[_Part]:
        first, last = _span(value)
        parts = self._parts.get(value.untyped_storage(), [])
        return [part for part in parts if part.first <= last and first <= part.last]

    def _write(self, values: Iterable[Any], depth: int, log_depth: float) -> None:
        for value in values:
            if isinstance(value, Tensor):
                first, last = _span(value)
                parts = self._parts.setdefault(value.untyped_storage(), [])
                parts[:] = [part for part in parts if not (first <= part.first and part.last <= last)]
                parts.append(_Part(first, last, depth, log_depth))


def _span(value: Tensor) -> tuple[int, int]:
    """First and last element of the storage that a tensor touches."""
    offset = int(value.storage_offset())
    return offset, offset + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
