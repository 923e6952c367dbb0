"""Work in a child of this process: what it takes is taken by nobody else, and what it does to itself ends with it.

A child begins as its parent stands, with everything loaded, in a few milliseconds; a fresh process needs seconds. Its
parent must not have used a pool of threads before, for a child inherits the pool and not its threads. So a process that
works like this does no work of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from attnbench.record import Status

#: Larger blocks come from the system and go back to it; glibc would raise this limit as it goes.
_LARGE_BLOCK = 65_536
#: What a process needs in its environment so that memory it is done with goes back to the system, and is seen again.
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(_LARGE_BLOCK)}
#: More than any answer has; a pipe holds as much without a reader.
_LONGEST_ANSWER = 65_536


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` answers in a child of this process; when the child dies, a status and how it died."""
    reader, writer = os.pipe()
    alarm = signal.getitimer(signal.ITIMER_REAL)[0]
    child = os.fork()
    if not child:
        _work(work, writer, alarm)
    os.close(writer)
    _, status = os.waitpid(child, 0)  # first: what the child left running may hold the pipe open for ever
    os.set_blocking(reader, False)
    try:
        said = os.read(reader, _LONGEST_ANSWER)
    except BlockingIOError:
        said = b""
    finally:
        os.close(reader)
    return _answer(said, os.waitstatus_to_exitcode(status))


def _work(work: Callable[[], dict[str, Any]], writer: int, alarm: float) -> NoReturn:
    """The child: it leaves without the farewells of its parent, such as flushing what that has not written yet."""
    try:
        signal.setitimer(signal.ITIMER_REAL, alarm)  # a child does not inherit it
        os.write(writer, json.dumps(work()).encode())
        sys.stderr.flush()
    finally:
        os._exit(0)


def _answer(said: bytes, code: int) -> dict[str, Any]:
    try:
        answer = json.loads(said)
        if isinstance(answer, dict):
            return answer
    except ValueError:
        pass
    if code == -signal.SIGKILL:
        return _died("was killed, most likely because memory ran out", Status.OOM)
    return _died(f"ended with signal {-code}" if code < 0 else f"ended with exit status {code}")


def _died(how: str, status: Status = Status.ERROR) -> dict[str, Any]:
    return {"status": status, "reason": f"the measuring process {how}"}
