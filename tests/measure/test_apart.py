"""Work in a child of this process: what it answers, and what becomes of a child that does not come back."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.measure.apart import apart

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: list[int] = []


def kill(number: int) -> dict[str, Any]:
    os.kill(os.getpid(), number)
    return {}


def leave() -> dict[str, Any]:
    os._exit(3)


def leave_a_child_behind() -> dict[str, Any]:
    if not os.fork():
        time.sleep(3)
        os._exit(0)
    return {"status": "ok"}


def test_the_answer_comes_back_and_nothing_else_of_the_child() -> None:
    assert apart(lambda: {"status": "ok", "list": HERE.append(1) or [*HERE]}) == {"status": "ok", "list": [1]}
    assert HERE == []


@pytest.mark.parametrize(
    ("work", "status", "how"),
    [
        (lambda: kill(signal.SIGKILL), "oom", "was killed, most likely because memory ran out"),
        (lambda: kill(signal.SIGSEGV), "error", "ended with signal 11"),
        (leave, "error", "ended with exit status 3"),
        (lambda: {"status": object()}, "error", "ended with exit status 0"),  # what no line can hold
    ],
)
def test_a_child_that_dies_is_an_answer(work: Callable[[], dict[str, Any]], status: str, how: str) -> None:
    assert apart(work) == {"status": status, "reason": f"the measuring process {how}"}


def test_what_a_child_leaves_running_keeps_nobody_waiting() -> None:
    began = time.monotonic()

    assert apart(leave_a_child_behind) == {"status": "ok"}
    assert time.monotonic() - began < 2.5


def test_a_child_is_under_the_alarm_of_its_parent() -> None:
    signal.setitimer(signal.ITIMER_REAL, 500.0)
    try:
        left = apart(lambda: {"seconds": signal.getitimer(signal.ITIMER_REAL)[0]})["seconds"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)

    assert 400.0 < left <= 500.0
