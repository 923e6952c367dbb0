"""The kernels that one call really runs: identity, and not cost.

torch's profiler sees the operations that were executed, below all that chooses among them, and on a GPU the kernels of
the device. oneDNN chooses once more inside of one operation, and says so only in a log of its own on standard output:
a depthwise convolution is ``jit_dw:avx512_core`` with a narrow kernel and ``x64:gemm:jit`` with a wide one.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.autograd.profiler import profile

#: Operations that make, fill or copy tensors, and compute nothing; views say themselves that they are views.
_MOVES = frozenset(
    """
    empty empty_like empty_strided new_empty new_empty_strided zeros zeros_like ones ones_like full full_like new_zeros
    new_ones new_full zero_ fill_ copy_ clone _to_copy _unsafe_view scalar_tensor
    """.split()
)
#: An operation of torch or of a library that registered its own; autograd's and the compiler's marks look otherwise.
_OPERATION = re.compile(r"\w+::\w+")
#: One of several operations that attention is made of when it is not fused tells which backend it is.
_BACKEND = "aten::_scaled_dot_product"
#: A graph of compiled code, by the compiler's own mark; its name beyond that is a hash.
_GRAPH, GRAPH_NAME = "## Call CompiledFxGraph", "inductor::graph"
#: What stands before the kernels of a device, which a library chooses anew for almost every size.
DEVICE = "device::"
_ONEDNN = "onednn::"
#: Copies between memory formats.
_REORDERS = ("reorder", "zero_pad")


def kernels_of(call: Callable[[], Any], device: str) -> tuple[str, ...]:
    """Names of what one call runs, each once, in the order of first use; views, copies and allocations left out."""
    on_gpu = device.startswith("cuda")
    with _onednn_log() as log, profile(use_device="cuda" if on_gpu else None) as profiled:
        call()
    results = profiled.kineto_results
    names = [*operations(results.experimental_event_tree()), *(_ONEDNN + name for name in implementations(log))]
    return tuple(dict.fromkeys([*names, *(device_kernels(results.events()) if on_gpu else ())]))


def uses_fused_attention(kernels: Iterable[str]) -> bool:
    """Whether attention was left to one function of torch, whatever backend it took."""
    return any(kernel.startswith(_BACKEND) for kernel in kernels)


def operations(events: Sequence[Any]) -> Iterator[str]:
    """Operations that did work: those that called no other one that did."""
    for event in events:
        inside = list(operations(event.children))
        if event.name.startswith(_GRAPH):
            yield GRAPH_NAME
        elif event.name.startswith(_BACKEND) or (not inside and _works(event.name)):
            yield event.name
        yield from inside


def implementations(lines: Iterable[str]) -> Iterator[str]:
    """What oneDNN says that it ran: ``convolution/jit_dw:avx512_core``."""
    for line in lines:
        fields = line.split(",")
        if fields[0] == "onednn_verbose" and "exec" in fields:
            told = fields[fields.index("exec") + 2 :][:2]
            if len(told) == 2 and told[0] not in _REORDERS:
                yield "/".join(told)


def device_kernels(events: Iterable[Any]) -> Iterator[str]:
    """Kernels that ran on a GPU, without the arguments of their templates."""
    for event in events:
        if event.device_type().name != "CPU" and not event.name().startswith(("Memcpy", "Memset")):
            yield DEVICE + event.name().removeprefix("void ").partition("<")[0].partition("(")[0]


@cache
def _works(name: str) -> bool:
    """Whether an operation computes something."""
    if not _OPERATION.fullmatch(name):
        return False
    namespace, _, operation = name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), operation, None)
    if packet is None or operation in _MOVES:
        return packet is None
    first = getattr(packet, packet.overloads()[0])
    returns_tensors = any("Tensor" in str(value.type) for value in first._schema.returns)
    return returns_tensors and not (first.is_view or torch.Tag.inplace_view in first.tags)


@contextmanager
def _onednn_log() -> Iterator[Iterable[str]]:
    """Lines that oneDNN wrote on standard output within; to be read afterwards.

    Nothing where there is no oneDNN, or where the layer has closed standard output.
    """
    onednn = torch.backends.mkldnn
    output = _copy_of_output() if onednn.is_available() else None  # type: ignore[no-untyped-call]
    if output is None:
        yield ()
        return
    lines: list[str] = []
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, output)
        written = stack.enter_context(tempfile.TemporaryFile())
        stack.callback(os.dup2, output, 1)
        os.dup2(written.fileno(), 1)
        with onednn.verbose(onednn.VERBOSE_ON):  # type: ignore[no-untyped-call]
            yield lines
        written.seek(0)
        lines.extend(written.read().decode(errors="replace").splitlines())


def _copy_of_output() -> int | None:
    try:
        return os.dup(1)
    except OSError:
        return None
