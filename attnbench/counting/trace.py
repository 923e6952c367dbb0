"""One call of a layer on fake tensors, written down: which kernels ran, their work, and the bytes alive after each.

Fake tensors have shapes and no data, so a call at n = 2²⁰ costs what a call at n = 64 costs. Every count is a reading
of such a trace; `Way` says how the call is made, since no single way shows everything.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import one_clear_line, without_onednn
from attnbench.counting.critical_path import CriticalPath
from attnbench.counting.fake import FakeMode, build_fake, refusals
from attnbench.counting.operators import (
    WITH_WORKSPACE,
    elementwise_of,
    flops_of,
    has_formula,
    log_depth_of,
    operator_of,
)
from attnbench.counting.operators.contract.operator import Call, Operation
from attnbench.errors import LayerError
from attnbench.layers.backends import attention_backend
from attnbench.layers.base import Layer
from attnbench.layers.building import Inputs, apply, check_output, make_inputs, results_of
from attnbench.trial import Sizes


class Way(Enum):
    """How a layer is called for a trace."""

    #: Inference; a fused recurrence is one operation with a closed formula, so a million steps need not be walked.
    WHOLE = "whole"
    #: Without gradients; the kernels that a CPU really runs, with the bytes they keep alive.
    OPENED = "opened"
    #: Without gradients and without oneDNN, which hides a recurrence in one kernel: every dependency is seen.
    STEPPED = "stepped"
    #: Forward as in training, for what it keeps for the backward pass.
    KEPT = "kept"
    #: Forward and backward, with gradients of the input and of all parameters.
    TRAIN = "train"
    #: The same without oneDNN.
    TRAIN_STEPPED = "train, stepped"
    #: One new token against a context of n.
    DECODE = "decode"
    #: What a context of n costs before the first token.
    PREFILL = "prefill"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One executed operation.

    Attributes:
        name: the operation of torch.
        flops: matrix work; None when nobody has a formula for it.
        elementwise: element-wise work.
        depth: kernels of the longest dependent chain that ends here, this one included.
        log_depth: the same for processors without number: the heaviest chain that ends here, each kernel weighing the
            logarithms it hides.
        weight: what this kernel adds to it.
        before: place of the kernel before this one in the heaviest chain; -1 where there is none.
    """

    name: str
    flops: float | None
    elementwise: int
    depth: int
    log_depth: float
    weight: float = 0.0
    before: int = -1


class Stored(NamedTuple):
    """A tensor's memory: its bytes, the kernel that made it, and the first kernel that ran without it."""

    nbytes: int
    made: int
    gone: int


@dataclass(frozen=True, slots=True)
class Trace:
    """One call, written down.

    Attributes:
        kernels: operations in order, views left out.
        live_bytes: bytes of tensors made during the call that are alive after each operation.
        weights: trainable numbers of each weight of the module.
        saved: bytes of each storage that the forward pass keeps for the backward pass, input included, parameters not;
            only of a call in training.
        stored: memory that was made during the call, in order.
        kept_whole: whether an operation was seen as one that runs as the loop it hides.
    """

    kernels: tuple[Kernel, ...]
    live_bytes: tuple[int, ...]
    weights: tuple[int, ...]
    saved: tuple[int, ...] = ()
    stored: tuple[Stored, ...] = ()
    kept_whole: bool = False

    @property
    def parameters(self) -> int:
        """Trainable numbers of the module."""
        return sum(self.weights)

    @property
    def saved_bytes(self) -> int:
        """Bytes that the forward pass keeps for the backward pass."""
        return sum(self.saved)

    @property
    def flops(self) -> float:
        """Work of the kernels that have a formula: a whole number but for Fourier transforms."""
        return sum(kernel.flops or 0 for kernel in self.kernels)

    @property
    def elementwise(self) -> int:
        """Element-wise work."""
        return sum(kernel.elementwise for kernel in self.kernels)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of live bytes beyond inputs and parameters."""
        return max(self.live_bytes, default=0)

    @property
    def depth(self) -> int:
        """Kernels in the longest dependent chain."""
        return max((kernel.depth for kernel in self.kernels), default=0)

    @property
    def log_depth(self) -> float:
        """Length of the longest dependent chain, reductions and products taken as trees."""
        return max((kernel.log_depth for kernel in self.kernels), default=0.0)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of operations without a formula, each once."""
        return tuple(dict.fromkeys(kernel.name for kernel in self.kernels if kernel.flops is None))

    @property
    def hidden(self) -> tuple[str, ...]:
        """Names of operations that keep more for the backward pass than can be seen."""
        return tuple(dict.fromkeys(kernel.name for kernel in self.kernels if kernel.name in WITH_WORKSPACE))


