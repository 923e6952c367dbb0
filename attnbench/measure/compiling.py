"""``torch.compile``: one graph of a whole layer for one size, or the reason why there is none.

A layer that only parts of can be compiled is not supported: a time of it would be that of a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from attnbench.errors import LayerError, UnsupportedError
from attnbench.layers.building import tensors_in
from attnbench.measure.clock import Clock


def one_graph(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, to be compiled when it is first called, as one graph for the sizes that it is then given."""
    compiled: Callable[..., Any] = torch.compile(call, dynamic=False, fullgraph=True)
    return compiled


@cache
def objection(device: str) -> str:
    """Why nothing can be compiled for a device; empty where it can. The compiler is loaded by that, once a process."""
    try:
        one_graph(lambda numbers: numbers + 1)(torch.ones(8, device=device))
    except Exception as error:  # whatever a compiler, its libraries and its cache may raise
        return f"torch.compile does not work here: {_first_line(error)}"
    return ""


@contextmanager
def compiler(device: str) -> Iterator[None]:
    """A context in which code may be compiled, by a compiler that starts afresh and leaves nothing behind.

    Raises:
        UnsupportedError: nothing can be compiled here.
    """
    if reason := objection(device):
        raise UnsupportedError(reason)
    torch._dynamo.reset()
    try:
        yield
    finally:
        torch._dynamo.reset()


def compile_seconds(call: Callable[[], Any], layer: str, clock: Clock) -> float:
    """Seconds of the call that compiles; the one call of the result that is in them is the least part.

    Raises:
        UnsupportedError: no graph of the whole layer can be made.
    """
    begun = clock.now()
    with _refusals(layer):
        call()
    clock.drain()
    return clock.now() - begun


def check_same(layer: str, found: Any, expected: Any) -> None:
    """Compare what the compiled layer returns with what the layer does.

    Half of the digits must agree: a graph may sum in another order, and keep more digits between its steps.

    Raises:
        LayerError: they differ.
    """
    for one, other in zip(_tensors(found), _tensors(expected), strict=True):
        apart = torch.where(one == other, 0, one - other)  # what is infinite in both is not apart
        largest = max(float(other.abs().nan_to_num(0, 0, 0).max()), torch.finfo(other.dtype).tiny)
        off = float(apart.abs().max()) / largest
        if not off <= torch.finfo(other.dtype).eps ** 0.5:
            raise LayerError(
                f"layer {layer!r}: compiled, it returns something else, off by up to {off:.2g} of the largest number"
            )


@contextmanager
def _refusals(layer: str) -> Iterator[None]:
    """What the compiler refuses, as one line about the layer; what the layer itself raises stays as it is."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        raise UnsupportedError(f"layer {layer!r} cannot be compiled as one graph: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What happened, and torch's explanation where it gives one."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line][:1]
    told += [line.removeprefix("Explanation: ") for line in lines if line.startswith("Explanation: ")][:1]
    return ": ".join(told) or type(error).__name__


def _tensors(values: Any) -> list[Tensor]:
    leaves = (leaf.detach() for leaf in tensors_in(values))
    return [leaf for leaf in leaves if (leaf.is_floating_point() or leaf.is_complex()) and leaf.numel()]
