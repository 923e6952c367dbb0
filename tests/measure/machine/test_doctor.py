"""What readings of a machine mean, on machines that are not here."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from attnbench.measure.clock import resolution
from attnbench.measure.machine import doctor, host, system
from attnbench.measure.machine.doctor import Finding, Grade, Readings, examine, take_readings
from attnbench.measure.machine.system import ProcessorTimes
from attnbench.record import Host
from tests.measure.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET = Host(
    cpu="CPU",
    cores=8,
    memory_bytes=2**35,
    system="Linux",
    python="3.11",
    torch="2.13",
    blas="MKL",
    load=(0.1, 0.1, 0.1),
    logical_cores=8,
    physical_cores=4,
    governor="performance",
    turbo=False,
)
IDEAL = Readings(QUIET, 1, 2**34, 0.0, 1e-9, 5e-8, (1.0, 1.0, 1.001))


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------------------------- findings


def test_an_ideal_machine_is_good_in_every_way_and_needs_no_advice() -> None:
    findings = examine(IDEAL, half_width=0.01)

    assert {finding.grade for finding in findings} == {Grade.GOOD}
    assert {finding.advice for finding in findings} == {""}
    assert len({finding.name for finding in findings}) == 8


@pytest.mark.parametrize(
    ("found", "grade", "text"),
    [
        (doctor.steal(0.01), "good", "1.0 % of processor time"),
        (doctor.steal(0.02), "fair", "2.0 % of processor time"),
        (doctor.steal(0.2), "bad", "20.0 % of processor time"),
        (doctor.steal(None), "unknown", "not counted"),
        (doctor.load(replace(QUIET, load=(2.0, 0, 0))), "good", "2.0 over the last minute on 8 cores"),
        (doctor.load(replace(QUIET, load=(3.0, 0, 0))), "fair", "3.0 over"),
        (doctor.load(replace(QUIET, load=(9.0, 0, 0), cores=1)), "bad", "on 8 cores"),
        (doctor.load(replace(QUIET, load=())), "unknown", "not told"),
        (doctor.governor("performance"), "good", "performance"),
        (doctor.governor("powersave"), "fair", "powersave"),
        (doctor.governor(None), "unknown", "not told"),
        (doctor.turbo(False), "good", "off"),
        (doctor.turbo(True), "fair", "on"),
        (doctor.turbo(None), "unknown", "not told"),
        (doctor.threads(3, QUIET), "good", "3 threads on 8 cores"),
        (doctor.threads(5, QUIET), "fair", "5 threads on 8 cores"),
        (doctor.threads(8, replace(QUIET, physical_cores=8)), "fair", "8 threads on 8 cores"),
        (doctor.threads(9, QUIET), "bad", "9 threads on 8 cores"),
        (doctor.threads(2, replace(QUIET, cpu_limit=1.5)), "bad", "of which the container allows 1.50"),
        (doctor.threads(1, replace(QUIET, cpu_limit=1.5)), "good", "of which the container allows 1.50"),
        (doctor.threads(1, replace(QUIET, cores=1)), "fair", "1 thread on 1 core"),
        (doctor.memory(2**31), "good", "2.00 GiB available"),
        (doctor.memory(2**30), "fair", "1.00 GiB available"),
        (doctor.memory(2**28), "bad", "256 MiB available"),
        (doctor.timer(1e-9, 5e-8), "good", "steps of 1.00 ns or less, a reading costs 50.0 ns"),
        (doctor.timer(1e-9, 5e-6), "fair", "a reading costs 5.00 µs"),
        (doctor.timer(1e-2, 5e-8), "bad", "steps of 10.0 ms"),
        (doctor.noise(0.01, 0.05), "good", "scatter by 1.0 %: an exponent from 3 × 3 octaves and 3 rounds gets ±0.050"),
        (doctor.noise(0.05, 0.099), "fair", "a verdict needs less than 0.1"),
        (doctor.noise(0.05, 0.1), "bad", "gets ±0.10;"),
        (doctor.noise(9.0, math.inf), "bad", "gets ±∞"),
    ],
    ids=lambda value: f"{value.name} {value.grade}" if isinstance(value, Finding) else "",
)
def test_a_finding_says_what_was_found_and_advises_where_it_is_not_good(found: Finding, grade: str, text: str) -> None:
    assert found.grade == grade
    assert text in found.found
    assert bool(found.advice) is (grade in ("fair", "bad"))


def test_advice_on_threads_names_a_number_that_is_good_enough() -> None:
    assert "set threads to 1 or fewer" in doctor.threads(4, replace(QUIET, cpu_limit=1.5)).advice
    assert "set threads to 4 or fewer" in doctor.threads(5, QUIET).advice


# ------------------------------------------------------------------------------------------------------------- readings


def steady(clock: FakeClock, seconds: float) -> Callable[[], Callable[[], None]]:
    return lambda: lambda: clock.work(seconds)


def test_visits_are_spread_over_the_seconds_and_read_their_fastest_block(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    made: list[float] = []
    stolen = iter([ProcessorTimes(5.0, 100.0), ProcessorTimes(7.0, 140.0)])
    monkeypatch.setattr(system, "processor_times", lambda: next(stolen))
    monkeypatch.setattr(doctor, "read_host", lambda: QUIET)
    monkeypatch.setattr(doctor, "resolution", lambda clock: 3.0)

    def operation() -> Callable[[], None]:
        """Each visit's operation is new, and a little slower than the one before; every other call is delayed."""
        made.append(clock.time)
        number, calls = len(made), iter(range(10**9))
        return lambda: clock.work(2.0**-9 * (1 + number / 1024) * (2 if next(calls) % 40 > 30 else 1))

    readings = take_readings(9.0, 2, clock, operation)

    assert readings.visits == pytest.approx([2.0**-9 * (1 + number / 1024) for number in range(1, 91)])
    assert len(made) == 90
    assert 9.0 <= clock.time < 9.0 * 1.2
    assert max(after - before for before, after in pairwise(made)) < 0.15  # none takes the time of the others
    assert (readings.host, readings.threads, readings.steal) == (QUIET, 2, 0.05)
    assert torch.get_num_threads() == 2
    assert gc.get_freeze_count() == 0