def trace(layer: Layer, sizes: Sizes, *, dtype: str = "float32", way: Way = Way.WHOLE, sdpa: str = "default") -> Trace:
    """Call the layer once on fake tensors, with the backend `sdpa` of fused attention.

    Raises:
        LayerError: the layer cannot be built or called at these sizes, depends on values that fake tensors do not
            have, or returns something else than a ``(b, n, d)`` tensor (``(b, 1, d)`` and a state, in decoding).
    """
    mode = FakeMode()
    with one_clear_line(layer, sizes), refusals(), attention_backend(sdpa):
        module = build_fake(layer, sizes, dtype, mode)
        with mode:
            return _called(layer, sizes, module, dtype, way)


def _called(layer: Layer, sizes: Sizes, module: nn.Module, dtype: str, way: Way) -> Trace:
    inputs = make_inputs(layer, sizes, dtype=dtype)
    match way:
        case Way.TRAIN | Way.KEPT:
            return _train(layer, sizes, module, inputs, backward=way is Way.TRAIN)
        case Way.TRAIN_STEPPED:
            with without_onednn():
                return _train(layer, sizes, module, inputs, backward=True)
        case Way.DECODE | Way.PREFILL:
            return _decode(layer, sizes, module, inputs, only_prefill=way is Way.PREFILL)
        case _:
            return _forward(layer, sizes, module, inputs, way)


def _forward(layer: Layer, sizes: Sizes, module: nn.Module, inputs: Inputs, way: Way) -> Trace:
    writer = _Writer(known=[*_weights(module), *tree_leaves(inputs)], whole=way is Way.WHOLE)
    gradients = torch.inference_mode() if way is Way.WHOLE else torch.no_grad()
    with gradients, without_onednn() if way is Way.STEPPED else contextlib.nullcontext(), writer:
        returned = apply(module, inputs)
    check_output(layer, sizes, returned)
    return writer.trace(module)


def _decode(layer: Layer, sizes: Sizes, module: nn.Module, inputs: Inputs, *, only_prefill: bool) -> Trace:
    prefill, step = (getattr(module, name, None) for name in ("prefill", "step"))
    if not (callable(prefill) and callable(step)):
        raise LayerError(
            f"layer {layer.name!r} cannot decode: its module has no prefill(context) and step(token, state)"
        )
    (context,) = tree_leaves(inputs)
    with torch.no_grad():
        before = _Writer(known=[*_weights(module), context], whole=True)
        with torch.inference_mode(), before:  # its work is not the token's, and a recurrence need not be walked
            state = prefill(context)
        if only_prefill:
            return before.trace(module)
        token = context[:, :1].clone()
        writer = _Writer(known=[*_weights(module), *tree_leaves((state, token))], whole=False)
        with without_onednn(), writer:
            output, _ = step(token, state)
    check_output(layer, sizes | {"n": 1}, output)
    return writer.trace(module)


def _train(layer: Layer, sizes: Sizes, module: nn.Module, inputs: Inputs, *, backward: bool) -> Trace:
    values = [value for value in tree_leaves(inputs) if isinstance(value, Tensor) and value.is_floating_point()]
    leaves = [value.requires_grad_() for value in values]
    leaves += [parameter for parameter in module.parameters() if parameter.requires_grad]
    saved = _Saved(_weights(module))
    writer = _Writer(known=[*_weights(module), *tree_leaves(inputs)], whole=False)
    module.train()
    with torch.enable_grad():
        with writer, torch.autograd.graph.saved_tensors_hooks(saved.pack, saved.unpack):
            returned = apply(module, inputs)
        check_output(layer, sizes, returned)
        results = results_of(layer, returned)
        if not results:
            raise LayerError(f"layer {layer.name!r} cannot be trained: no gradient flows back through it")
        if backward:
            gradients = [torch.ones_like(result) for result in results]
            writer.know(gradients, after=results)
            with writer:
                torch.autograd.grad(results, leaves, gradients, allow_unused=True)
    return writer.trace(module, tuple(saved.nbytes))


