"""Tensors of which nothing can be counted, and torch's words about them, in words that follow on a layer's name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attnbench.errors import LayerError

_LAZY = "has a weight without a size{}: give it its sizes, or call a lazy module once where it is built"
_SPARSE = "works with a sparse tensor{}, whose work depends on its values: make it dense with to_dense()"
_NESTED = "works with a nested tensor{}, whose work depends on lengths that no size tells: pad it to one length"
_META = "has a weight on the device meta{}, where there are no numbers: build it on the CPU"
_NUMPY = "hands a tensor to numpy, where no count can follow: write it with operations of torch"
_HIGHER_ORDER = r"There was no rule registered for HigherOrderOperator (\w+)"

#: What torch says, and what is meant by it.
_MEANINGS = (
    ("uninitialized parameter", _LAZY),
    (r"Sparse\w*TensorImpl", _SPARSE),
    ("NestedTensorImpl|shape_env must not be None", _NESTED),
    ("two devices.*meta|meta.*two devices", _META),
    (r"\.numpy\(\) is not supported for tensor subclasses", _NUMPY),
)


def refuse_odd_tensors(module: nn.Module) -> None:
    """Refuse a module that holds a tensor of which nothing can be counted.

    Raises:
        LayerError: it does; the message names the tensor.
    """
    for name, tensor in _named_tensors(module):
        if words := _words_about(tensor):
            raise LayerError(words.format(f" ({name})"))


def meaning_of(error: Exception) -> str:
    """What torch's words about such a tensor mean; an empty string where they are about something else."""
    said = str(error)
    if found := re.search(_HIGHER_ORDER, said):
        return f"uses {found[1]}, into which no count can look: write it with smaller operations of torch"
    return next((words.format("") for pattern, words in _MEANINGS if re.search(pattern, said)), "")


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
    for name, part in module.named_modules():
        for attribute, value in vars(part).items():
            if isinstance(value, Tensor):
                yield f"{name}.{attribute}".lstrip("."), value


def _words_about(tensor: Tensor) -> str:
    if is_lazy(tensor):
        return _LAZY
    if tensor.is_nested:
        return _NESTED
    if "sparse" in str(tensor.layout):
        return _SPARSE
    return _META if tensor.device.type == "meta" else ""
