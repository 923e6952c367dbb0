"""Child processes: what they answer, what becomes of one that does not come back, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from attnbench import child
from attnbench.child import Program, cause, forked, obituary

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


def close_everything() -> None:
    os.closerange(3, 256)
    signal.pause()


def test_the_answer_comes_back_and_nothing_else_of_the_child() -> None:
    assert forked(lambda: {"status": "ok", "list": HERE.append(1) or [*HERE]}) == ({"status": "ok", "list": [1]}, 0)
    assert HERE == []


def test_an_answer_may_be_longer_than_a_pipe_holds() -> None:
    assert forked(lambda: "long " * 100_000) == ("long " * 100_000, 0)


@pytest.mark.parametrize(
    ("work", "status", "told", "how"),
    [
        (
            lambda: kill(signal.SIGKILL),
            "oom",
            "was killed, most likely because memory ran out",
            "signal 9, most likely because memory ran out",
        ),
        (lambda: kill(signal.SIGSEGV), "error", "ended with signal 11", "signal 11"),
        (leave, "error", "ended with exit status 3", "exit status 3"),
        (lambda: {"status": object()}, "error", "ended with exit status 1", "exit status 1"),  # what no line can hold
    ],
)
@pytest.mark.parametrize("has_descriptors", [True, False])
def test_a_child_that_dies_is_an_answer(
    work: Callable[[], dict[str, Any]],
    status: str,
    told: str,
    how: str,
    has_descriptors: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_descriptors:
        monkeypatch.setattr(child, "_end_of", lambda pid: None)
        monkeypatch.setattr(child, "_LOOK_SECONDS", 0.01)
    answer, code = forked(work)

    assert answer is None
    assert obituary(code) == {"status": status, "reason": f"the measuring process {told}"}
    assert cause(code) == how


def test_whom_we_killed_did_not_run_out_of_memory_and_last_words_are_told() -> None:
    assert obituary(-9, killed_here=True) == {"status": "error", "reason": "the measuring process ended with signal 9"}
    assert obituary(3, "no") == {"status": "error", "reason": "the measuring process ended with exit status 3: no"}


@pytest.mark.parametrize("work", [signal.pause, close_everything])
def test_a_child_that_does_not_come_back_is_given_up(work: Callable[[], None]) -> None:
    before = psutil.Process().children()

    with pytest.raises(TimeoutError):
        forked(work, seconds=0.2)

    assert psutil.Process().children() == before


def test_what_a_child_leaves_running_keeps_nobody_waiting() -> None:
    began = time.monotonic()

    assert forked(leave_a_child_behind) == ({"status": "ok"}, 0)
    assert time.monotonic() - began < 2.5


PROGRAM = """
import os, sys
print("before", file=sys.stderr, flush=True)
while line := sys.stdin.readline():
    if line == "end\\n":
        print("a line", file=sys.stderr)
        sys.exit("the last words")
    if line == "fork\\n":
        if not (other := os.fork()):
            os.execvp("sleep", ["sleep", "3600"])
        line = f"{other}\\n"
    sys.stdout.write(line)
    sys.stdout.flush()
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "talks.py").write_text(PROGRAM, encoding="utf-8")
    return Program("talks", environment={"PYTHONPATH": str(tmp_path)})


def died(how: str) -> dict[str, str]:
    return {"status": "error", "reason": f"the measuring process {how}"}


def soon() -> float:
    return time.monotonic() + 30.0


def test_a_program_answers_line_by_line_and_its_last_words_are_those_of_the_last_question(program: Program) -> None:
    program.write_line("one\ntwo")

    assert [program.read_line(soon()), program.read_line(soon())] == [b"one", b"two"]
    with pytest.raises(TimeoutError):
        program.read_line(time.monotonic())
    program.write_line("end")
    with pytest.raises(EOFError):
        program.read_line(soon())
    assert program.obituary() == died("ended with exit status 1: the last words")
    assert program.end() == 1


def test_what_a_program_wrote_before_it_was_asked_is_not_the_reason_of_its_end(program: Program) -> None:
    program.write_line("one")
    program.read_line(soon())
    program.forget_words()
    os.kill(program.pid, signal.SIGSEGV)

    assert program.obituary() == died("ended with signal 11")


def test_a_program_that_was_killed_here_did_not_run_out_of_memory(program: Program) -> None:
    program.write_line("one")
    program.read_line(soon())
    program.kill()

    assert program.obituary() == died("ended with signal 9: before")


def test_what_a_program_started_ends_with_it(program: Program) -> None:
    program.write_line("fork")
    other = psutil.Process(int(program.read_line(soon())))

    assert program.end() == -signal.SIGKILL
    assert psutil.wait_procs([other], timeout=20.0)[1] == []


def test_of_a_program_that_does_not_listen_any_more_nothing_stays_open(program: Program) -> None:
    program.kill()
    assert program.has_ended(soon())
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(BrokenPipeError):
        program.write_line("anyone?")
    program.end()

    assert len(list(Path("/proc/self/fd").iterdir())) < before
