"""Real processes and what layers can do to them: a trial that kills or hangs its process costs itself and no other."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from attnbench import child
from attnbench.errors import WorkerError
from attnbench.execute import process as room
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.measure.loop import Pace
from attnbench.trial import Subject, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = '''
"""Layers that their process does not survive, or hardly."""
import os
import signal
import sys
import threading

import torch
from attnbench import Layer


class Does(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.forward = what


def exits(x):
    print("a line before\\nthe last words", file=sys.stderr, flush=True)
    os._exit(3)


def exits_silently(x):
    os._exit(4)


def segfaults(x):
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(x):
    threading.Event().wait()


def closes_everything(x):
    os.closerange(3, 256)
    hangs(x)


def prints(x):
    print("garbage", flush=True)
    os.write(1, b'{"status": "ok", "reason": "forged"}\\n')
    return x


def closes_stderr(x):
    if not os.environ.get("CLOSED"):
        os.environ["CLOSED"] = "1"
        os.close(2)
    return x


def threads(x):
    torch.set_num_threads(1)
    return x


def forks(x):
    if os.fork() == 0:
        hangs(x)
    return x


def tells(x):
    raise RuntimeError(f"{os.environ['OMP_NUM_THREADS']} {os.environ['MKL_NUM_THREADS']} {torch.get_num_threads()}")


def layer(what):
    return Layer(what.__name__, lambda d: Does(what))


LAYERS = [layer(f) for f in (exits, exits_silently, segfaults, hangs, closes_everything, prints, closes_stderr, tells)]
LAYERS += [layer(f) for f in (threads, forks)]
'''


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all tests: what kills it makes it start again, as in a run."""
    plugin = tmp_path_factory.mktemp("plugins") / "deadly.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    with Process(Setup(threads=2, plugins=(str(plugin),), seed=0)) as process:
        yield process


def ask(process: Process, layer: str, timeout: float = 60.0) -> dict[str, Any]:
    pace = Pace(seconds=0.0, least_blocks=1)
    return process.ask(Trial(Subject(layer), {"b": 1, "n": 4, "d": 8}), asdict(pace), timeout)


def works(process: Process) -> bool:
    answer = ask(process, "rnn")
    return answer["status"] == "ok" and answer["reason"] == "" and len(answer["block_seconds"]) == 1


def test_what_an_earlier_trial_printed_is_not_the_reason_of_a_later_one(process: Process) -> None:
    ask(process, "prints")

    assert ask(process, "exits_silently") == {
        "status": "error",
        "reason": "the measuring process ended with exit status 4",
    }


def test_the_best_rates_are_those_of_the_process_and_an_unknown_device_has_a_reason(process: Process) -> None:
    found, took = process.peaks("cpu", "float32", 0.05)
    none, _ = process.peaks("cuda:99", "float32", 0.05)

    assert (found.device, found.dtype, found.threads, found.reason) == ("cpu", "float32", 2, "")
    assert min(found.flops_per_second or 0, found.bytes_per_second or 0, took) > 0
    assert (none.flops_per_second, none.bytes_per_second) == (None, None)
    assert none.reason


def test_threads_are_fixed_before_torch_is_loaded(process: Process) -> None:
    assert ask(process, "tells")["reason"] == "RuntimeError: 2 2 2"


def test_the_process_says_what_reading_its_clock_costs_and_how_fast_a_product_runs(process: Process) -> None:
    assert 0 < process.overhead_seconds < 1
    assert process.rate("cpu") > 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("exits", "the measuring process ended with exit status 3: the last words"),
        ("segfaults", f"the measuring process ended with signal {signal.SIGSEGV.value}"),
        ("closes_everything", "the measuring process closed its pipes and was stopped"),
    ],
)
def test_a_layer_that_ends_the_process_costs_its_own_trial_only(
    layer: str, reason: str, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LAST_SECONDS", 0.5)

    assert ask(process, layer) == {"status": "error", "reason": reason}
    assert works(process)


def test_a_layer_that_hangs_is_given_up_and_costs_its_own_trial_only(process: Process) -> None:
    assert ask(process, "hangs", timeout=0.5) == {"status": "timeout", "reason": "no answer within 0.5 s"}
    assert works(process)


def test_a_layer_that_hangs_ends_by_itself_when_nobody_is_left_to_end_it(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_ORPHAN_SECONDS", 0.5 - 60.0)

    answer = ask(process, "hangs", timeout=60.0)

    assert answer == {"status": "error", "reason": f"the measuring process ended with signal {signal.SIGALRM.value}"}


@pytest.mark.parametrize("layer", ["prints", "closes_stderr"])
def test_a_layer_that_meddles_with_the_streams_is_measured_all_the_same(layer: str, process: Process) -> None:
    answer = ask(process, layer)

    assert (answer["status"], answer["reason"]) == ("ok", "")
    assert works(process)


def survivors(group: int) -> list[psutil.Process]:
    """What lives on in a process group that was killed."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return psutil.wait_procs(found, timeout=20.0)[1]


@pytest.mark.parametrize(("layer", "status"), [("threads", "error"), ("forks", "ok"), ("closes_stderr", "ok")])
def test_a_process_that_is_not_as_it_was_serves_no_other_trial(layer: str, status: str, process: Process) -> None:
    assert works(process)
    assert process._child is not None
    served = process._child.pid

    answer = ask(process, layer)

    assert answer["status"] == status
    assert process._child is None
    assert survivors(served) == []
    assert works(process)
    assert process._child.pid != served


def test_a_process_keeps_serving_while_its_layers_leave_it_as_it_was(process: Process) -> None:
    assert works(process)
    served = process._child
    ask(process, "tells")

    assert works(process)
    assert process._child is served


def test_nothing_is_left_running_afterwards() -> None:
    with Process(Setup(threads=1, plugins=(), seed=0)) as other:
        started = other._child
        assert started is not None

    assert started.code == -signal.SIGKILL


def test_a_process_that_cannot_start_is_an_error_with_its_last_words() -> None:
    with pytest.raises(WorkerError) as caught, Process(Setup(1, ("/nowhere/mine.py",), 0)):
        pass

    assert str(caught.value) == (
        "the measuring process did not start: the measuring process ended with exit status 1: "
        "attnbench.errors.PluginError: plugin /nowhere/mine.py: there is no such file"
    )
