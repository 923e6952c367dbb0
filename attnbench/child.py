"""Child processes: how one is started, asked, waited for and ended with all that it started, and how its end is told.

A child answers in lines of JSON. Its parent sleeps in the kernel while it waits: a parent that spins would be a second
load on the machine under test.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from attnbench.record import Status

#: What a process needs in its environment so that memory it is done with goes back to the system, and is seen again.
#: Larger blocks come from the system and go back to it; glibc would raise this limit as it goes.
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
#: Where the system cannot wake the parent at the end of a process, it looks as often as this.
_LOOK_SECONDS = 0.5
#: A process whose pipe has ended is gone after this time, or will not go by itself.
_LAST_SECONDS = 10.0
#: What is thought of a process that was killed, and not by us.
_LIKELY = "most likely because memory ran out"
#: In place of a descriptor: the end of a process, where it has no descriptor of its own.
_ENDED = -1


class Child:
    """A process that this one started and listens to.

    Args:
        pid: its number.
        output: what it answers by.
        reap: waits for its end; its exit status, or the signal that ended it as a negative number.

    Attributes:
        code: what `reap` has returned; None before.
    """

    def __init__(self, pid: int, output: IO[bytes], reap: Callable[[], int]) -> None:
        self.pid = pid
        self.code: int | None = None
        self._output, self._reap, self._pending, self._killed = output, reap, b"", False
        self._end = _end_of(pid)

    def read_line(self, deadline: float) -> bytes:
        """The next line that it says; its end is seen even while something it started holds the pipe open.

        Raises:
            EOFError: it says no more.
            TimeoutError: it has said none by then.
        """
        descriptor = self._output.fileno()
        while b"\n" not in self._pending:
            ready = self._wait([descriptor], deadline)
            if not ready:
                raise TimeoutError
            if descriptor not in ready or not (chunk := os.read(descriptor, 65_536)):
                raise EOFError
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def has_ended(self, deadline: float) -> bool:
        """Whether it has ended by then; its exit status is still to be collected, and its number its own."""
        return bool(self._wait([], deadline))

    def kill(self) -> None:
        """Kill it and what it started, unless that went into a session of its own."""
        if self.code is None:  # otherwise its number may be another's by now
            self._killed = True
            for kill in (os.killpg, os.kill):  # there is a group only where the process has made one
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Kill it and forget it; how it ended, which for one that had ended already is as it did."""
        if self.code is None:
            self.kill()
            self.code = self._reap()
            self._output.close()
            if self._end is not None:
                os.close(self._end)
        return self.code

    def _wait(self, descriptors: list[int], deadline: float) -> list[int]:
        """Sleep until one can be read, the process has ended or time is up; what became ready."""
        while True:
            left = max(0.0, deadline - time.monotonic())
            if self._end is not None:
                return select.select([*descriptors, self._end], [], [], None if left == math.inf else left)[0]
            ready = select.select(descriptors, [], [], min(left, _LOOK_SECONDS))[0]
            if not ready and _is_zombie(self.pid):
                return [_ENDED]
            if ready or left <= _LOOK_SECONDS:
                return ready


class Program(Child):
    """A fresh Python process that runs a module. It leads a session, and what it writes on standard error is kept.

    Args:
        module: its name.
        arguments: of its command line.
        environment: all its variables.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self._errors, self._heard = tempfile.TemporaryFile(), 0  # noqa: SIM115  lives as long as the process
        started = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )
        assert started.stdin is not None  # noqa: S101  both are pipes
        assert started.stdout is not None  # noqa: S101
        self._input = started.stdin
        super().__init__(started.pid, started.stdout, started.wait)

    def write_line(self, line: str) -> None:
        """Say something to it, in one line.

        Raises:
            BrokenPipeError: it does not listen any more.
        """
        self._input.write(line.encode() + b"\n")
        self._input.flush()

    def forget_words(self) -> None:
        """What it has written on standard error so far is not about what comes next."""
        self._heard = os.fstat(self._errors.fileno()).st_size

    def obituary(self) -> dict[str, Any]:
        """What stands in the place of its answer when it says no more: how it ended, and the last line it wrote."""
        ended, killed_here = self.has_ended(time.monotonic() + _LAST_SECONDS), self._killed
        words = os.pread(self._errors.fileno(), 1_000_000, self._heard).decode(errors="replace")
        code, last = self.end(), words.strip().rpartition("\n")[2][:200]
        return obituary(code, last, killed_here=killed_here) if ended else _died("closed its pipes and was stopped")

    def end(self) -> int:
        """As of any child; what it wrote is gone then."""
        code = super().end()
        self._errors.close()
        with contextlib.suppress(BrokenPipeError):  # an unsent request to a process that is gone
            self._input.close()
        return code


def forked(work: Callable[[], Any], seconds: float = math.inf) -> tuple[Any, int]:
    """What `work` returns in a fork of this process, as JSON keeps it, None where that died before; and how that ended.

    A fork begins as its parent stands, with everything loaded, in a few milliseconds; a fresh process needs seconds.
    The parent must not have used a pool of threads before, for a fork inherits the pool and not its threads.

    Raises:
        TimeoutError: it did not end within so many seconds.
    """
    child, deadline = _fork(work), time.monotonic() + seconds
    try:
        return json.loads(child.read_line(deadline)), 0
    except (EOFError, ValueError):
        if not child.has_ended(deadline):
            raise TimeoutError from None
        return None, child.end()
    finally:
        child.end()


def limit_memory(room: int) -> None:
    """Limit the bytes that this process may allocate from now on; only on Linux, which counts all under this limit.

    ``RLIMIT_DATA`` counts private writable memory. ``RLIMIT_AS`` would count reserved addresses too, of which CUDA
    takes more than any machine has memory. Should memory run out all the same, as where a container has less than the
    machine, the kernel is told to end this process rather than any other.
    """
    import resource

    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    limit = room + 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def cause(code: int) -> str:
    """How a process ended that nobody here has killed: with which exit status, or by which signal."""
    return _ending(code) + (f", {_LIKELY}" if code == -signal.SIGKILL else "")


def obituary(code: int, last_words: str = "", *, killed_here: bool = False) -> dict[str, Any]:
    """What stands in the place of the answer of a measuring process that is gone: a status, and how it ended."""
    if code == -signal.SIGKILL and not killed_here:
        return _died(f"was killed, {_LIKELY}", Status.OOM)
    return _died(f"ended with {_ending(code)}" + (f": {last_words}" if last_words else ""))


def _died(how: str, status: Status = Status.ERROR) -> dict[str, Any]:
    return {"status": status, "reason": f"the measuring process {how}"}


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _fork(work: Callable[[], Any]) -> Child:
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that are lost, which the work does without
        pid = os.fork()
    if pid == 0:
        os.close(ours)
        _tell(work, theirs)
    os.close(theirs)
    return Child(pid, os.fdopen(ours, "rb", buffering=0), lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(work: Callable[[], Any], end: int) -> NoReturn:
    """Work, answer, and leave without the farewells of the parent, such as flushing what that has not written yet."""
    try:
        answer = json.dumps(work())
        with contextlib.suppress(AttributeError, OSError, ValueError):  # it may be closed, or nothing at all
            sys.stderr.flush()
        os.write(end, answer.encode() + b"\n")
        os._exit(0)
    finally:
        os._exit(1)


def _end_of(pid: int) -> int | None:
    """A descriptor that becomes readable when a process ends; only Linux has it, and not every sandbox."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended, without collecting its exit status: until then its number stays its own."""
    import psutil

    return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
