"""One call of a layer on fake tensors, written down: which kernels ran, their work, and the bytes alive after each.

Fake tensors have shapes and no data, so a call at n = 2²⁰ costs what a call at n = 64 costs. Every count is a reading
of such a trace; `Way` says how the call is made, since no single way shows everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attnbench.counting.calls import kernels_without_steps, one_clear_line
from attnbench.counting.critical_path import CriticalPath
from attnbench.counting.fake import FakeMode, build_fake, refusals
from attnbench.counting.flex import flex_attention_as
from attnbench.counting.flex_kernel import one_kernel
from attnbench.counting.kept import Kept
from attnbench.counting.live_memory import LiveMemory, Storage, Stored, storages, watched_storages
from attnbench.counting.odd_tensors import refuse_odd_tensors
from attnbench.counting.operators import (
    WITH_WORKSPACE,
    elementwise_of,
    flops_of,
    has_formula,
    is_view,
    log_depth_of,
    operator_of,
)
from attnbench.counting.operators.contract.operator import Call, Operation
from attnbench.errors import LayerError
from attnbench.layers.backends import attention_backend
from attnbench.layers.backward import way_back
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


@dataclass(frozen=True, slots=True)
class Trace:
    """One call, written down.

    Attributes:
        kernels: operations in order, views left out.
        live_bytes: bytes of tensors made during the call that are alive after each operation, with the memory that a
            storage gave back in it when it was moved.
        weights: trainable numbers of each weight of the module.
        saved: bytes of each storage that the forward pass keeps for the backward pass, input included, parameters not;
            only of a call in training.
        stored: memory that was made during the call, in order.
        kept_whole: whether an operation was seen as one that runs as the loop it hides.
        opened: names of fused layers that are not among the kernels: what they are made of is.
    """

    kernels: tuple[Kernel, ...]
    live_bytes: tuple[int, ...]
    weights: tuple[int, ...]
    saved: tuple[int, ...] = ()
    stored: tuple[Stored, ...] = ()
    kept_whole: bool = False
    opened: tuple[str, ...] = ()

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

    @property
    def hides_steps(self) -> bool:
        """Whether the chain of kernels is another one where whole recurrences and whole layers are no kernels."""
        return bool(self.hidden or self.opened)


def trace(layer: Layer, sizes: Sizes, *, dtype: str = "float32", way: Way = Way.WHOLE, sdpa: str = "default") -> Trace:
    """Call the layer once on fake tensors, with the backend `sdpa` of fused attention.

    Raises:
        LayerError: the layer cannot be built or called at these sizes, depends on values that fake tensors do not
            have, or returns something else than a ``(b, n, d)`` tensor (``(b, 1, d)`` and a state, in decoding).
    """
    mode = FakeMode()
    with one_clear_line(layer, sizes), refusals(), attention_backend(sdpa), flex_attention_as(one_kernel):
        module = build_fake(layer, sizes, dtype, mode)
        with mode:
            return _called(layer, sizes, module, dtype, way)


def _called(layer: Layer, sizes: Sizes, module: nn.Module, dtype: str, way: Way) -> Trace:
    refuse_odd_tensors(module)
    inputs = make_inputs(layer, sizes, dtype=dtype)
    match way:
        case Way.TRAIN | Way.KEPT:
            return _train(layer, sizes, module, inputs, backward=way is Way.TRAIN)
        case Way.TRAIN_STEPPED:
            with kernels_without_steps():
                return _train(layer, sizes, module, inputs, backward=True)
        case Way.DECODE | Way.PREFILL:
            return _decode(layer, sizes, module, inputs, only_prefill=way is Way.PREFILL)
        case _:
            return _forward(layer, sizes, module, inputs, way)


def _forward(layer: Layer, sizes: Sizes, module: nn.Module, inputs: Inputs, way: Way) -> Trace:
    writer = _Writer(known=[*_weights(module), *tree_leaves(inputs)], whole=way is Way.WHOLE)
    gradients = torch.inference_mode() if way is Way.WHOLE else torch.no_grad()
    with gradients, kernels_without_steps() if way is Way.STEPPED else contextlib.nullcontext(), writer.writing():
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
        # Its work is not the token's, and a recurrence need not be walked.
        with torch.inference_mode(), before.writing():
            state = prefill(context)
        if only_prefill:
            return before.trace(module)
        token = context[:, :1].clone()
        writer = _Writer(known=[*_weights(module), *tree_leaves((state, token))], whole=False)
        with kernels_without_steps(), writer.writing():
            output, _ = step(token, state)
    check_output(layer, sizes | {"n": 1}, output)
    return writer.trace(module)


def _train(layer: Layer, sizes: Sizes, module: nn.Module, inputs: Inputs, *, backward: bool) -> Trace:
    leaves = [value.requires_grad_() for value in tree_leaves(inputs) if _can_have_a_gradient(value)]
    leaves += [parameter for parameter in module.parameters() if parameter.requires_grad]
    writer = _Writer(known=[*_weights(module), *tree_leaves(inputs)], whole=False)
    kept = Kept(_weights(module), writer.memory)
    module.train()
    with torch.enable_grad():
        with writer.writing(), torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack):
            returned = apply(module, inputs)
        check_output(layer, sizes, returned)
        results = results_of(layer, returned)
        if not results:
            raise LayerError(f"layer {layer.name!r} cannot be trained: no gradient flows back through it")
        kept.look(results, returned, module)
        if backward:
            _go_back(writer, results, leaves)
    del returned, results  # and with them the graph
    return writer.trace(module, kept.nbytes())


def _go_back(writer: _Writer, results: Sequence[Tensor], leaves: Sequence[Tensor]) -> None:
    gradients = [torch.ones_like(result) for result in results]
    writer.know(gradients, after=results)
    with writer.writing():
        way_back(results)(results, leaves, gradients)


def _can_have_a_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _weights(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


class _Writer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Writes down every operation that reaches the dispatcher."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch loads its compiler, only to tell it to stay away: a second before the first operation."""
        return False

    def __init__(self, known: Sequence[Any], *, whole: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory = LiveMemory()
        self._kernels: list[Kernel] = []
        self._live_bytes: list[int] = []
        self._whole = whole
        self._kept_whole = False
        self._opened: dict[str, None] = {}
        self._critical_path = CriticalPath()
        self.know(known)

    def know(self, values: Sequence[Any], after: Sequence[Any] = ()) -> None:
        """Take tensors as given: they cost no memory and no kernel, but may depend on what came before."""
        self.memory.know(storages(values))
        self._critical_path.follow(after, values)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write down what happens within."""
        with self, watched_storages(self._resized):
            yield

    def trace(self, module: nn.Module, saved: tuple[int, ...] = ()) -> Trace:
        """What was written."""
        weights = tuple(weight.numel() for weight in module.parameters() if weight.requires_grad)
        kernels, live, opened = tuple(self._kernels), tuple(self._live_bytes), tuple(self._opened)
        return Trace(kernels, live, weights, saved, self.memory.stored(), self._kept_whole, opened)

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        call, known = Call(operation, args, kwargs), operator_of(operation)
        if self._whole and known.outputs:
            self._kept_whole = True
            return self._write(replace(call, output=known.outputs(call)))
        if known.opened:
            self._opened[str(operation)] = None
            with self:
                return known.opened(call)
        if not has_formula(operation):
            with self:  # a composite operation is made of others that may have formulas
                output = operation.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        return self._write(replace(call, output=operation(*args, **kwargs)))

    def _write(self, call: Call) -> Any:
        written = [*tree_leaves(call.output), *_mutated(call)]
        changed = self.memory.meet(storages(written))
        flops = flops_of(call)
        if changed or flops or flops is None or _writes(call.operation):
            given = [] if operator_of(call.operation).is_allocation else tree_leaves((call.args, call.kwargs))
            read = [value for value in given if isinstance(value, Tensor)]
            weight = log_depth_of(call) if read else 0.0
            step = not is_view(call.operation)
            depth, heaviest, before = self._critical_path.extend(read, written, weight, step=step)
            work = elementwise_of(call)
            self._kernels.append(Kernel(str(call.operation), flops, work, depth, heaviest, weight, before))
            self._live_bytes.append(self.memory.step())
        return call.output

    def _resized(self, storage: Storage) -> None:
        """A storage was resized by hand."""
        if self.memory.meet([storage]):
            depth, heaviest, before = self._critical_path.extend((), (), 0.0)
            self._kernels.append(Kernel("UntypedStorage.resize_", 0, 0, depth, heaviest, 0.0, before))
            self._live_bytes.append(self.memory.step())


@cache
def _mutable(operation: Operation) -> tuple[tuple[int, str], ...]:
    """Arguments that it writes into: their places and names."""
    arguments = enumerate(operation._schema.arguments)
    return tuple((place, one.name) for place, one in arguments if one.alias_info and one.alias_info.is_write)


def _mutated(call: Call) -> list[Any]:
    """What a call writes into, whether it hands it back or not."""
    return [leaf for place, name in _mutable(call.operation) for leaf in tree_leaves(call.argument(place, name))]


@cache
def _writes(operation: Operation) -> bool:
    """Whether it changes numbers in place; a view in place, such as ``transpose_``, changes only how they are read."""
    return operation._schema.is_mutable and torch.Tag.inplace_view not in operation.tags
