"""Memory that a call takes: which storages it makes, how they grow and shrink, and how long each of them lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

Storage = torch.UntypedStorage


class Stored(NamedTuple):
    """A tensor's memory: its bytes, the kernel that made it, and the first kernel that ran without it."""

    nbytes: int
    made: int
    gone: int


@dataclass(slots=True)
class _Block:
    """Memory that a storage holds or has held; `gone` is None while it does."""

    nbytes: int
    made: int
    gone: int | None = None


@dataclass(slots=True, eq=False)
class Held:
    """What one storage holds now.

    Attributes:
        nbytes: its size.
        given: bytes of it that were there before the call, and are none of the call's.
        block: the rest; None before it has grown.
    """

    nbytes: int
    given: int
    block: _Block | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its memory was made during the call and is still there."""
        return self.block is not None and self.block.gone is None


class LiveMemory:
    """Bytes that the kernels of one call hold.

    A storage that changes its size is moved: while that goes on, it holds both its old memory and its new one.
    """

    def __init__(self) -> None:
        self._kernels = 0
        self._bytes = 0
        self._meanwhile = 0
        self._blocks: list[_Block] = []
        self._held: weakref.WeakKeyDictionary[Storage, Held] = weakref.WeakKeyDictionary()

    def know(self, storages: Iterable[Storage]) -> None:
        """Take storages as given: they cost nothing, unless they grow."""
        for storage in storages:
            self._held.setdefault(storage, Held(storage.nbytes(), storage.nbytes()))

    def knows(self, storage: Storage) -> bool:
        """Whether it was given, or made during the call."""
        return storage in self._held

    def meet(self, storages: Iterable[Storage]) -> bool:
        """Take note of storages that are new or have another size; whether there were any."""
        changes = [self._meet(storage) for storage in storages]
        return any(changes)

    def _meet(self, storage: Storage) -> bool:
        held, nbytes = self._held.get(storage), storage.nbytes()
        if held is None:
            held = self._held[storage] = Held(nbytes, 0)
        elif held.nbytes == nbytes:
            return False
        if held.block is None:
            weakref.finalize(storage, self._release, held)
        self._move(held, nbytes)
        return True

    def _move(self, held: Held, nbytes: int) -> None:
        more = max(nbytes - held.given, 0)
        if held.block is not None:
            self._bytes -= held.block.nbytes
            self._meanwhile += held.block.nbytes
            held.block.gone = self._kernels + 1
        held.nbytes, held.block = nbytes, self._make(more)
        self._bytes += more
        if nbytes > more:  # what takes the place of given memory, until that is given back
            self._meanwhile += nbytes - more
            self._make(nbytes - more).gone = self._kernels + 1

    def _make(self, nbytes: int) -> _Block:
        block = _Block(nbytes, self._kernels)
        self._blocks.append(block)
        return block

    def _release(self, held: Held) -> None:
        if held.block is not None:
            self._bytes -= held.block.nbytes
            held.block.gone = self._kernels

    def step(self) -> int:
        """One more kernel ran: the bytes that were held after it, with what it gave back while it ran."""
        most, self._meanwhile = self._bytes + self._meanwhile, 0
        self._kernels += 1
        return most

    def alive(self) -> dict[Storage, Held]:
        """Storages with memory that was made during the call and is still there, in the order in which they came."""
        return {storage: held for storage, held in self._held.items() if held.is_alive}

    def stored(self) -> tuple[Stored, ...]:
        """All memory that was made, in order."""
        end = self._kernels
        return tuple(Stored(one.nbytes, one.made, end if one.gone is None else one.gone) for one in self._blocks)


def storages(values: Iterable[Any]) -> list[Storage]:
    """The storage of each tensor among `values`."""
    return [value.untyped_storage() for value in values if isinstance(value, Tensor)]


@contextmanager
def watched_storages(tell: Callable[[Storage], None]) -> Iterator[None]:
    """Have each storage that Python code resizes by hand told of, as no kernel does that."""

    def resize(storage: Storage, nbytes: int) -> Storage:
        resized: Storage = super(Storage, storage).resize_(nbytes)
        tell(storage)
        return resized

    Storage.resize_ = resize  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del Storage.resize_
