"""The memory of trials: layers that take a known number of bytes in real processes, and the order of a whole pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.child import GIVES_BACK
from attnbench.counting.trace import Way, trace
from attnbench.execute.memory import MemoryPass
from attnbench.execute.process import Process
from attnbench.execute.setup import Setup
from attnbench.layers.registry import Registry
from attnbench.plan.decide import PlannedTrial
from attnbench.record import Status, Visit, tells_memory
from attnbench.trial import Choices, Subject, Trial
from tests.fake_machine import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = Setup(threads=1, plugins=(), seed=0)
MIB = 2**20
#: Bytes of the input (1, n, d), and with it of the output.
OUTPUT = 4 * 64 * 256
#: What one thread's libraries and code may add to the resident size.
NOISE = 1.5 * MIB
PLUGIN = f"""
import os, signal
import torch
from attnbench import Layer

MIB = {MIB}


class Takes(torch.nn.Module):
    def __init__(self, take):
        super().__init__()
        self.take = take

    def forward(self, x):
        self.take(x)
        return x.clone()


def one_after_the_other(x):
    for _ in range(2):
        torch.ones(40 * MIB, dtype=torch.uint8)


def both(x):
    first, second = (torch.ones(40 * MIB, dtype=torch.uint8) for _ in range(2))


def reserved(x):
    torch.empty(40 * MIB, dtype=torch.uint8)


def beside_torch(x):
    bytearray(40 * MIB)


def keeps(x, kept=[]):
    kept.append(torch.ones(40 * MIB, dtype=torch.uint8))


TAKES = dict(
    one=one_after_the_other, both=both, reserved=reserved, beside=beside_torch, keeps=keeps,
    dies=lambda x: os.kill(os.getpid(), signal.SIGKILL), leaves=lambda x: os._exit(3),
    hungry=lambda x: torch.empty(10**15), threads=lambda x: torch.set_num_threads(3),
)
LAYERS = [Layer(f"takes-{{name}}", lambda d, take=take: Takes(take)) for name, take in TAKES.items()]
LAYERS.append(Layer("wrong-shape", lambda d: torch.nn.Linear(d, d + 1)))
""".replace("lambda d, take=take: Takes(take)", "(lambda take: lambda d: Takes(take))(take)")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all of them: what one does must not be seen by another."""
    path = tmp_path_factory.mktemp("plugins") / "takes.py"
    path.write_text(PLUGIN, encoding="utf-8")
    with Process(replace(SETUP, plugins=(str(path),)), GIVES_BACK) as process:
        yield process


def memory_of(process: Process, layer: str, **choices: str) -> dict[str, object]:
    return process.measure_memory(Trial(Subject(layer, Choices(**choices)), {"b": 1, "n": 64, "d": 256}), timeout=60.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layer", "allocated", "resident"),
    [
        ("takes-one", 40 * MIB, 40 * MIB),
        ("takes-both", 80 * MIB, 80 * MIB),
        ("takes-reserved", 40 * MIB, 0),  # pages that nobody writes to are handed out and never come
        ("takes-beside", OUTPUT, 40 * MIB),
        ("takes-keeps", 40 * MIB + OUTPUT, 40 * MIB),
    ],
)
def test_a_known_number_of_bytes_is_measured_to_the_byte(
    process: Process, layer: str, allocated: int, resident: int
) -> None:
    found = memory_of(process, layer)

    assert (found["status"], found["reason"]) == ("ok", "")
    assert found["allocated_bytes"] == allocated
    assert found["resident_bytes"] == pytest.approx(resident + OUTPUT, abs=NOISE)


@pytest.mark.parametrize(
    ("layer", "status", "reason"),
    [
        ("takes-dies", "oom", "the measuring process was killed, most likely because memory ran out"),
        ("takes-leaves", "error", "the measuring process ended with exit status 3"),
        ("takes-hungry", "oom", "can't allocate memory"),
        ("wrong-shape", "error", "(1, 64, 257)"),
        ("nobody", "error", "nobody"),
        ("takes-threads", "ok", ""),  # in a child that is thrown away
    ],
)
def test_a_layer_that_goes_wrong_costs_its_own_trial(process: Process, layer: str, status: str, reason: str) -> None:
    found = memory_of(process, layer)

    assert found["status"] == status
    assert reason in str(found["reason"])
    assert memory_of(process, "takes-one")["allocated_bytes"] == 40 * MIB


@pytest.mark.parametrize(("mode", "way"), [("forward", Way.OPENED), ("train", Way.TRAIN), ("decode", Way.DECODE)])
def test_each_mode_takes_what_is_counted_of_it_to_the_byte(process: Process, mode: str, way: Way) -> None:
    counted = trace(Registry().get("feed-forward"), {"b": 1, "n": 64, "d": 256}, way=way)

    assert memory_of(process, "feed-forward", mode=mode)["allocated_bytes"] == counted.peak_bytes


# ---------------------------------------------------------------------------------------------------------- the pass

TRIALS = [Trial(Subject("rnn"), {"b": 1, "n": n, "d": 8}) for n in (16, 2, 8, 4)]
COUNTED = {trial.id: 8 * trial.sizes["n"] for trial in TRIALS}


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


def visits(machine: FakeMachine, **more: object) -> list[Visit]:
    planned = [PlannedTrial(trial, visit_seconds=1.0) for trial in TRIALS]
    return list(MemoryPass(SETUP, planned, COUNTED, machine=machine, **more).visits(lambda _: None, 0.0))  # type: ignore[arg-type]


def test_each_trial_is_visited_once_from_small_to_large_and_no_clock_is_asked(machine: FakeMachine) -> None:
    found = visits(machine, first_process=3)

    assert [trial.sizes["n"] for _, trial, _ in machine.memory_asked] == [2, 4, 8, 16]
    assert found[0] == Visit(TRIALS[1].id, 3, 0, metric="memory", allocated_bytes=8 * 2 * 8)
    assert [(visit.process, visit.round, visit.clock_seconds) for visit in found] == [(3, 0, 0.0)] * 4
    assert machine.visits == []
    assert not any(visit.flaw for visit in found)


def test_after_one_that_runs_out_of_memory_larger_ones_are_not_tried(machine: FakeMachine) -> None:
    machine.failures = lambda trial: (Status.OOM, "why") if trial.sizes["n"] >= 4 else None

    assert [(visit.status, visit.reason) for visit in visits(machine)] == [
        (Status.OK, ""),
        (Status.OOM, "why"),
        (Status.SKIPPED, "not tried: the smaller b=1, n=4, d=8 ran out of memory"),
        (Status.SKIPPED, "not tried: the smaller b=1, n=4, d=8 ran out of memory"),
    ]
    assert len(machine.memory_asked) == 2


@pytest.mark.parametrize("said", [-1, 10**30, 1.5, "7", None, True])
def test_bytes_that_cannot_be_are_an_error_of_that_trial(machine: FakeMachine, said: int) -> None:
    machine.memory = lambda trial: (said, None) if trial.sizes["n"] == 4 else (1, None)

    found = visits(machine)

    assert [visit.status for visit in found] == [Status.OK, Status.ERROR, Status.OK, Status.OK]
    assert "the measuring process said what cannot be" in found[1].reason


@pytest.mark.parametrize(("device", "does"), [("cpu", True), ("cuda:1", True), ("xpu", True), ("mps", False)])
def test_some_devices_tell_and_some_do_not(device: str, does: bool) -> None:
    assert tells_memory(device) is does
