"""One call of a layer on fake tensors, written down: which kernels ran, their work, and the bytes alive after each.

Fake tensors have shapes and no data, so a call at n = 2²⁰ costs what a call at n = 64 costs. Two readings:

* *whole* recurrences (inference mode): a fused recurrence is one operation with a closed formula, so that the work
  of a million steps is known without walking them;
* *opened* recurrences (no-grad mode): the kernels a CPU really runs, step by step, with the bytes they keep alive.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

from attnbench.count.flops import Operation, flops_of, fused_recurrence_output, has_formula
from attnbench.errors import AttnbenchError, LayerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.trial import Sizes, describe


@dataclass(frozen=True, slots=True)
class Kernel:
    """One executed operation; `flops` is None when nobody has a formula for it."""

    name: str
    flops: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """One call, written down.

    Attributes:
        kernels: operations in order, views left out.
        live_bytes: bytes of tensors made during the call that are alive after each operation.
        parameters: trainable numbers of the module.
    """

    kernels: tuple[Kernel, ...]
    live_bytes: tuple[int, ...]
    parameters: int

    @property
    def flops(self) -> int:
        """Work of the kernels that have a formula."""
        return sum(kernel.flops or 0 for kernel in self.kernels)

    @property
    def peak_bytes(self) -> int:
        """Largest sum of live bytes beyond inputs and parameters."""
        return max(self.live_bytes, default=0)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of operations without a formula, each once."""
        return tuple(dict.fromkeys(kernel.name for kernel in self.kernels if kernel.flops is None))


def trace(layer: Layer, sizes: Sizes, *, dtype: str = "float32", opened: bool = False) -> Trace:
    """Call the layer once on fake tensors.

    Raises:
        LayerError: the layer cannot be built or called at these sizes, depends on values that fake tensors do not
            have, or returns something else than a ``(b, n, d)`` tensor.
    """
    mode = torch.no_grad() if opened else torch.inference_mode()
    with _one_clear_line(layer, sizes), FakeTensorMode():
        module = build_module(layer, sizes, dtype=dtype)
        inputs = make_inputs(layer, sizes, dtype=dtype)
        writer = _Writer(known=[*module.parameters(), *module.buffers(), *tree_leaves(inputs)], opened=opened)
        with mode, writer:
            output = module(*inputs)
        check_output(layer, sizes, output)
        return Trace(tuple(writer.kernels), tuple(writer.live_bytes), _parameters(module))


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


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


class _Writer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Writes down every operation that reaches the dispatcher."""

    def __init__(self, known: Sequence[Any], *, opened: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[Kernel] = []
        self.live_bytes: list[int] = []
        self._opened = opened
        self._live = 0
        self._seen = weakref.WeakSet(_storages(known))

    def __torch_dispatch__(
        self, operation: Operation, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._opened and (outputs := fused_recurrence_output(operation, args)) is not None:
            return self._write(operation, args, kwargs, outputs)
        if not has_formula(operation):
            with self:  # a composite operation is made of others that may have formulas
                output = operation.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        return self._write(operation, args, kwargs, operation(*args, **kwargs))

    def _write(self, operation: Operation, args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> Any:
        made = self._account(output)
        flops = flops_of(operation, args, kwargs, output)
        if made or flops or flops is None:
            self.kernels.append(Kernel(str(operation), flops))
            self.live_bytes.append(self._live)
        return output

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


def _storages(values: Sequence[Any]) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in values if isinstance(value, Tensor)]


@contextmanager
def _one_clear_line(layer: Layer, sizes: Sizes) -> Iterator[None]:
    """Turn whatever a layer raises on fake tensors into one sentence about the layer."""
    where = f"layer {layer.name!r} at {describe(sizes)}"
    fake_tensor_log = logging.getLogger("torch._subclasses.fake_tensor")
    level = fake_tensor_log.level
    fake_tensor_log.setLevel(logging.CRITICAL)  # it prints a traceback of its own beside the exception
    try:
        yield
    except AttnbenchError:
        raise
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise LayerError(
            f"{where} depends on the values of its input ({error}); it cannot be counted exactly"
        ) from error
    except UnsupportedOperatorException as error:
        raise LayerError(f"{where} uses {error}, which has no fake-tensor kernel; it cannot be counted") from error
    except Exception as error:
        message = " ".join(str(error).split())[:200]
        raise LayerError(f"{where} raised {type(error).__name__}: {message}") from error
    finally:
        fake_tensor_log.setLevel(level)
