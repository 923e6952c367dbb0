"""From a layer and sizes to a module and its inputs, in one place for counting and for measuring."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from attnbench.errors import LayerError, words_of
from attnbench.layers.base import Layer, named_sizes
from attnbench.trial import Sizes, describe

#: Arguments of a call: in order, or by name.
Inputs = tuple[Any, ...] | dict[str, Any]


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


def make_inputs(layer: Layer, sizes: Sizes, device: str = "cpu", dtype: str = "float32") -> Inputs:
    """Normal random inputs: one ``(b, n, d)`` tensor, or what the layer's own factory gives, by name if it is a dict.

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
    return inputs if isinstance(inputs, tuple | dict) else (inputs,)


def apply(module: Callable[..., Any], inputs: Inputs) -> Any:
    """What a module returns for its inputs, in order or by name."""
    return module(**inputs) if isinstance(inputs, dict) else module(*inputs)


def output_of(layer: Layer, sizes: Sizes, returned: Any) -> Tensor:
    """What counts as the output: what the layer's `output` picks, or the first floating tensor with a length.

    Tuples, dicts and dataclasses are looked through; where no tensor has a dimension of n, the first floating one
    counts, and without any the first tensor.

    Raises:
        LayerError: there is no tensor, or `output` raised or picked something else.
    """
    found = picked(layer, returned)
    tensors = list(tensors_in(found))
    if not tensors:
        raise LayerError(f"layer {layer.name!r} must return one tensor, not {type(found).__name__}")
    floating = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    long = [tensor for tensor in floating if sizes["n"] in tensor.shape]
    return [*long, *floating, *tensors][0]


def results_of(layer: Layer, returned: Any) -> list[Tensor]:
    """Tensors that a backward pass starts from: what `output` picks, or whatever the layer returns with a gradient."""
    found = picked(layer, returned)
    return [tensor for tensor in tensors_in(found) if tensor.requires_grad]


def tensors_in(returned: Any) -> Iterator[Tensor]:
    """Every tensor in what a module returned, in order: in tuples, lists, dicts, other mappings and dataclasses."""
    for leaf in tree_leaves(returned):
        if isinstance(leaf, Tensor):
            yield leaf
        elif isinstance(leaf, Mapping):
            yield from tensors_in(list(leaf.values()))
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            yield from tensors_in([getattr(leaf, one.name) for one in fields(leaf)])


def picked(layer: Layer, returned: Any) -> Any:
    """What the layer's `output` picks out of what a module returned, or all of that.

    Raises:
        LayerError: `output` raised.
    """
    if layer.output is None:
        return returned
    try:
        return layer.output(returned)
    except Exception as error:
        kind = type(returned).__name__
        raise LayerError(f"layer {layer.name!r}: output() failed on the {kind} returned: {_one_line(error)}") from error


def check_output(layer: Layer, sizes: Sizes, returned: Any) -> None:
    """Refuse an output that is no ``(b, n, d)`` tensor.

    Layers with inputs of their own, or with an `output` of their own, may return tensors of any shape.

    Raises:
        LayerError: the output breaks the contract.
    """
    expected = (sizes["b"], sizes["n"], sizes["d"])
    output = output_of(layer, sizes, returned)
    if layer.inputs is None and layer.output is None and tuple(output.shape) != expected:
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
    return f"{type(error).__name__}: {words_of(error)}"[:300]


class _DefaultDtype:
    """Default floating dtype within a block, put back afterwards."""

    def __init__(self, dtype: str) -> None:
        self._dtype: torch.dtype = getattr(torch, dtype)

    def __enter__(self) -> None:
        self._before = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)

    def __exit__(self, *_: object) -> None:
        torch.set_default_dtype(self._before)
