"""What one timed call is, in each mode.

======== ==================================================== =====================================================
mode     inside the timed region                              outside of it
======== ==================================================== =====================================================
forward  the module's call, in inference mode                 inputs and weights
train    the module's call, and the gradients of all weights  inputs, weights, and (in the first call, which is
         and inputs for a random gradient of the output       recorded apart) the gradient of the output
decode   ``step(token, state)``, in inference mode, always    the context of n positions, and ``prefill(context)``
         from the same state                                  that makes the state
======== ==================================================== =====================================================

These are the calls that are counted. A module in training is in training mode, as it is when it is counted: that adds
nothing to the work of a layer without dropout. Gradients are handed back and never added to ``grad``, so there is none
to be cleared; no optimiser takes part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves

from attnbench.errors import LayerError, UnsupportedError
from attnbench.layers.backward import WayBack, way_back
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, check_output, picked, results_of, tensors_in
from attnbench.trial import Sizes

#: Makes another callable that does the same.
Form = Callable[[Callable[..., Any]], Callable[..., Any]]

#: A call, and what is shown the output of the first one.
Ready = tuple[Callable[[], Any], Callable[[Any], None]]


@contextlib.contextmanager
def ready(
    layer: Layer, module: nn.Module, inputs: Inputs, mode: str, form: Form = lambda call: call
) -> Iterator[Ready]:
    """A call that can be repeated, and the examination of what it returns; to be used as a context.

    `form` is applied to the module, or to its step: it may return another form of the same, such as a compiled one.

    Raises:
        UnsupportedError: the module cannot be trained, or cannot decode.
        LayerError: the output or a gradient is not finite, or a step changes the state that it is given.
    """
    with contextlib.nullcontext() if mode == "train" else torch.inference_mode():
        match mode:
            case "train":
                yield _training(layer, module.train(), inputs, form), lambda output: _examine(layer, *output)
            case "decode":
                yield _decoding(layer, module, inputs, form)
            case _:
                run = form(module)
                yield lambda: apply(run, inputs), lambda output: _examine(layer, output)


def _training(layer: Layer, module: nn.Module, inputs: Inputs, form: Form) -> Callable[[], Any]:
    run = form(module)
    leaves = [value.requires_grad_() for value in tensors_in(inputs) if value.is_floating_point() or value.is_complex()]
    leaves += [parameter for parameter in module.parameters() if parameter.requires_grad]
    above: list[Tensor] = []
    back: list[WayBack] = []

    def call() -> Any:
        output = apply(run, inputs)
        results = results_of(layer, output)
        if not results:
            raise UnsupportedError(f"layer {layer.name!r} cannot be trained: no gradient flows back through it")
        if not above:
            above.extend(map(torch.randn_like, results))
            back.append(way_back(results))
        return output, back[0](results, leaves, above)

    return call


def _decoding(layer: Layer, module: nn.Module, inputs: Inputs, form: Form) -> Ready:
    prefill, step = (getattr(module, name, None) for name in ("prefill", "step"))
    if not (callable(prefill) and callable(step)):
        raise UnsupportedError(
            f"layer {layer.name!r} cannot decode: its module has no prefill(context) and step(token, state)"
        )
    if len(leaves := tree_leaves(inputs)) != 1:
        raise UnsupportedError(f"layer {layer.name!r} cannot decode: it has {len(leaves)} inputs, and one is a context")
    context = leaves[0]
    state, token = prefill(context), context[:, :1].clone()
    shape = tree_flatten(state)[1]
    before = [tensor.clone() for tensor in tensors_in(state)]

    def examine(output: Any) -> None:
        _examine(layer, _first(output, "decode"))
        if tree_flatten(state)[1] != shape or not all(map(_same, before, tensors_in(state))):
            raise LayerError(
                f"layer {layer.name!r}: step() changes the state that it is given, so that a step cannot be repeated; "
                "let it return a new one"
            )
        before.clear()  # it has told what it can, and memory is for the layer

    run = form(step)
    return lambda: run(token, state), examine


def check_shape(layer: Layer, sizes: Sizes, mode: str, output: Any) -> None:
    """Raises LayerError unless the output is as large as it should be; one step has one position."""
    check_output(layer, sizes | {"n": 1} if mode == "decode" else sizes, _first(output, mode))


def output_in(layer: Layer, mode: str, returned: Any) -> Any:
    """What the layer itself returned, out of what a call in this mode returns, as far as the layer picks it."""
    return picked(layer, _first(returned, mode))


def _first(returned: Any, mode: str) -> Any:
    """Of training and decoding, the first of what comes back is the output."""
    return returned[0] if mode != "forward" and isinstance(returned, tuple) else returned


def _examine(layer: Layer, returned: Any, gradients: Any = ()) -> None:
    if not all(bool(tensor.isfinite().all()) for tensor in tensors_in((picked(layer, returned), gradients))):
        raise LayerError("the output is not finite on normal random input")


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, numbers included that a cache was never given: they may be any."""
    return one.shape == other.shape and bool(((one == other) | (one != one) & (other != other)).all())
