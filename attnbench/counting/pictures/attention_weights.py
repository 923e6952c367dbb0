"""The attention weights of any layer on a few random tokens: what a query takes from each key.

A module that has a method ``weights(*inputs)`` is asked for them: ``(…, queries, keys)``. Of all others the softmaxes
are watched: every one over as many keys as there are positions, for each position or for a single query, is taken for
the weights of a head. Fused kernels are replaced by the small operations they are made of, so that theirs is seen too.
Of a window or a block, whose softmax is over fewer keys, the weights are found by what arrives of each value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import one_clear_line, plain_kernels, sizes_or_own_parts
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, build_module, make_inputs, output_of
from attnbench.trial import Sizes

#: Head, query, key → weight.
Weights = list[list[list[float]]]

#: Sizes of the pictures: no two are equal, so that positions are never mistaken for features.
_SIZES: Sizes = {"b": 1, "n": 12, "d": 32}
_SMALL_PARTS: Sizes = {"h": 4, "w": 2, "c": 4, "k": 3}
_MAX_HEADS, _DECIMALS = 4, 4
_SOFTMAXES = ("_softmax", "_safe_softmax")


def weights_of(layer: Layer) -> Weights:
    """Weights of up to four heads, with the weights that the layer starts from and the same tokens for every layer.

    Raises:
        LayerError: the layer cannot be built or called at these sizes, or no weights are to be seen.
    """
    sizes = sizes_or_own_parts(layer, _SIZES, _SMALL_PARTS)
    with torch.random.fork_rng(devices=[]), one_clear_line(layer, sizes), plain_kernels(), torch.no_grad():
        torch.manual_seed(1)
        module = build_module(layer, sizes)
        torch.manual_seed(2)  # the tokens do not depend on how many weights were drawn
        heads = _heads(_found(module, make_inputs(layer, sizes), partial(output_of, layer, sizes), sizes["n"]))
    if not heads:
        raise LayerError(f"layer {layer.name!r} has no attention weights to be seen")
    return heads[:_MAX_HEADS]


def _found(module: nn.Module, inputs: Inputs, output: Callable[[Any], Tensor], n: int) -> list[Tensor]:
    """Weights ``(…, queries, keys)``, several where the module works them out one after the other."""
    own: Any = getattr(module, "weights", None)
    if inspect.ismethod(own):
        given: list[Tensor] = [apply(own, inputs)]
        return given
    softmaxes = _Softmaxes()
    with softmaxes:
        apply(module, inputs)
    seen = [weights for weights in softmaxes.over_keys() if weights.shape[-1] == n and weights.shape[-2] in (1, n)]
    if len(seen) == n > 1 and all(weights.shape[-2] == 1 for weights in seen):
        return [torch.cat(seen, dim=-2)]  # a decoder that takes one step after the other
    return seen or _through_values(lambda value: output(module(value)), inputs, softmaxes.outputs)


def _through_values(module: Callable[[Tensor], Tensor], inputs: Inputs, softmaxes: Sequence[Tensor]) -> list[Tensor]:
    """Weights of a layer that writes out no n × n of them, such as a window, found by what arrives of each value.

    With every softmax held at what it was, the output is linear in the values: a value of 1 at position j and 0 at all
    others arrives at position i as the weight of j there. This is so where values are not projected; where what
    arrives does not add up to 1 for every query, there is nothing to show.
    """
    (x, *others) = tree_leaves(inputs)
    if others or not softmaxes or not (isinstance(x, Tensor) and x.is_floating_point()):  # a token is no value
        return []
    arrived = []
    for position in range(x.shape[1]):
        value = torch.zeros_like(x)
        value[:, position] = 1
        with _Softmaxes(held=softmaxes):
            arrived.append(module(value).mean(dim=-1))
    weights = torch.stack(arrived, dim=-1)  # (b, queries, keys)
    adds_up = torch.allclose(weights.sum(dim=-1), torch.ones(()), atol=1e-3) and bool((weights > -1e-4).all())
    return [weights] if adds_up else []


def _heads(found: Sequence[Tensor]) -> Weights:
    """One matrix of queries and keys for each head, batch items and heads in one row."""
    matrices = [matrix for weights in found for matrix in weights.double().flatten(0, -3)]
    return [[[round(weight, _DECIMALS) for weight in row] for row in matrix.tolist()] for matrix in matrices]


class _Softmaxes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Keeps what every softmax returns; or makes each return what it is told to, in order.

    Args:
        held: what the softmaxes have to return.
    """

    def __init__(self, held: Sequence[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._held = list(held)
        self._dimensions: list[int] = []
        self.outputs: list[Tensor] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = operation(*args, **(kwargs or {}))
        if operation.overloadpacket.__name__ not in _SOFTMAXES:
            return output
        if self._held:
            return self._held.pop(0).clone()
        self._dimensions.append(args[1])
        self.outputs.append(output.clone())
        return output

    def over_keys(self) -> Iterator[Tensor]:
        """Each output with the dimension that it adds up to 1 over, the keys, as its last."""
        for output, dimension in zip(self.outputs, self._dimensions, strict=True):
            if output.ndim > 1:
                weights = output.movedim(dimension, -1)
                yield weights if output.ndim > 2 else weights[None]
