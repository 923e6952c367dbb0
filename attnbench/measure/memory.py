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
what it took to make it. None of the three says anything of a graphics card.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from attnbench.errors import AttnbenchError, LayerError, WorkerError
from attnbench.layers.base import Layer
from attnbench.layers.building import build_module, make_inputs
from attnbench.layers.registry import Registry
from attnbench.trial import Sizes, describe

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: What the kernel takes as: forget the largest resident size so far.
_FORGET_PEAK = "5"
_SECONDS = 600.0
#: Larger blocks come from the system and go back to it; glibc would raise this limit as it goes.
_LARGE_BLOCK = 65_536
_WARM_UP_LENGTHS = (64, 32, 16, 8, 4, 2, 1)


def allocator_peak(layer: Layer, sizes: Sizes, dtype: str = "float32") -> int:
    """Largest sum of bytes that torch's CPU allocator handed out during one call, above the level at its start.

    The module is new and another one was called before it: what a module keeps from one call to the next is then an
    addition of this call, and what a library prepares at its first call is not.

    Raises:
        LayerError: the layer cannot be built or called at these sizes.
    """
    with torch.inference_mode():
        _ready(layer, sizes, dtype)()
        call = _ready(layer, sizes, dtype)
        with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
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


def _ready(layer: Layer, sizes: Sizes, dtype: str) -> Callable[[], Any]:
    """A new module and its inputs, to be called."""
    module, inputs = build_module(layer, sizes, dtype=dtype), make_inputs(layer, sizes, dtype=dtype)

    def call() -> Any:
        try:
            return module(*inputs)
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            where = f"layer {layer.name!r} at {describe(sizes)}"
            raise LayerError(f"{where} raised {type(error).__name__}: {message}") from error

    return call


# -------------------------------------------------------------------------------------------------- allocator


def _allocations(profiler: profile) -> Iterable[int]:
    """Bytes of each allocation, negative when they are given back, in order of time."""
    assert profiler.profiler is not None  # noqa: S101  it has just run
    assert profiler.profiler.kineto_results is not None  # noqa: S101
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    in_order = sorted(events, key=lambda event: event.start_ns())
    return [event.nbytes() for event in in_order]  # type: ignore[attr-defined]  # torch's stub lacks it


def _peak(changes: Iterable[int]) -> int:
    """Highest level that a series of changes reaches."""
    return max(itertools.accumulate(changes, initial=0))


# ---------------------------------------------------------------------------------------------------- process


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The one line that a fresh process answers."""
    command = [sys.executable, "-m", "attnbench.measure.memory", json.dumps(request)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(_LARGE_BLOCK)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise WorkerError(f"the measuring process gave no answer within {_SECONDS:g} s") from None
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2][:200]
        raise WorkerError(f"the measuring process ended with exit status {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        layer = Registry(request["plugins"]).get(request["layer"])
        return {"peak_bytes": _resident_peak(layer, layer.sizes(request["sizes"]), request["dtype"])}
    except LayerError as error:
        return {"layer_error": str(error)}
    except AttnbenchError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"this system does not let a process watch its own peak: {error}"}


def _resident_peak(layer: Layer, sizes: Sizes, dtype: str) -> int:
    with torch.inference_mode():
        with suppress(LayerError):  # a layer need not accept a short sequence
            _ready(layer, _tiny(layer, sizes), dtype)()
        call = _ready(layer, sizes, dtype)
        _give_back_free_memory()
        _CLEAR_REFS.write_text(_FORGET_PEAK, encoding="ascii")
        before = _status("VmRSS")
        output = call()
        peak = _status("VmHWM") - before
        del output
    return peak


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
