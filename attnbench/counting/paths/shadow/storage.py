"""Shadows of tensors, kept by storage: a view needs no rule, and a write through a view is seen by all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnbench.counting.operators.contract.dependencies import ShadowCall
from attnbench.counting.paths.shadow.hop import Meetings, Shadow, constants, join


@dataclass
class _Kept:
    """The shadow of one storage, a number for every `unit` bytes; the storage is held, so its address stays taken."""

    storage: torch.UntypedStorage
    unit: int
    shadow: Shadow


class Storages:
    """Every storage that an input position has reached; all others hold constants."""

    def __init__(self, meetings: Meetings) -> None:
        self._meetings = meetings
        self._kept: dict[int, _Kept] = {}

    def reaches(self, tensor: Tensor) -> bool:
        """Whether anything in this tensor's storage may depend on the input."""
        return _address(tensor) in self._kept

    def read(self, tensor: Tensor) -> Shadow:
        """The shadow of every number of `tensor`, in logical order."""
        kept = self._kept.get(_address(tensor))
        if kept is None:
            return constants(tensor.numel(), self._meetings.sources)
        self._refine(kept, tensor)
        parts = tensor.element_size() // kept.unit  # two where a complex number is read over two real ones
        first = _numbers(tensor)[:, None] * parts
        return self._meetings.step(kept.shadow, first + np.arange(parts), a_sum=False)

    def locate(self, call: ShadowCall) -> Shadow:
        """The shadows of all tensors that `call` reads, in one row; the call learns where in it each number stands."""
        shadows = []
        for tensor in {id(tensor): tensor for tensor in call.read_tensors}.values():
            shadow = self.read(tensor) if self.reaches(tensor) else None
            call.locate(tensor, None if shadow is None else shadow.label > 0)
            shadows += [] if shadow is None else [shadow]
        return join(shadows)

    def write(self, tensor: Tensor, shadow: Shadow) -> None:
        """Give every number of `tensor`, in logical order, its shadow."""
        address = _address(tensor)
        kept = self._kept.get(address)
        if kept is None and not shadow.label.any():
            return
        if kept is None or kept.unit * len(kept.shadow.label) < kept.storage.nbytes():
            kept = self._kept[address] = self._blank(tensor, kept)
        self._refine(kept, tensor)
        parts = tensor.element_size() // kept.unit
        places = (_numbers(tensor)[:, None] * parts + np.arange(parts)).reshape(-1)
        kept.shadow.distance[places] = shadow.distance.repeat(parts, axis=0)
        kept.shadow.label[places] = shadow.label.repeat(parts)

    def _blank(self, tensor: Tensor, before: _Kept | None) -> _Kept:
        """Constants all over the storage of `tensor`, and what was known before it grew."""
        storage, unit = tensor.untyped_storage(), before.unit if before else tensor.element_size()
        shadow = constants(storage.nbytes() // unit, self._meetings.sources)
        if before:
            shadow.distance[: len(before.shadow.label)] = before.shadow.distance
            shadow.label[: len(before.shadow.label)] = before.shadow.label
        return _Kept(storage, unit, shadow)

    def _refine(self, kept: _Kept, tensor: Tensor) -> None:
        """Split numbers that `tensor` sees as several, such as a complex one seen as two real ones."""
        pieces = kept.unit // tensor.element_size()
        if pieces > 1:
            shadow = kept.shadow
            kept.shadow = Shadow(shadow.distance.repeat(pieces, axis=0), shadow.label.repeat(pieces))
            kept.unit = tensor.element_size()


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
