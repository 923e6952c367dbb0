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
import select
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: An import that is not done by now never will be.
_PATIENCE_SECONDS = 60.0
#: Share of the available memory that an import may take.
_MEMORY_SHARE = 0.5
#: What follows the words of the process: it lived to say them.
_END = b"\0"


def attempted(work: Callable[[], str], what: str) -> str:
    """Do the work in another process; what that says is wrong, or `what` and how it ended; empty when nothing is."""
    if not _may_fork():
        return ""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that are lost, which an import does without
        pid = os.fork()
    if pid == 0:
        os.close(ours)
        _tell(work, theirs)
    os.close(theirs)
    gone = _gone(pid)
    try:
        said = _heard(ours, gone, time.monotonic() + _PATIENCE_SECONDS)
    except TimeoutError:
        return f"{what} did not end within {_PATIENCE_SECONDS:g} s"
    finally:
        for descriptor in (ours, *gone):
            os.close(descriptor)
        code = _end(pid)  # one that has ended keeps its exit status
    if said.endswith(_END):
        return said.removesuffix(_END).decode(errors="replace")
    return f"{what} ended the process ({_how(code)})"


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


def _tell(work: Callable[[], str], end: int) -> None:
    """Work, say what is wrong, and end this process."""
    try:
        os.setsid()
        faulthandler.disable()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        _limit_memory()
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)  # a pool of threads does not survive a fork, and waiting for it never ends
        os.write(end, work().encode(errors="replace") + _END)
        os._exit(0)
    finally:
        os._exit(1)


def _limit_memory() -> None:
    import resource

    import psutil

    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    held = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    limit = held + int(_MEMORY_SHARE * psutil.virtual_memory().available)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    with contextlib.suppress(OSError):  # where a container has less than the machine, this one is to be killed
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _gone(pid: int) -> list[int]:
    """A descriptor that becomes readable when a process ends; not every sandbox has one."""
    with contextlib.suppress(OSError):
        return [os.pidfd_open(pid)]
    return []


def _heard(end: int, gone: list[int], deadline: float) -> bytes:
    """All that the process says until it has said it, or is gone; what it started may hold the line open."""
    said, sources = b"", [end, *gone]
    while sources and not said.endswith(_END):
        ready, _, _ = select.select(sources, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        if end not in ready:
            break
        if not (chunk := os.read(end, 65_536)):
            sources.remove(end)
        said += chunk
    return said


def _end(pid: int) -> int:
    """End a process and what it started; its exit status, or its signal as a negative number."""
    for kill in (os.killpg, os.kill):  # the group is there once the process has made it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return f"signal {-code}, most likely because memory ran out"
    return f"signal {-code}" if code < 0 else f"exit status {code}"


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
