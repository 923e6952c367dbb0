"""Two measured probes of the memory that one call needs, beside the counted peak. They must agree where all three see.

========== ============================================== ==========================================================
probe      sees                                           does not see
========== ============================================== ==========================================================
counted    every tensor, from the moment it is made until scratch that a kernel takes and gives back before it
           it is dropped, exactly, at any size            returns: tiles of fused attention, unfolded windows of a
                                                          convolution, workspaces of a recurrence
allocator  every allocation of torch's own CPU allocator, memory that a library takes for itself (oneDNN, MKL, the
           scratch of kernels included                    C library); what an allocation is rounded up to
process    every page that the process comes to hold,     pages that are reserved and never written; memory that was
           whoever took it                                freed before the call and is used again without asking the
                                                          system; less than its noise, about half a MiB for each
                                                          thread: code as it is loaded, buffers that libraries keep
========== ============================================== ==========================================================

The counted peak is ``peak_bytes`` of ``attnbench count``. All three leave out inputs and parameters, and include the
output. Each looks at the largest level *during* the call: a probe that looks afterwards sees the output and nothing of
what it took to make it. On a GPU torch itself keeps both levels: of what it handed out, and of what it reserved.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.autograd.profiler import profile

from attnbench.child import GIVES_BACK, Program
from attnbench.errors import AttnbenchError, LayerError, UnsupportedError, WorkerError, words_of
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry
from attnbench.measure.call import check_shape, ready
from attnbench.trial import Choices, Sizes, Subject, Trial, describe

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: What the kernel takes as: forget the largest resident size so far.
_FORGET_PEAK = "5"
_SECONDS = 600.0
_WARM_UP_LENGTHS = (64, 32, 16, 8, 4, 2, 1)


class Peaks(NamedTuple):
    """Both measured peaks of one call, in bytes above the level just before it.

    Attributes:
        allocated: of what torch's allocator handed out.
        resident: of the process; on a GPU, of what torch reserved there. None where the system does not tell.
    """

    allocated: int
    resident: int | None


def peaks(layer: Layer, trial: Trial) -> Peaks:
    """Both peaks of one call; on a CPU to be asked once of a process, which has not called the layer before.

    Raises:
        UnsupportedError: the device does not tell its peak.
    """
    kind = trial.choices.device.partition(":")[0]
    if kind != "cpu":
        return _peaks_of_accelerator(layer, trial, getattr(torch, kind))
    try:
        resident = _resident_peak(layer, trial)
    except WorkerError:
        resident = None
    return Peaks(_allocated_peak(layer, trial), resident)


def allocator_peak(layer: Layer, sizes: Sizes, dtype: str = "float32") -> int:
    """Largest sum of bytes that torch's CPU allocator handed out during one call, above the level at its start.

    The module is new and another one was called before it: what a module keeps from one call to the next is then an
    addition of this call, and what a library prepares at its first call is not.

    Raises:
        LayerError: the layer cannot be built or called at these sizes.
    """
    with _blamed(layer, sizes):
        trial = Trial(Subject(layer.name, Choices(dtype=dtype)), sizes)
        with _called(layer, trial) as call:
            call()
        return _allocated_peak(layer, trial)


def process_peak(layer: str | Layer, sizes: Sizes, dtype: str = "float32", plugins: Sequence[str] = ()) -> int:
    """Largest resident size of a fresh process during one call, in bytes, above the level just before it.

    `layer` must be one that the fresh process can find by its name: built in, installed, or from one of `plugins`.

    Raises:
        WorkerError: the system does not show a process its own peak, or the process died.
        LayerError: the layer is unknown there, or cannot be built or called at these sizes.
    """
    if not sys.platform.startswith("linux"):
        raise WorkerError(f"the peak of a process is read from Linux's /proc, which {sys.platform} does not have")
    name = layer if isinstance(layer, str) else layer.name
    request = {"layer": name, "sizes": sizes, "dtype": dtype, "plugins": list(plugins)}
    answer = _ask(request)
    if "layer_error" in answer:
        raise LayerError(answer["layer_error"])
    if "error" in answer:
        raise WorkerError(answer["error"])
    return int(answer["peak_bytes"])


@contextmanager
def _called(layer: Layer, trial: Trial) -> Iterator[Callable[[], Any]]:
    """A call of a new module, to be made once: it hands back the output, which is then examined.

    In training a call was made before, for the gradient of the output: that stays, and is no part of what is measured.
    """
    sizes, choices = trial.sizes, trial.choices
    module = build_module(layer, sizes, choices.device, choices.dtype)
    inputs = make_inputs(layer, sizes, choices.device, choices.dtype)
    outputs: list[Any] = []
    with ready(layer, module, inputs, choices.mode) as (call, examine):
        if choices.mode == "train":
            call()

        def once() -> Any:
            outputs.append(call())
            return outputs[0]

        yield once
        for output in outputs:
            check_shape(layer, sizes, choices.mode, output)
            examine(output)


@contextmanager
def _blamed(layer: Layer, sizes: Sizes) -> Iterator[None]:
    """One clear line about the layer for whatever it raises."""
    try:
        yield
    except AttnbenchError:
        raise
    except Exception as error:
        message = words_of(error)[:200]
        where = f"layer {layer.name!r} at {describe(sizes)}"
        raise LayerError(f"{where} raised {type(error).__name__}: {message}") from error


# -------------------------------------------------------------------------------------------------- allocator


def _allocated_peak(layer: Layer, trial: Trial) -> int:
    """The allocator's peak, where the layer was called before."""
    with _called(layer, trial) as call, _quiet(), profile(profile_memory=True) as profiler:
        call()
    return _peak(_allocations(profiler))


