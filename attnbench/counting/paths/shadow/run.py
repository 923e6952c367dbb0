"""Running a module under watch: which hops lead from every input position to every output position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import plain_kernels
from attnbench.counting.operators import is_view, rule_for
from attnbench.counting.operators.contract.dependencies import Dependencies, Reads, ShadowCall
from attnbench.counting.operators.contract.operator import Operation
from attnbench.counting.operators.contract.rules import everything, new_constants
from attnbench.counting.paths.shadow.hop import Meetings, Shadow, constants, join
from attnbench.counting.paths.shadow.storage import Storages
from attnbench.errors import LayerError
from attnbench.layers.building import Inputs, apply


@dataclass(frozen=True, slots=True)
class Watched:
    """One run.

    Attributes:
        hops: ``[output position, input position]``; inf where the output does not depend on the input.
        unknown: operations without a rule, taken for one sum over everything they are given.
    """

    hops: NDArray[np.float32]
    unknown: tuple[str, ...]


def watch(module: nn.Module, inputs: Inputs, along: Mapping[int, int], length: int) -> Watched:
    """Run `module` on real numbers and follow every number back to the input positions.

    Args:
        module: in float64 and evaluation mode.
        inputs: its arguments.
        along: which inputs have positions, by their place among all leaves: the dimension of length `length`.
        length: how many positions there are.

    Raises:
        LayerError: the output has no dimension of that length.
    """
    meetings = Meetings(length)
    watcher, output = _watched(module, inputs, along, meetings)
    hops = watcher.hops_to(*output)
    # Where nothing takes a second hop, nothing was met on the way.
    if hops[np.isfinite(hops)].max(initial=0) > 1 and meetings.settle(watcher.labels_at(*output)):
        watcher, output = _watched(module, inputs, along, meetings)
        hops = watcher.hops_to(*output)
    return Watched(hops, tuple(watcher.unknown))


def _watched(
    module: nn.Module, inputs: Inputs, along: Mapping[int, int], meetings: Meetings
) -> tuple[_Watcher, tuple[Tensor, int]]:
    watcher = _Watcher(meetings)
    for place, dimension in along.items():
        watcher.mark(tree_leaves(inputs)[place], dimension)
    with torch.no_grad(), plain_kernels(), watcher:
        output = apply(module, inputs)
    return watcher, positions_of(output, meetings.sources)


def positions_of(value: Any, length: int) -> tuple[Tensor, int]:
    """The first tensor with a dimension of `length` numbers, and that dimension: the second if it fits.

    Raises:
        LayerError: there is none.
    """
    for tensor in tree_leaves(value):
        if isinstance(tensor, Tensor) and (found := position_dimension(tensor, length)) is not None:
            return tensor, found
    raise LayerError(f"returns no tensor with a dimension of n = {length}")


def position_dimension(tensor: Tensor, length: int) -> int | None:
    """The dimension of `tensor` that positions lie along; None when it has none of that length."""
    likely = sorted(range(tensor.ndim), key=lambda dimension: dimension != 1)
    return next((dimension for dimension in likely if tensor.shape[dimension] == length), None)


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Runs every operation, and its rule after it."""

    def __init__(self, meetings: Meetings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unknown: dict[str, None] = {}
        self._length = meetings.sources
        self._meetings = meetings
        self._storages = Storages(self._meetings)

    def mark(self, tensor: Tensor, dimension: int) -> None:
        """Every number of an input knows its own position, and is no hop away from it."""
        shape = [-1 if axis == dimension else 1 for axis in range(tensor.ndim)]
        position = np.broadcast_to(np.arange(self._length).reshape(shape), tensor.shape).reshape(-1)
        shadow = constants(tensor.numel(), self._length)
        shadow.distance[np.arange(tensor.numel()), position] = 0
        shadow.label[:] = [self._meetings.at(p) for p in position.tolist()]
        self._storages.write(tensor, shadow)

    def hops_to(self, output: Tensor, dimension: int) -> NDArray[np.float32]:
        """The nearest number at every output position."""
        distance = self._storages.read(output).distance.reshape(*output.shape, self._length)
        others = tuple(axis for axis in range(output.ndim) if axis != dimension)
        return np.asarray(distance.min(axis=others))

    def labels_at(self, output: Tensor, dimension: int) -> list[set[int]]:
        """The labels of all numbers at every output position."""
        labels = self._storages.read(output).label.reshape(output.shape)
        return [set(row.tolist()) - {0} for row in np.moveaxis(labels, dimension, 0).reshape(self._length, -1)]

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        reached = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        only_looks = is_view(operation) or torch.Tag.inplace_view in operation.tags
        if only_looks or not any(self._storages.reaches(leaf) for leaf in reached):
            return operation(*args, **kwargs)
        call, rule = ShadowCall(operation, args, kwargs), rule_for(operation)
        read = self._storages.locate(call)
        if rule is None and not call.written:
            opened = self._open(operation, args, kwargs)
            if opened is not NotImplemented:
                return opened
        result = operation(*args, **kwargs)
        call.outputs = call.written or [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._follow(call, read, rule(call) if rule else None)
        return result

    def _open(self, operation: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run an operation without a rule as the smaller ones that it is made of, if torch knows them."""
        from torch._decomp import decomposition_table

        with self:
            if smaller := decomposition_table.get(operation):
                return smaller(*args, **kwargs)
            return operation.decompose(*args, **kwargs)

    def _follow(self, call: ShadowCall, read: Shadow, dependencies: Dependencies | None) -> None:
        """Give every output the shadow that its rule, or none, leaves it."""
        if not read.label.any():
            dependencies = new_constants(call)
        elif dependencies is None:
            self.unknown[str(call.operation)] = None
            dependencies = everything(call)
        for output, reads in zip(call.outputs, dependencies.outputs, strict=True):
            shadow = self._meetings.step(read, reads, a_sum=dependencies.a_sum)
            if dependencies.added is not None:
                shadow = self._add(shadow, read, dependencies.added)
            if len(reads) == 1 < output.numel():
                shadow = shadow.take(np.zeros(output.numel(), np.int64))
            for dimension, size in enumerate(output.shape):
                if size == self._length > 1:
                    self._meetings.seat(shadow.label.reshape(output.shape), dimension)
            self._storages.write(output, shadow)

    def _add(self, shadow: Shadow, read: Shadow, added: Reads) -> Shadow:
        both = join([shadow, read])
        count = len(shadow.label)
        theirs = np.where(added < 0, -1, added + count)
        return self._meetings.step(both, np.hstack([np.arange(count)[:, None], theirs]), a_sum=False)