def _weights(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


class _Saved:
    """What autograd keeps for the backward pass, each storage once."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._seen = weakref.WeakSet(_storages(weights))
        self.nbytes: list[int] = []

    def pack(self, tensor: Tensor) -> Tensor:
        """Called for each saved tensor; a view keeps its whole storage alive."""
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen.add(storage)
            self.nbytes.append(storage.nbytes())
        return tensor

    def unpack(self, tensor: Tensor) -> Tensor:
        """Inverse of `pack`."""
        return tensor


class _Writer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Writes down every operation that reaches the dispatcher."""

    def __init__(self, known: Sequence[Any], *, whole: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kernels: list[Kernel] = []
        self._live_bytes: list[int] = []
        self._whole = whole
        self._live = 0
        self._stored: list[tuple[int, int]] = []
        self._gone: dict[int, int] = {}
        self._kept_whole = False
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._critical_path = CriticalPath()
        self.know(known)

    def know(self, values: Sequence[Any], after: Sequence[Any] = ()) -> None:
        """Take tensors as given: they cost no memory and no kernel, but may depend on what came before."""
        self._seen.update(_storages(values))
        self._critical_path.follow(after, values)

    def trace(self, module: nn.Module, saved: tuple[int, ...] = ()) -> Trace:
        """What was written."""
        weights = tuple(weight.numel() for weight in module.parameters() if weight.requires_grad)
        end = len(self._kernels)
        stored = tuple(Stored(*one, self._gone.get(place, end)) for place, one in enumerate(self._stored))
        return Trace(tuple(self._kernels), tuple(self._live_bytes), weights, saved, stored, self._kept_whole)

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        call = Call(operation, args, kwargs)
        if self._whole and (outputs := operator_of(operation).outputs):
            self._kept_whole = True
            return self._write(replace(call, output=outputs(call)))
        if not has_formula(operation):
            with self:  # a composite operation is made of others that may have formulas
                output = operation.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        return self._write(replace(call, output=operation(*args, **kwargs)))

    def _write(self, call: Call) -> Any:
        made = self._account(call.output)
        flops = flops_of(call)
        if made or flops or flops is None or _writes(call.operation):
            given = [] if operator_of(call.operation).is_allocation else tree_leaves((call.args, call.kwargs))
            read = [value for value in given if isinstance(value, Tensor)]
            weight = log_depth_of(call) if read else 0.0
            depth, heaviest, before = self._critical_path.extend(read, tree_leaves(call.output), weight)
            work = elementwise_of(call)
            self._kernels.append(Kernel(str(call.operation), flops, work, depth, heaviest, weight, before))
            self._live_bytes.append(self._live)
        return call.output

    def _account(self, output: Any) -> bool:
        """Add the storages that `output` brought into the world; whether there were any."""
        new = [storage for storage in _storages(tree_leaves(output)) if storage not in self._seen]
        for storage in new:
            size, place = storage.nbytes(), len(self._stored)
            self._seen.add(storage)
            self._live += size
            self._stored.append((size, len(self._kernels)))
            weakref.finalize(storage, self._release, place)
        return bool(new)

    def _release(self, place: int) -> None:
        self._live -= self._stored[place][0]
        self._gone[place] = len(self._kernels)


@cache
def _writes(operation: Operation) -> bool:
    """Whether it changes numbers in place; a view in place, such as ``transpose_``, changes only how they are read."""
    return operation._schema.is_mutable and torch.Tag.inplace_view not in operation.tags


def _storages(values: Sequence[Any]) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in values if isinstance(value, Tensor)]