@contextmanager
def _quiet() -> Iterator[None]:
    """The profiler announces itself on standard error, past Python and past every log level."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _allocations(profiler: profile) -> Iterable[int]:
    """Bytes of each allocation, negative when they are given back, in order of time."""
    assert profiler.kineto_results is not None  # noqa: S101  it has just run
    events = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    in_order = sorted(events, key=lambda event: event.start_ns())
    return [event.nbytes() for event in in_order]  # type: ignore[attr-defined]  # torch's stub lacks it


def _peak(changes: Iterable[int]) -> int:
    """Highest level that a series of changes reaches."""
    return max(itertools.accumulate(changes, initial=0))


# ------------------------------------------------------------------------------------------------ accelerators


def _peaks_of_accelerator(layer: Layer, trial: Trial, memory: Any) -> Peaks:
    """Both peaks on a device whose levels torch keeps; `memory` is torch's module about such devices.

    Another module is called before: handles and workspaces that a library makes at its first call stay for all others.
    """
    device = trial.choices.device
    if not hasattr(memory, "max_memory_reserved"):
        raise UnsupportedError(f"device {device} does not tell how much memory it had in use at most")
    with _called(layer, trial) as call:
        call()
    with _called(layer, trial) as call:
        gc.collect()
        memory.synchronize(device)
        memory.empty_cache()
        memory.reset_peak_memory_stats(device)
        before = memory.memory_allocated(device), memory.memory_reserved(device)
        call()
        memory.synchronize(device)
        after = memory.max_memory_allocated(device), memory.max_memory_reserved(device)
    return Peaks(after[0] - before[0], after[1] - before[1])


# ---------------------------------------------------------------------------------------------------- process


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The one line that a fresh process answers."""
    environment = {**os.environ, **GIVES_BACK}
    child = Program("attnbench.measure.memory", json.dumps(request), environment=environment)
    try:
        answer: dict[str, Any] = json.loads(child.read_line(time.monotonic() + _SECONDS))
    except TimeoutError:
        raise WorkerError(f"the measuring process gave no answer within {_SECONDS:g} s") from None
    except EOFError:
        raise WorkerError(child.obituary()["reason"]) from None
    finally:
        child.end()
    return answer


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        layer = Registry(request["plugins"]).get(request["layer"])
        sizes = layer.complete(request["sizes"])
        with _blamed(layer, sizes):
            return {
                "peak_bytes": _resident_peak(layer, Trial(Subject(layer.name, Choices(dtype=request["dtype"])), sizes))
            }
    except LayerError as error:
        return {"layer_error": str(error)}
    except AttnbenchError as error:
        return {"error": str(error)}


def _resident_peak(layer: Layer, trial: Trial) -> int:
    """Raises WorkerError where the system does not let a process watch its own peak."""
    with suppress(Exception), _called(layer, replace(trial, sizes=_tiny(layer, trial.sizes))) as call:
        call()  # a layer need not accept a short sequence
    with _called(layer, trial) as call:
        _give_back_free_memory()
        _forget_peak()
        before = _status("VmRSS")
        call()
        return _status("VmHWM") - before


def _forget_peak() -> None:
    try:
        _CLEAR_REFS.write_text(_FORGET_PEAK, encoding="ascii")
    except OSError as error:
        raise WorkerError(f"this system does not let a process watch its own peak: {error}") from None


def _tiny(layer: Layer, sizes: Sizes) -> Sizes:
    """One short sequence: long enough to load the kernels of long ones, too short to need memory."""
    shorter = ({**sizes, "b": 1, "n": length} for length in _WARM_UP_LENGTHS if length < sizes["n"])
    return next((tiny for tiny in shorter if not layer.broken_constraint(tiny)), sizes)


def _give_back_free_memory() -> None:
    """Pages freed so far are not to be used again unseen; only glibc can be asked for it."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    """A line of ``/proc/self/status``, in bytes."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(kibibytes)


def main() -> None:
    """Keep standard output for the answer and let everything else go to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        answers.write(json.dumps(_answer(json.loads(sys.argv[1]))) + "\n")


if __name__ == "__main__":
    main()