def test_where_nothing_is_counted_nothing_is_said_to_be_stolen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "processor_times", lambda: None)
    monkeypatch.setattr(doctor, "read_host", lambda: QUIET)
    monkeypatch.setattr(doctor, "resolution", lambda clock: 3.0)
    clock = FakeClock()

    assert take_readings(1.0, 1, clock, steady(clock, 2.0**-7)).steal is None


def test_the_scatter_is_the_standard_deviation_of_the_logarithm() -> None:
    shares = replace(IDEAL, visits=(1.0, math.exp(0.1), math.exp(0.2)))

    assert shares.scatter == pytest.approx(0.1)


def test_the_resolution_is_the_smallest_step_also_of_a_clock_that_stands_still_between_steps() -> None:
    class Coarse(FakeClock):
        def now(self) -> float:
            self.time += 2.0**-20
            return math.floor(self.time * 2**10) / 2**10

    assert resolution(Coarse()) == 2.0**-10
    assert resolution(FakeClock(reading=2.0**-20)) == 2.0**-20


def test_facts_are_read_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real readers, and a clock and an operation that cost nothing."""
    monkeypatch.setattr(host, "_accelerators", lambda: ())
    clock = FakeClock(reading=2.0**-24)

    readings = take_readings(0.5, 1, clock, steady(clock, 2.0**-7))

    assert readings.host.cores >= 1
    assert 0 < readings.available_bytes <= psutil.virtual_memory().total
    assert (readings.resolution_seconds, readings.overhead_seconds) == (2.0**-24, 2.0**-24)
    assert len(examine(readings, 0.01)) == 8
