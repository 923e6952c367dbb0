"""What a layer may take and must leave alone in the process that measures it.

A trial shares its process with those after it. So the process limits its own memory before it loads any layer, and
compares itself before and after each visit: what could touch another trial's figures is named, and what merely stays
behind is told apart from it. Either way the process has served its time, and the parent starts another.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
from typing import Any

import numpy as np
import psutil
import torch

from attnbench import child
from attnbench.measure.machine.host import available_bytes

#: Share of the available memory that a measuring process may take beside what it holds at its start. The planner lets
#: the counted memory of a trial take half; inputs, and scratch that kernels take unseen, have the room between.
_SHARE = 0.75
#: More memory than this that stays after a visit would be missing for the trials to come. Libraries load less.
_LEAK_BYTES = 2**29
#: Variables that kernels and their libraries read while they run.
_READ_BY_KERNELS = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "ATEN_", "CUDA_", "CUBLAS_")

State = dict[str, Any]


def limit_memory() -> int | None:
    """Limit what this process may allocate from now on; the bytes, None where the system cannot limit it.

    Only Linux counts mappings under such a limit: elsewhere there is none.
    """
    if not sys.platform.startswith("linux"):
        return None
    room = int(_SHARE * available_bytes())
    child.limit_memory(room)
    return room


def seed_everything(seed: int) -> None:
    """Start every generator that a layer may draw its weights from, so that no trial depends on those before it."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # the global generator: layers draw from it, if from any of numpy's


def state() -> State:
    """What kernels run under, and what else the trials of a process share; a name in plain words → its value."""
    return {
        "the number of threads": torch.get_num_threads(),
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the precision of float32 products": torch.get_float32_matmul_precision(),
        "cuDNN": torch.backends.cudnn.enabled,
        "the choice of cuDNN's kernels by trial": torch.backends.cudnn.benchmark,
        "cuDNN's deterministic kernels": torch.backends.cudnn.deterministic,
        "oneDNN": torch._C._get_mkldnn_enabled(),
        "the backends of fused attention": _attention_backends(),
        "flushing of denormal numbers": sys.float_info.min / 2 == 0,
        "garbage collection": gc.isenabled(),
        "the alarm timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "the working directory": _working_directory(),
        "the cores it may use": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "its priority": os.getpriority(os.PRIO_PROCESS, 0),
        **{
            f"the environment variable {name}": os.environ.get(name)
            for name in sorted(os.environ)
            if name.startswith(_READ_BY_KERNELS)
        },
    }


def changes(before: State, after: State) -> str:
    """What is not as it was, in words: ``changed the number of threads from 1 to 4``; empty when all is."""
    names = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    words = (f"{name} from {_word(before.get(name))} to {_word(after.get(name))}" for name in names)
    return f"changed {', '.join(words)}" if names else ""


class Belongings:
    """What a process holds besides its settings, so that what a visit leaves behind is seen.

    None of it changes another trial's figures at once, but it takes memory and cores from those to come.
    """

    def __init__(self) -> None:
        self._streams = _streams()
        self._threads = threading.active_count()
        self._children = _has_children()
        self._held: dict[str, int] = {}

    def settle(self, device: str) -> None:
        """Note how much memory is held once `device` is in use; libraries that load for it are no leak."""
        self._held.setdefault(device, _held_bytes(device))

    def left_behind(self, device: str) -> str:
        """What has come to stay, in words; empty when nothing has."""
        if _has_children() and not self._children:
            return "a process"
        if threading.active_count() > self._threads:
            return "a thread"
        if _streams() != self._streams:
            return "other streams"
        return "memory" if self._has_leaked(device) else ""

    def _has_leaked(self, device: str) -> bool:
        most = self._held.get(device, _held_bytes(device)) + _LEAK_BYTES
        if _held_bytes(device) <= most:
            return False
        gc.collect()  # what only refers to itself is no leak
        return _held_bytes(device) > most


def _held_bytes(device: str) -> int:
    """Memory of a device that this process holds; of devices that do not tell, none."""
    if device == "cpu":
        return int(psutil.Process().memory_info().rss)
    return int(torch.cuda.memory_allocated(device)) if device.startswith("cuda") else 0


def _has_children() -> bool:
    """Whether a process that was started here lives on, or died unnoticed."""
    if not hasattr(os, "waitid"):  # macOS
        return bool(psutil.Process().children())
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _streams() -> tuple[Any, ...]:
    """Which files the standard streams are, and whether Python can still write to them."""
    python = [stream is None or stream.closed for stream in (sys.stdout, sys.stderr)]
    return (*python, *map(_file, (0, 1, 2)))


def _file(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _attention_backends() -> tuple[str, ...]:
    backends = torch.backends.cuda
    enabled = {
        "flash": backends.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
        "memory-efficient": backends.mem_efficient_sdp_enabled(),  # type: ignore[no-untyped-call]
        "math": backends.math_sdp_enabled(),  # type: ignore[no-untyped-call]
        "encoder": torch.backends.mha.get_fastpath_enabled(),
    }
    return tuple(name for name, is_enabled in enabled.items() if is_enabled)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "a folder that is gone"


def _word(value: Any) -> str:
    """A value as one word or a few."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, set | tuple):
        return " ".join(map(str, sorted(value))) or "none"
    return "nothing" if value is None else str(value).removeprefix("torch.")
