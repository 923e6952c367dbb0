"""One call of a layer on fake tensors, written down: which kernels ran, their work, and the bytes alive after each.

Fake tensors have shapes and no data, so a call at n = 2²⁰ costs what a call at n = 64 costs. Every count is a reading
of such a trace; `Way` says how the call is made, since no single way shows everything.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import one_clear_line, without_onednn
from attnbench.counting.critical_path import CriticalPath
from attnbench.counting.flex import flex_attention_as
from attnbench.counting.flex_kernel import one_kernel
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
from attnbench.layers.building import Inputs, apply, build_module, check_output, make_inputs, results_of
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
        log_depth: the same chain for processors without number, each kernel weighing the logarithms it hides.
    """

    name: str
    flops: float | None
    elementwise: int
    depth: int
    log_depth: float


@dataclass(frozen=True, slots=True)
class Trace:
    """One call, written down.

    Attributes:
        kernels: operations in order, views left out.
        live_bytes: bytes of tensors made during the call that are alive after each operation.
        parameters: trainable numbers of the module.
        saved_bytes: bytes that the forward pass keeps for the backward pass, input included, parameters not; only
            of a call in training.
    """

    kernels: tuple[Kernel, ...]
    live_bytes: tuple[int, ...]
    parameters: int
    saved_bytes: int = 0

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
    with (
        one_clear_line(layer, sizes),
        _refusals(),
        FakeTensorMode(),
        attention_backend(sdpa),
        flex_attention_as(one_kernel),
    ):
        module = build_module(layer, sizes, dtype=dtype)
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
    return writer.trace(module, saved.nbytes)


def _weights(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


class _Saved:
    """What autograd keeps for the backward pass, each storage once."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._seen = weakref.WeakSet(_storages(weights))
        self.nbytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        """Called for each saved tensor; a view keeps its whole storage alive."""
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            self._seen.add(storage)
            self.nbytes += storage.nbytes()
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
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._critical_path = CriticalPath()
        self.know(known)

    def know(self, values: Sequence[Any], after: Sequence[Any] = ()) -> None:
        """Take tensors as given: they cost no memory and no kernel, but may depend on what came before."""
        self._seen.update(_storages(values))
        self._critical_path.follow(after, values)

    def trace(self, module: nn.Module, saved_bytes: int = 0) -> Trace:
        """What was written."""
        parameters = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        return Trace(tuple(self._kernels), tuple(self._live_bytes), parameters, saved_bytes)

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        call = Call(operation, args, kwargs)
        if self._whole and (outputs := operator_of(operation).outputs):
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
            read = [] if operator_of(call.operation).is_allocation else tree_leaves((call.args, call.kwargs))
            chain = self._critical_path.extend(read, tree_leaves(call.output), log_depth_of(call))
            self._kernels.append(Kernel(str(call.operation), flops, elementwise_of(call), *chain))
            self._live_bytes.append(self._live)
        return call.output

    def _account(self, output: Any) -> bool:
        """Add the storages that `output` brought into the world; whether there were any."""
        new = [storage for storage in _storages(tree_leaves(output)) if storage not in self._seen]
        for storage in new:
            size = storage.nbytes()
            self._seen.add(storage)
            self._live += size
            weakref.finalize(storage, self._release, size)
        return bool(new)

    def _release(self, size: int) -> None:
        self._live -= size


@cache
def _writes(operation: Operation) -> bool:
    """Whether it changes numbers in place; a view in place, such as ``transpose_``, changes only how they are read."""
    return operation._schema.is_mutable and torch.Tag.inplace_view not in operation.tags


def _storages(values: Sequence[Any]) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in values if isinstance(value, Tensor)]


@contextmanager
def _refusals() -> Iterator[None]:
    """What fake tensors cannot do, in words that follow on the layer's name."""
    fake_tensor_log = logging.getLogger("torch._subclasses.fake_tensor")
    level = fake_tensor_log.level
    fake_tensor_log.setLevel(logging.CRITICAL)  # it prints a traceback of its own beside the exception
    try:
        yield
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise LayerError(f"depends on the values of its input ({error}); it cannot be counted exactly") from error
    except UnsupportedOperatorException as error:
        raise LayerError(f"uses {error}, which has no fake-tensor kernel; it cannot be counted") from error
    finally:
        fake_tensor_log.setLevel(level)
