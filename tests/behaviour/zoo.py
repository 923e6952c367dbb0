"""Layers that do to their process whatever a layer can do to a process, as a plugin beside decent ones."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from attnbench.layers.base import Claims, Layer

GIB = 2**30
#: GiB that no machine gives to one process: 30 where there are 15.
TOO_MANY = 2 * psutil.virtual_memory().total // GIB
#: From this length on `slow-when-long` does not come back.
LONG = 64
_KEPT: list[Any] = []


class Does(nn.Module):
    """Calls a function; on fake tensors, which a count is made of, it returns its input."""

    def __init__(self, what: Callable[[Tensor], Any], counted: bool) -> None:
        super().__init__()
        self._what, self._counted = what, counted

    def forward(self, x: Tensor) -> Any:
        """What the function makes of `x`."""
        if type(x) is not Tensor and not self._counted:
            return x + 1
        return self._what(x)


def fail(error: BaseException) -> Any:
    """Raise as an expression."""
    raise error


def imports(d: int) -> nn.Module:
    """Its module needs a package that nobody has."""
    from a_package_that_nobody_has import layer_of_width  # type: ignore[import-not-found]

    return layer_of_width(d)


def builds_nothing(d: int) -> nn.Module:
    """Raises while it is built."""
    raise ValueError("no such width")


def turns_gradients_off(d: int) -> nn.Module:
    """Leaves gradients off for everyone after it."""
    torch.set_grad_enabled(False)
    return nn.Identity()


def for_ever(x: Tensor) -> Tensor:
    """Calls itself."""
    return for_ever(x)


def hangs_in_c(x: Tensor) -> Tensor:
    """Sleeps in the C library, where Python sees no signal."""
    with_gil = ctypes.PyDLL(None)
    while True:
        with_gil.sleep(10**6)


def segfaults(x: Tensor) -> Tensor:
    """Reads where nothing is."""
    ctypes.string_at(0)
    return x


def forks(x: Tensor) -> Tensor:
    """Leaves a child behind that holds every pipe open."""
    if os.fork() == 0:
        while True:
            time.sleep(3600)
    return x


def forks_and_exits(x: Tensor) -> Tensor:
    """Leaves a child behind and is gone."""
    forks(x)
    os._exit(7)


def leaks(x: Tensor) -> Tensor:
    """Keeps more than a visit may leave behind."""
    if not _KEPT:
        _KEPT.append(bytearray(b"x") * (600 * 2**20))
    return x + 1


def allocates(x: Tensor) -> Tensor:
    """Asks for more than there is, past torch."""
    return x + len(bytearray(TOO_MANY * GIB))


def allocates_in_pieces(x: Tensor) -> Tensor:
    """Asks for more than there is, one GiB at a time."""
    pieces = [torch.empty(GIB, dtype=torch.uint8) for _ in range(TOO_MANY)]
    return x + len(pieces)


def prints(x: Tensor) -> Tensor:
    """Writes what looks like an answer wherever it can."""
    sys.stdout.write('{"status": "ok", "block_seconds": [1.0]}\n')
    sys.stderr.write("garbage \x00 \udcff".encode(errors="replace").decode() + "\n")
    os.write(1, b"\xff\xfe{]\n")
    return x + 1


def closes_streams(x: Tensor) -> Tensor:
    """Closes what others would print on."""
    os.closerange(0, 3)
    return x + 1


def reads(x: Tensor) -> Tensor:
    """Reads from the input, where requests came from."""
    return x + len(sys.stdin.read()) + len(os.read(0, 100))


def sets_threads(x: Tensor) -> Tensor:
    """Takes more threads than it was given."""
    torch.set_num_threads(4)
    return x + 1


def sets_dtype(x: Tensor) -> Tensor:
    """Makes everything after it twice as wide."""
    torch.set_default_dtype(torch.float64)
    return x + 1


def seeds(x: Tensor) -> Tensor:
    """Starts everyone's generator anew."""
    torch.manual_seed(0)
    return x + torch.rand(())


def decides(x: Tensor) -> Tensor:
    """Depends on numbers, which fake tensors do not have."""
    return x + 1 if float(x.sum()) > 0 else x - 1


def slow_when_long(x: Tensor) -> Tensor:
    """Does not come back from long sequences."""
    if x.shape[1] >= LONG:
        threading.Event().wait()
    return x + 1


def layer(name: str, what: Callable[[Tensor], Any], *, counted: bool = False) -> Layer:
    """A layer whose call is `what`; `counted` when that is done to fake tensors too."""
    return Layer(name, lambda d: Does(what, counted), claims=Claims(time="n*d"))


LAYERS = [
    Layer("imports", imports),
    Layer("builds-nothing", builds_nothing),
    Layer("turns-gradients-off", turns_gradients_off),
    layer("raises", lambda x: fail(ValueError("not today")), counted=True),
    layer("wrong-shape", lambda x: x[:, :1], counted=True),
    layer("not-a-number", lambda x: x * float("nan")),
    layer("hangs", hangs_in_c),
    layer("segfaults", segfaults, counted=True),
    layer("exits", lambda x: os._exit(3)),
    layer("leaves", lambda x: sys.exit("goodbye")),
    layer("interrupts", lambda x: fail(KeyboardInterrupt("mine"))),
    layer("recurses", for_ever, counted=True),
    layer("is-killed", lambda x: os.kill(os.getpid(), 9)),
    layer("forks", forks),
    layer("forks-and-exits", forks_and_exits),
    layer("leaks", leaks),
    layer("allocates", allocates),
    layer("allocates-in-pieces", allocates_in_pieces),
    layer("allocates-as-counted", lambda x: x + torch.empty(TOO_MANY * GIB, dtype=torch.uint8).sum(), counted=True),
    layer("prints", prints),
    layer("closes-streams", closes_streams),
    layer("reads", reads),
    layer("sets-threads", sets_threads),
    layer("sets-dtype", sets_dtype, counted=True),
    layer("seeds", seeds),
    layer("decides", decides, counted=True),
    layer("slow-when-long", slow_when_long),
]
