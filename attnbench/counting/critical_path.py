"""Dependencies between kernels: how long a chain of them stands behind each part of each storage."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Span:
    """Elements `first` to `last` of a storage; of each `row` of it, those from `low` to `high` only.

    Gates that lie side by side, ``(b, 3d)`` cut in three, share a range but no element.
    """

    first: int
    last: int
    row: int
    low: int
    high: int

    def meets(self, other: _Span) -> bool:
        """Whether both may have an element in common."""
        beside = self.row == other.row and (self.high < other.low or other.high < self.low)
        return self.first <= other.last and other.first <= self.last and not beside

    def covers(self, other: _Span) -> bool:
        """Whether every element of the other is one of these, as far as can be told."""
        whole = self.high - self.low + 1 == self.row
        within = self.row == other.row and self.low <= other.low and other.high <= self.high
        return self.first <= other.first and other.last <= self.last and (whole or within)


@dataclass(frozen=True, slots=True)
class _Part:
    """Elements of a storage, and the chain behind them; `last` is the kernel that ends the heaviest one."""

    span: _Span
    depth: int
    log_depth: float
    last: int


class CriticalPath:
    """The longest dependent chain of kernels behind every tensor seen so far.

    Parts of one storage are told apart by the range of elements they span, so that writing one step of a
    preallocated output does not wait for the steps before it.
    """

    def __init__(self) -> None:
        self._kernels = 0
        self._parts: weakref.WeakKeyDictionary[torch.UntypedStorage, list[_Part]] = weakref.WeakKeyDictionary()

    def extend(
        self, inputs: Iterable[Any], outputs: Iterable[Any], weight: float, *, step: bool = True
    ) -> tuple[int, float, int]:
        """One more kernel: how many kernels the longest chain has that ends in it, and how heavy the heaviest is.

        The third number is the place of the kernel before it in the heaviest chain, -1 where there is none. A kernel
        without tensor inputs (an allocation, a constant) waits for nothing and starts no chain. What is no `step` (a
        tensor that is given more room) waits like one and makes no chain longer.
        """
        read = [value for value in inputs if isinstance(value, Tensor)]
        depth, log_depth, before = self._longest(read)
        if read:
            depth, log_depth = depth + step, log_depth + weight
        self._write(outputs, depth, log_depth, self._kernels)
        self._kernels += 1
        return depth, log_depth, before

    def follow(self, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
        """`outputs` come after `inputs`, without a kernel between them."""
        self._write(outputs, *self._longest(inputs))

    def _longest(self, values: Iterable[Any]) -> tuple[int, float, int]:
        behind = [part for value in values if isinstance(value, Tensor) for part in self._behind(value)]
        heaviest = max(behind, key=lambda part: part.log_depth, default=None)
        depth = max((part.depth for part in behind), default=0)
        return (depth, heaviest.log_depth, heaviest.last) if heaviest else (depth, 0.0, -1)

    def _behind(self, value: Tensor) -> list[_Part]:
        span = _span(value)
        return [part for part in self._parts.get(value.untyped_storage(), []) if part.span.meets(span)]

    def _write(self, values: Iterable[Any], depth: int, log_depth: float, last: int) -> None:
        for value in values:
            if isinstance(value, Tensor):
                span = _span(value)
                parts = self._parts.setdefault(value.untyped_storage(), [])
                parts[:] = [part for part in parts if not span.covers(part.span)]
                parts.append(_Part(span, depth, log_depth, last))


def _span(value: Tensor) -> _Span:
    """Where in its storage a tensor lies."""
    offset = int(value.storage_offset())
    steps = sorted(
        (stride, size) for size, stride in zip(value.shape, value.stride(), strict=True) if size > 1 and stride
    )
    last = offset + sum((size - 1) * stride for stride, size in steps)
    if steps:
        row, low = steps[-1][0], offset % steps[-1][0]
        high = low + sum((size - 1) * stride for stride, size in steps[:-1])
        if high < row:
            return _Span(offset, last, row, low, high)
    return _Span(offset, last, 1, 0, 0)
