"""Rules of the shadow execution that several families share: which numbers each number is computed from.

A number that meets a constant which decides the result alone is not read: a product with a constant 0, softmax weights
of 0. So the masked half of a causal attention, although computed, carries nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnbench.counting.operators.contract.dependencies import Dependencies, Operand, Reads, Rule, ShadowCall


def everything(call: ShadowCall) -> Dependencies:
    """Every output reads every number there is."""
    places = [call.operand(tensor).places.reshape(-1) for tensor in call.read_tensors]
    whole = np.unique(np.concatenate([np.array([-1]), *places]))[None, 1:]
    return Dependencies([whole for _ in call.outputs], a_sum=True)


def position_by_position(call: ShadowCall) -> Dependencies:
    """Every output reads all numbers of its sequence and position, ``(b, n, …)``, and whatever is no such tensor."""
    operands = [call.operand(tensor).places for tensor in call.read_tensors]

    def reads(output: Tensor) -> Reads:
        shape = tuple(output.shape[:2])
        rows = [
            o.reshape(*shape, -1) if o.shape[:2] == shape else np.broadcast_to(o.reshape(-1), (*shape, o.size))
            for o in operands
        ]
        own = np.concatenate(rows, axis=-1).reshape(math.prod(shape), -1)
        return np.repeat(own, output.numel() // max(len(own), 1), axis=0)

    return Dependencies([reads(output) for output in call.outputs], a_sum=False)


def new_constants(call: ShadowCall) -> Dependencies:
    """New constants."""
    return Dependencies([np.empty((output.numel(), 0), np.int64) for output in call.outputs], a_sum=False)


def unless(dead: NDArray[np.bool_], places: Reads) -> Reads:
    """`places`, and nothing read where `dead`."""
    return np.where(dead, -1, places)


# Element by element


def merging(sides_read: Callable[[list[Operand]], Sequence[Reads]]) -> Rule:
    """Operands side by side, broadcast to the shape of the output, each where `sides_read` says that it is read."""
    return lambda call: side_by_side(call, sides_read(call.operands))


def side_by_side(call: ShadowCall, sides: Sequence[Reads]) -> Dependencies:
    """One number of each side for each number of an output."""
    return Dependencies([_beside(sides, output) for output in call.outputs], a_sum=False)


def _beside(sides: Sequence[Reads], output: Tensor) -> Reads:
    read = [np.broadcast_to(side, output.shape).reshape(-1) for side in sides if (side >= 0).any()]
    return np.stack(read, axis=1) if read else np.empty((output.numel(), 0), np.int64)


merged = merging(lambda operands: [operand.places for operand in operands])


# Along dimensions


def along(call: ShadowCall) -> Dependencies:
    """A reduction, transform or sort: every output reads all that lies along the dimensions it works on."""
    read = call.operands[0].places.reshape(-1)[rows(call)]
    return Dependencies([read[row_of(call, output)] for output in call.outputs], a_sum=True)


def dimensions(call: ShadowCall) -> list[int]:
    """The dimensions that an operation works on; all of them unless it names some."""
    size = max(call.operands[0].places.ndim, 1)
    given = call.named.get("dim")
    listed = [given] if isinstance(given, int) else list(given or range(size))
    return [dimension % size for dimension in listed]


def rows(call: ShadowCall) -> Reads:
    """``[row, k]``: positions in the flat operand of what lies together along the dimensions."""
    places = np.atleast_1d(call.operands[0].places)
    axes = dimensions(call)
    flat = np.arange(places.size, dtype=np.int64).reshape(places.shape)
    moved_last = np.moveaxis(flat, axes, range(-len(axes), 0))
    return moved_last.reshape(-1, int(np.prod([places.shape[axis] for axis in axes])))


def row_of(call: ShadowCall, output: Tensor) -> Reads:
    """The row that each number of the output comes from."""
    shape, axes = call.operands[0].places.shape, dimensions(call)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    row = np.arange(int(np.prod(kept)), dtype=np.int64)
    return np.broadcast_to(row.reshape(kept), output.shape).reshape(-1) if output.ndim == len(shape) else row


# By trial: the operation itself says what it reads

#: Far from any number that an operation puts in by itself, such as padding.
_OFFSET = float(1 << 40)


def moved(call: ShadowCall, *, indexed: bool = False) -> Dependencies:
    """A copy, gather or rearrangement: run on the places instead of the numbers.

    With `indexed`, whole numbers and masks beside the first argument say where, and not what.
    """
    chosen_by = [call.operand(index) for index in call.read_tensors[1:] if indexed and _is_index(index)]
    if not all(index.constant.all() for index in chosen_by):
        return everything(call)

    def carrier(tensor: Tensor) -> Tensor:
        if tensor is not call.read_tensors[0] and indexed and _is_index(tensor):
            return tensor
        if not any(tensor is read for read in call.read_tensors):
            return torch.empty(0, dtype=torch.float64)
        return torch.from_numpy(call.operand(tensor).places + _OFFSET)

    places = [output.numpy().reshape(-1, 1) - _OFFSET for output in call.again(carrier)()]
    reads = [np.where((at >= 0) & (at < call.readable), at, -1).astype(np.int64) for at in places]
    return Dependencies(reads, a_sum=False)


def tried(call: ShadowCall, *, indexed: bool = False) -> Dependencies:
    """A convolution, pooling or scattered sum: one run for each number that may be read, with a 1 wherever it stands.

    The other factor of a product keeps its constants, so that a weight of 0 reads nothing. With `indexed`, whole
    numbers and masks say where, and not what.
    """
    is_index = _is_index if indexed else lambda tensor: False
    impulses = [one for tensor in call.read_tensors for one in _impulses(call, tensor, is_index)]
    reads = []
    for number, output in enumerate(call.outputs):
        seen = np.stack([np.where(changed[number], place, -1) for place, changed in impulses], axis=1)
        width = int((seen >= 0).sum(axis=1).max(initial=0))
        reads.append(-np.sort(-seen, axis=1)[:, :width].reshape(output.numel(), width))
    return Dependencies(reads, a_sum=True)


def _impulses(
    call: ShadowCall, probed: Tensor, is_index: Callable[[Tensor], bool]
) -> list[tuple[int, list[NDArray[np.bool_]]]]:
    """For each place in `probed` that may be read: the place, and which outputs change with it."""
    if is_index(probed):
        return []
    places = call.operand(probed).places
    impulse = torch.zeros(probed.shape, dtype=torch.float64)

    def stand_in(tensor: Tensor) -> Tensor:
        if tensor is probed:
            return impulse
        if is_index(tensor):
            return tensor
        known = call.operand(tensor)
        return torch.from_numpy(np.where(known.constant, np.abs(known.value), 1.0).astype(np.float64))

    run = call.again(stand_in)
    still = [output.clone() for output in run()]
    impulses = []
    for place in np.unique(places[places >= 0]).tolist():
        impulse.copy_(torch.from_numpy(places == place))
        changed = [(new != old).numpy().reshape(-1) for new, old in zip(run(), still, strict=True)]
        impulses.append((place, changed))
    return impulses


def _is_index(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex()


moved_by_index: Rule = partial(moved, indexed=True)
tried_by_index: Rule = partial(tried, indexed=True)
