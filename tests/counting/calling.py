"""Any function as a layer, so that what is traced is what the test shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from attnbench.counting.trace import Trace, Way, trace
from attnbench.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"b": 2, "n": 6, "d": 4}


class Calling(nn.Module):
    """A module that calls `function` on whatever it is called on."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(*inputs)


def layer_calling(function: Callable[..., object], name: str = "x") -> Layer:
    """A layer over one ``(b, n, d)`` tensor."""
    return Layer(name, lambda: Calling(function))


def trace_of(function: Callable[..., object], *shapes: tuple[int, ...], way: Way = Way.WHOLE) -> Trace:
    """The trace of `function` called on one tensor of each shape."""
    return trace_of_module(lambda: Calling(function), *shapes, way=way)


def trace_of_module(build: Callable[[], nn.Module], *shapes: tuple[int, ...], way: Way = Way.WHOLE) -> Trace:
    """The trace of the module that `build` makes, called on one tensor of each shape."""
    layer = Layer("x", build, inputs=lambda: tuple(torch.randn(shape) for shape in shapes))
    return trace(layer, {"b": 1, "n": 1, "d": 1}, way=way)
