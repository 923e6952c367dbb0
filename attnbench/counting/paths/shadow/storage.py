"""Names of the numbers in tensors, kept by storage: a view needs no rule, and a write through one is seen by all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnbench.counting.operators.contract.dependencies import ShadowCall
from attnbench.counting.paths.shadow.numbers import Names, Numbers


@dataclass
class _Kept:
    """The names in one storage, one for every `unit` bytes; the storage is held, so its address stays taken."""

    storage: torch.UntypedStorage
    unit: int
    names: Names


class Storages:
    """Every storage that an input position has reached; all others hold constants."""

    def __init__(self, numbers: Numbers) -> None:
        self._of = numbers
        self._kept: dict[int, _Kept] = {}

    def reaches(self, tensor: Tensor) -> bool:
        """Whether anything in this tensor's storage may depend on the input."""
        return _address(tensor) in self._kept

    def read(self, tensor: Tensor) -> Names:
        """The names of all numbers of `tensor`, in logical order."""
        kept = self._kept.get(_address(tensor))
        if kept is None:
            return np.zeros(tensor.numel(), np.int64)
        self._refine(kept, tensor)
        parts = tensor.element_size() // kept.unit  # two where a complex number is read over two real ones
        if parts == 1:
            return kept.names[_numbers(tensor)]
        first = _numbers(tensor)[:, None] * parts
        return self._of.step(kept.names[first + np.arange(parts)], a_sum=False)

    def locate(self, call: ShadowCall) -> None:
        """Let the call know where each number that it reads stands: at the place that its name says, from 0 on."""
        for tensor in {id(tensor): tensor for tensor in call.read_tensors}.values():
            call.locate(tensor, self.read(tensor) - 1)
        call.readable = len(self._of)

    def write(self, tensor: Tensor, names: Names) -> None:
        """Give every number of `tensor`, in logical order, its name."""
        address = _address(tensor)
        kept = self._kept.get(address)
        if kept is None and not names.any():
            return
        if kept is None or kept.unit * len(kept.names) < kept.storage.nbytes():
            kept = self._kept[address] = _blank(tensor, kept)
        self._refine(kept, tensor)
        parts, places = tensor.element_size() // kept.unit, _numbers(tensor)
        for part in range(parts):
            kept.names[places * parts + part if parts > 1 else places] = names

    def _refine(self, kept: _Kept, tensor: Tensor) -> None:
        """Split numbers that `tensor` sees as several, such as a complex one seen as two real ones."""
        pieces = kept.unit // tensor.element_size()
        if pieces > 1:
            kept.names, kept.unit = kept.names.repeat(pieces), tensor.element_size()


def _blank(tensor: Tensor, before: _Kept | None) -> _Kept:
    """Constants all over the storage of `tensor`, and what was known before it grew."""
    storage, unit = tensor.untyped_storage(), before.unit if before else tensor.element_size()
    names = np.zeros(storage.nbytes() // unit, np.int64)
    if before:
        names[: len(before.names)] = before.names
    return _Kept(storage, unit, names)


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _numbers(tensor: Tensor) -> NDArray[np.int64]:
    return _places(tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))


@lru_cache(maxsize=4096)
def _places(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> NDArray[np.int64]:
    """Where the numbers of a tensor lie in its storage, in logical order."""
    places = np.full((1,) * len(shape), offset, np.int64)
    for dimension, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        along = np.arange(size, dtype=np.int64) * stride
        places = places + along.reshape([-1 if axis == dimension else 1 for axis in range(len(shape))])
    return places.reshape(-1)
