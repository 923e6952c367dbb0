"""Running a module under watch: which hops lead from every input position to every output position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.operators import is_view, rule_for
from attnbench.counting.operators.contract.dependencies import Dependencies, ShadowCall, tensors_among
from attnbench.counting.operators.contract.operator import Operation
from attnbench.counting.operators.contract.rules import everything, new_constants
from attnbench.counting.paths.case import Case
from attnbench.counting.paths.shadow.homes import Seats, homes_of
from attnbench.counting.paths.shadow.hop import Meetings
from attnbench.counting.paths.shadow.numbers import Names, Numbers
from attnbench.counting.paths.shadow.storage import Storages


@dataclass(frozen=True, slots=True)
class Watched:
    """One run.

    Attributes:
        hops: ``[output position, input position]``; inf where the output does not depend on the input.
        unknown: operations without a rule, taken for one sum over everything they are given.
    """

    hops: NDArray[np.float32]
    unknown: tuple[str, ...]


def watch(case: Case) -> Watched:
    """Run a module on real numbers and follow every number back to the input positions.

    Raises:
        LayerError: the output has no dimension of that length.
    """
    watcher, leaves = _Watcher(case.length), tree_leaves(case.inputs)
    for place, dimension in case.along.items():
        watcher.mark(leaves[place], dimension)
    with torch.no_grad(), watcher:
        output, dimension = case.called(case.inputs, watcher.note_leaving)
    return Watched(watcher.hops_to(output, dimension), tuple(watcher.unknown))


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Runs every operation, and its rule after it."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch loads its compiler, only to tell it to stay away: a second before the first operation."""
        return False

    def __init__(self, length: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unknown: dict[str, None] = {}
        self._length = length
        self._meetings, self._seats = Meetings(length), Seats(length)
        self._numbers = Numbers(self._meetings)
        self._storages = Storages(self._numbers)

    def mark(self, tensor: Tensor, dimension: int) -> None:
        """Every number of an input is that of its position."""
        shape = [-1 if axis == dimension else 1 for axis in range(tensor.ndim)]
        position = np.broadcast_to(np.arange(self._length).reshape(shape), tensor.shape).reshape(-1)
        self._storages.write(tensor, self._numbers.at(position))

    def note_leaving(self, tensor: Tensor, way: str) -> None:
        """Name a way out of torch that numbers take where nobody can follow them."""
        if self._storages.reaches(tensor):
            self.unknown[way] = None

    def hops_to(self, output: Tensor, dimension: int) -> NDArray[np.float32]:
        """``[output position, input position]``: of the nearest number at every output position."""
        names = np.moveaxis(self._storages.read(output).reshape(output.shape), dimension, 0).reshape(self._length, -1)
        hops = np.asarray(self._numbers.distances()[names].min(axis=1))
        if hops[np.isfinite(hops)].max(initial=0) <= 1:  # where nothing takes a second hop, nothing was met on the way
            return hops
        labels = [set(row) - {0} for row in self._numbers.labels(names).tolist()]
        distance = self._numbers.distances(homes_of(self._meetings, self._seats, labels))
        return np.asarray(distance[names].min(axis=1))

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        reached = tensors_among([*args, *kwargs.values()])
        if _only_looks(operation) or not any(self._storages.reaches(tensor) for tensor in reached):
            return operation(*args, **kwargs)
        call, rule = ShadowCall(operation, args, kwargs), rule_for(operation)
        self._storages.locate(call)
        if rule is None and not call.written:
            opened = self._open(operation, args, kwargs)
            if opened is not NotImplemented:
                return opened
        result = operation(*args, **kwargs)
        call.outputs = call.written or tensors_among([result])
        self._follow(call, rule(call) if rule else None)
        return result

    def _open(self, operation: Operation, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run an operation without a rule as the smaller ones that it is made of, if torch knows them."""
        with self:
            if smaller := _made_of(operation):
                return smaller(*args, **kwargs)
            return operation.decompose(*args, **kwargs)

    def _follow(self, call: ShadowCall, dependencies: Dependencies | None) -> None:
        """Give the numbers of every output the names that its rule, or none, leaves them."""
        if all(call.operand(tensor).constant.all() for tensor in call.read_tensors):
            dependencies = new_constants(call)
        elif dependencies is None:
            self.unknown[str(call.operation)] = None
            dependencies = everything(call)
        for output, reads in zip(call.outputs, dependencies.outputs, strict=True):
            names = self._numbers.step(reads + 1, a_sum=dependencies.a_sum)
            if dependencies.added is not None:
                names = self._numbers.step(np.stack([names, dependencies.added[:, 0] + 1], axis=1), a_sum=False)
            if len(reads) == 1 < output.numel():
                names = names.repeat(output.numel())
            if reads.shape[1] != 1 or not _are_in_place(call, names):
                self._seats.see(self._numbers.labels(names).reshape(output.shape))
            self._storages.write(output, names)


def _are_in_place(call: ShadowCall, names: Names) -> bool:
    """Whether an operation left all numbers of its first argument where they were."""
    return np.array_equal(call.operand(call.read_tensors[0]).places.reshape(-1) + 1, names)


@cache
def _only_looks(operation: Operation) -> bool:
    return is_view(operation) or torch.Tag.inplace_view in operation.tags


def _made_of(operation: Operation) -> Callable[..., Any] | None:
    """What torch writes out one of its own operations as; None where it has nothing."""
    if operation.namespace != "aten":
        return None
    from torch._decomp import decomposition_table  # seconds

    found: Callable[..., Any] | None = decomposition_table.get(operation)
    return found
