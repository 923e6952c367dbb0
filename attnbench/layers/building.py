"""From a layer and sizes to a module and its inputs, in one place for counting and for measuring."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor, nn

from attnbench.errors import LayerError
from attnbench.layers.base import Layer, named_sizes
from attnbench.trial import Sizes, describe


def build_module(layer: Layer, sizes: Sizes, device: str = "cpu", dtype: str = "float32") -> nn.Module:
    """The layer's module in evaluation mode, weights drawn on `device` in `dtype`.

    Raises:
        LayerError: the factory raised, or returned something that is no module.
    """
    arguments = _arguments(layer.build, sizes)
    try:
        with torch.device(device), _DefaultDtype(dtype):
            module = layer.build(**arguments)
    except Exception as error:
        raise LayerError(f"layer {layer.name!r} cannot be built at {describe(sizes)}: {_one_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise LayerError(f"layer {layer.name!r}: build() must return a torch module, not {type(module).__name__}")
    return module.eval()


def make_inputs(layer: Layer, sizes: Sizes, device: str = "cpu", dtype: str = "float32") -> tuple[Any, ...]:
    """Normal random inputs: one ``(b, n, d)`` tensor, or what the layer's own factory gives.

    Raises:
        LayerError: the layer's input factory raised.
    """
    with torch.device(device), _DefaultDtype(dtype):
        if layer.inputs is None:
            return (torch.randn(sizes["b"], sizes["n"], sizes["d"]),)
        try:
            inputs = layer.inputs(**_arguments(layer.inputs, sizes))
        except Exception as error:
            raise LayerError(
                f"layer {layer.name!r}: inputs() failed at {describe(sizes)}: {_one_line(error)}"
            ) from error
    return inputs if isinstance(inputs, tuple) else (inputs,)


def check_output(layer: Layer, sizes: Sizes, output: Any) -> None:
    """Refuse an output that is no ``(b, n, d)`` tensor; layers with inputs of their own may return what they like.

    Raises:
        LayerError: the output breaks the contract.
    """
    expected = (sizes["b"], sizes["n"], sizes["d"])
    if layer.inputs is not None:
        return
    if not isinstance(output, Tensor):
        raise LayerError(f"layer {layer.name!r} must return one tensor, not {type(output).__name__}")
    if tuple(output.shape) != expected:
        raise LayerError(
            f"layer {layer.name!r} must return shape (b, n, d) = {expected}, not {tuple(output.shape)}, "
            f"at {describe(sizes)}"
        )


def seed_for(trial_id: str, seed: int) -> int:
    """A seed that differs between trials, is the same in every process, and follows the run's seed."""
    return zlib.crc32(f"{seed}/{trial_id}".encode())


def _arguments(factory: Any, sizes: Sizes) -> Sizes:
    return {axis: sizes[axis] for axis in named_sizes("", factory)}


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


class _DefaultDtype:
    """Default floating dtype within a block, put back afterwards."""

    def __init__(self, dtype: str) -> None:
        self._dtype: torch.dtype = getattr(torch, dtype)

    def __enter__(self) -> None:
        self._before = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)

    def __exit__(self, *_: object) -> None:
        torch.set_default_dtype(self._before)
