"""The attention weights of any layer on a few random tokens: what a query takes from each key.

A module that has a method ``weights(*inputs)`` is asked for them: ``(…, queries, keys)``. Of all others the softmaxes
are watched: every one over as many keys as there are positions, for each position or for a single query, is taken for
the weights of a head. Fused kernels are replaced by the small operations they are made of, so that theirs is seen too.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from attnbench.count.calls import one_clear_line, plain_kernels
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.trial import Sizes

#: Head, query, key → weight.
Weights = list[list[list[float]]]

#: Sizes of the pictures: no two are equal, so that positions are never mistaken for features.
_SIZES: Sizes = {"b": 1, "n": 12, "d": 32}
_SMALL_PARTS: Sizes = {"h": 4, "w": 2, "c": 4, "k": 3}
_MOST_HEADS, _DECIMALS = 4, 4
_SOFTMAXES = ("_softmax", "_safe_softmax")


def weights_of(layer: Layer) -> Weights:
    """Weights of up to four heads, with the weights that the layer starts from and the same tokens for every layer.

    Raises:
        LayerError: the layer cannot be built or called at these sizes, or no weights are to be seen.
    """
    sizes = _sizes(layer)
    with torch.random.fork_rng(devices=[]), one_clear_line(layer, sizes), plain_kernels(), torch.no_grad():
        torch.manual_seed(1)
        module = build_module(layer, sizes)
        torch.manual_seed(2)  # the tokens do not depend on how many weights were drawn
        heads = _heads(_found(module, make_inputs(layer, sizes), sizes["n"]))
    if not heads:
        raise LayerError(f"layer {layer.name!r} has no attention weights to be seen")
    return heads[:_MOST_HEADS]


def _sizes(layer: Layer) -> Sizes:
    parts = {axis: size for axis, size in _SMALL_PARTS.items() if axis in layer.axes}
    try:
        return layer.sizes(_SIZES | parts)
    except LayerError:
        return layer.sizes(_SIZES)


def _found(module: nn.Module, inputs: tuple[Any, ...], n: int) -> list[Tensor]:
    own: Any = getattr(module, "weights", None)
    if inspect.ismethod(own):
        given: list[Tensor] = [own(*inputs)]
        return given
    watched = _Softmaxes(n)
    with watched:
        module(*inputs)
    return watched.found


def _heads(found: Sequence[Tensor]) -> Weights:
    """One matrix of queries and keys for each head, batch items and heads in one row."""
    matrices = [matrix for weights in found for matrix in weights.double().flatten(0, -3)]
    return [[[round(weight, _DECIMALS) for weight in row] for row in matrix.tolist()] for matrix in matrices]


class _Softmaxes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Keeps what softmaxes over the positions return."""

    def __init__(self, n: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._n = n
        self.found: list[Tensor] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = operation(*args, **(kwargs or {}))
        if operation.overloadpacket.__name__ in _SOFTMAXES:
            weights = output.movedim(args[1], -1)  # the keys are what is summed over
            if weights.ndim > 1 and weights.shape[-1] == self._n and weights.shape[-2] in (1, self._n):
                self.found.append(weights.clone() if weights.ndim > 2 else weights[None].clone())
        return output
