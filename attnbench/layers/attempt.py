"""Import what is not ours in a process of its own first: whatever ends that one costs a line, and not the program.

The process is a fork, so that it costs little more than the import itself. It has no input, nothing that it prints is
seen, it may take half of the memory, and whatever it starts ends with it. Only Linux is known to let a program fork
once libraries like torch are loaded; elsewhere, and where this program already uses a GPU (which does not survive a
fork), nothing is attempted and the import has to go well.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from typing import TYPE_CHECKING

from attnbench import child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: An import that is not done by now never will be.
_PATIENCE_SECONDS = 60.0
#: Share of the available memory that an import may take.
_MEMORY_SHARE = 0.5


def attempted(work: Callable[[], str], what: str) -> str:
    """Do the work in another process; what that says is wrong, or `what` and how it ended; empty when nothing is."""
    if not _may_fork():
        return ""
    try:
        problem, code = child.forked(lambda: _alone(work), _PATIENCE_SECONDS)
    except TimeoutError:
        return f"{what} did not end within {_PATIENCE_SECONDS:g} s"
    return f"{what} ended the process ({child.cause(code)})" if problem is None else str(problem)


@contextlib.contextmanager
def own_streams() -> Iterator[None]:
    """Within the block, input is empty and what is printed goes to standard error; afterwards all is as it was."""
    kept = [_copy(descriptor) for descriptor in range(3)]
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        _flush()
        os.dup2(nothing, 0)
        os.dup2(nothing if kept[2] is None else 2, 1)
        yield
    finally:
        _flush()
        for descriptor, copy in enumerate(kept):
            if copy is None:
                os.dup2(nothing, descriptor)
            else:
                os.dup2(copy, descriptor)
                os.close(copy)
        os.close(nothing)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            if getattr(sys, name) is None or getattr(sys, name).closed:
                setattr(sys, name, os.fdopen(os.dup(descriptor), "w"))


def _may_fork() -> bool:
    torch = sys.modules.get("torch")
    return sys.platform == "linux" and not (torch is not None and torch.cuda.is_initialized())


def _alone(work: Callable[[], str]) -> str:
    """What the work says in a fork that has a session, half of the memory and no streams."""
    import psutil

    os.setsid()
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    child.limit_memory(int(_MEMORY_SHARE * psutil.virtual_memory().available))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # a pool of threads does not survive a fork, and waiting for it never ends
    return work().encode(errors="replace").decode()


def _copy(descriptor: int) -> int | None:
    """Another number for an open file, out of the way of what is opened next; None where it is closed."""
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    except OSError:
        return None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
