"""What a process watches over, against changes and belongings made on purpose."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import torch

from attnbench.measure import guard
from attnbench.measure.machine.host import available_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


BACKENDS = "encoder flash math memory-efficient"


@pytest.fixture
def restored() -> Iterator[None]:
    """Everything that the changes below touch, put back."""
    threads, folder = torch.get_num_threads(), os.getcwd()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    torch.backends.cuda.enable_math_sdp(True)
    gc.enable()
    os.chdir(folder)
    os.environ.pop("MKL_ZOO", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: torch.set_num_threads(4), "changed the number of threads from 1 to 4"),
        (lambda: torch.set_default_dtype(torch.float64), "changed the default dtype from float32 to float64"),
        (lambda: torch.set_default_device("meta"), "changed the default device from cpu to meta"),
        (lambda: torch.set_grad_enabled(False), "changed grad mode from on to off"),
        (lambda: torch.use_deterministic_algorithms(True), "changed deterministic algorithms from off to on"),
        (
            lambda: torch.set_float32_matmul_precision("medium"),
            "changed the precision of float32 products from highest to medium",
        ),
        (lambda: torch.set_flush_denormal(True), "changed flushing of denormal numbers from off to on"),
        (
            lambda: torch.backends.cuda.enable_math_sdp(False),
            f"changed the backends of fused attention from {BACKENDS} to {BACKENDS.replace('math ', '')}",
        ),
        (gc.disable, "changed garbage collection from on to off"),
        (
            lambda: os.environ.update(MKL_ZOO="1"),
            "changed the environment variable MKL_ZOO from nothing to 1",
        ),
        (
            lambda: (torch.set_num_threads(2), gc.disable()),
            "changed the number of threads from 1 to 2, garbage collection from on to off",
        ),
        (lambda: torch.manual_seed(3), ""),
        (lambda: os.environ.update(ATTNBENCH_ZOO="1"), ""),
    ],
)
@pytest.mark.usefixtures("restored")
def test_what_others_would_run_under_is_named_when_it_changes(change: Callable[[], object], words: str) -> None:
    torch.set_num_threads(1)
    before = guard.state()

    change()

    assert guard.changes(before, guard.state()) == words


def test_a_thread_that_stays_is_seen_while_it_lives() -> None:
    belongings, end = guard.Belongings(), threading.Event()
    belongings.settle("cpu")
    thread = threading.Thread(target=end.wait)
    thread.start()

    assert belongings.left_behind("cpu") == "a thread"

    end.set()
    thread.join()
    assert belongings.left_behind("cpu") == ""


def test_a_process_that_stays_is_seen_until_it_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []
    wait = os.waitid

    def of_this_test(kind: int, _: int, options: int) -> os.waitid_result | None:
        """Of all children only those of this test: others may have a browser."""
        assert kind == os.P_ALL
        if not children:
            raise ChildProcessError
        return wait(os.P_PID, children[0], options)

    monkeypatch.setattr(os, "waitid", of_this_test)
    belongings = guard.Belongings()
    belongings.settle("cpu")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    children.append(child.pid)

    assert belongings.left_behind("cpu") == "a process"

    child.communicate()
    assert belongings.left_behind("cpu") == ""


@pytest.mark.parametrize(("grown", "seen"), [(0, ""), (2**29, ""), (2**29 + 1, "memory")])
def test_memory_that_stays_is_seen_when_it_is_large(grown: int, seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"cpu": 10**9}
    monkeypatch.setattr(guard, "_held_bytes", held.__getitem__)
    belongings = guard.Belongings()
    belongings.settle("cpu")
    held["cpu"] += grown
    belongings.settle("cpu")  # each visit does: only the first one counts

    assert belongings.left_behind("cpu") == seen


LIMITED = """
import json, mmap
from attnbench.measure import guard
room = guard.limit_memory()
found = []
for share in (0.5, 1.5):
    try:
        mmap.mmap(-1, int(share * room), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # never written to
        found.append(True)
    except OSError:
        found.append(False)
print(json.dumps([room, found, open("/proc/self/oom_score_adj").read().strip()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits what a process may map")
def test_a_process_may_take_most_of_the_available_memory_and_no_more() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    room, found, score = json.loads(done.stdout)

    assert 0.5 * available_bytes() < room < available_bytes()
    assert found == [True, False]
    assert score == "1000"
