"""The timing loop against a clock that the test owns: every reading, call and block is accounted for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnbench.measure.loop import Pace, Timing, block_iterations, time_block, time_call
from tests.measure.fake_clock import FakeClock

#: Powers of two, so that sums of seconds are exact.
READING, MILLISECOND = 2.0**-30, 2.0**-10


@pytest.fixture(autouse=True, scope="module")
def light_collections() -> Iterator[None]:
    """What other tests left behind is set aside: every visit collects garbage, which walks through all there is."""
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass
class Call:
    """A call that takes the next of `seconds`, on the CPU or on a device; it notes whether garbage is collected."""

    clock: FakeClock
    seconds: Iterator[float]
    on_device: bool = False
    collecting: list[bool] = field(default_factory=list)

    def __call__(self) -> None:
        self.collecting.append(gc.isenabled())
        if self.on_device:
            self.clock.handed_over += next(self.seconds)
        else:
            self.clock.work(next(self.seconds))

    @property
    def count(self) -> int:
        return len(self.collecting)


def timed(*first: float, then: float, pace: Pace, reading: float = 0.0) -> tuple[Timing, Call]:
    """Time a call that takes `first` seconds, one after the other, and `then` from there on."""
    clock = FakeClock(reading)
    call = Call(clock, chain(first, repeat(then)))
    return time_call(call, clock, pace), call


# ------------------------------------------------------------------------------------------------------------ one block


@pytest.mark.parametrize("iterations", [1, 3, 1000])
@pytest.mark.parametrize("on_device", [False, True])
def test_a_block_is_one_reading_and_the_calls_with_the_device_drained(iterations: int, on_device: bool) -> None:
    clock = FakeClock(READING)
    call = Call(clock, repeat(MILLISECOND), on_device)

    assert time_block(call, iterations, clock) == READING + iterations * MILLISECOND
    assert (call.count, clock.handed_over) == (iterations, 0.0)


def test_what_the_device_still_had_to_do_before_a_block_is_not_in_it() -> None:
    clock = FakeClock()
    clock.handed_over = 5.0

    assert time_block(lambda: clock.work(0.25), 2, clock) == 0.5


@given(call=st.floats(1e-9, 10), overhead=st.floats(0, 1e-5))
def test_a_block_outlasts_a_thousand_readings_with_no_call_more_than_that_takes(call: float, overhead: float) -> None:
    iterations, shortest = block_iterations(call, overhead), max(1000 * overhead, 2e-4)

    assert iterations * call >= shortest * (1 - 1e-9)
    assert iterations == 1 or (iterations - 1) * call <= shortest * (1 + 1e-9)


def test_a_call_too_short_for_the_clock_gets_many_iterations_and_no_division_by_zero() -> None:
    assert block_iterations(0.0, 0.0) == 200_000


# ---------------------------------------------------------------------------------------------------------- one visit


def test_the_first_call_is_told_apart_from_the_blocks() -> None:
    timing, _ = timed(8.0, then=0.5, pace=Pace(seconds=0, least_blocks=3))

    assert timing == Timing(first_call_seconds=8.0, iterations=1, block_seconds=(0.5, 0.5, 0.5))


def test_a_long_call_is_its_own_warm_up() -> None:
    timing, call = timed(then=0.25, pace=Pace(seconds=0))

    assert timing == Timing(0.25, 1, (0.25, 0.25))
    assert call.count == 1 + 2


def test_a_short_call_is_estimated_again_without_the_costs_of_being_first() -> None:
    timing, call = timed(16 * MILLISECOND, then=MILLISECOND, pace=Pace(seconds=0))

    assert timing == Timing(16 * MILLISECOND, 1, (MILLISECOND, MILLISECOND))
    assert call.count == 1 + 1 + 2


def test_a_very_short_call_warms_up_for_one_block_and_is_timed_in_long_ones() -> None:
    call_seconds = 2.0**-20
    timing, call = timed(then=call_seconds, pace=Pace(seconds=0, least_blocks=5))

    assert timing.iterations == block_iterations(call_seconds, 0.0) == 210
    assert timing.block_seconds == (call_seconds,) * 5
    assert call.count == 1 + 1 + 210 + 5 * 210


def test_with_a_slow_clock_reading_it_is_less_than_a_thousandth_of_a_block() -> None:
    timing, _ = timed(then=2.0**-14, pace=Pace(seconds=0), reading=2.0**-16)

    assert timing.iterations * 2.0**-14 >= 1000 * 2.0**-16
    assert timing.block_seconds[0] - 2.0**-14 == pytest.approx(2.0**-16 / timing.iterations)
    assert 2.0**-16 / timing.iterations <= 2.0**-14 / 1000


def test_blocks_are_added_until_the_pace_is_spent() -> None:
    timing, _ = timed(then=0.5, pace=Pace(seconds=2.75))

    assert timing.block_seconds == (0.5,) * 5  # with the first call, 2.5 are not yet enough and 3.0 are


def test_the_least_number_of_blocks_is_timed_even_when_the_pace_is_spent() -> None:
    timing, _ = timed(then=100.0, pace=Pace(seconds=1.0, least_blocks=4))

    assert timing.block_seconds == (100.0,) * 4


@pytest.mark.parametrize(("call_seconds", "iterations"), [(0.5, 18), (MILLISECOND, 9362)])
def test_there_are_never_more_blocks_than_teach_anything_and_they_fill_the_visit(
    call_seconds: float, iterations: int
) -> None:
    timing, call = timed(then=call_seconds, pace=Pace(seconds=64, most_blocks=7))

    assert timing.iterations == iterations
    assert timing.block_seconds == (call_seconds,) * len(timing.block_seconds)
    assert 6 <= len(timing.block_seconds) <= 7
    assert 64 <= call.clock.time < 64 + 1.01 * iterations * call_seconds


def test_the_first_output_is_examined_outside_of_what_is_timed() -> None:
    clock = FakeClock()
    outputs = iter("abcdef")

    def call() -> str:
        clock.work(0.25)
        return next(outputs)

    seen: list[str] = []

    def examine(output: str) -> None:
        clock.work(100.0)
        seen.append(output)

    timing = time_call(call, clock, Pace(seconds=0), examine)

    assert timing == Timing(0.25, 1, (0.25, 0.25))
    assert seen == ["a"]


@settings(deadline=None)
@given(
    slower=st.floats(1, 100),
    then=st.floats(2e-4, 2),
    seconds=st.floats(0, 4),
    least=st.integers(1, 5),
    most=st.integers(5, 12),
)
def test_the_number_of_blocks_stays_between_its_bounds_and_the_pace_is_used(
    slower: float, then: float, seconds: float, least: int, most: int
) -> None:
    timing, call = timed(first := slower * then, then=then, pace=Pace(seconds, least, most))

    blocks = len(timing.block_seconds)
    assert least <= blocks <= most
    assert blocks in (least, most) or call.clock.time >= seconds > call.clock.time - timing.iterations * then * 1.001
    assert timing.first_call_seconds == pytest.approx(first)
    assert timing.block_seconds == pytest.approx([then] * blocks)


# --------------------------------------------------------------------------------------------------- garbage collection


@pytest.fixture(params=[True, False], ids=["collecting", "not collecting"])
def collecting(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The garbage collector switched on, or off, before the test."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_no_garbage_is_collected_inside_and_the_collector_is_put_back(collecting: bool) -> None:
    _, call = timed(then=0.5, pace=Pace(seconds=0))

    assert call.collecting == [False] * 3
    assert gc.isenabled() is collecting


def test_the_collector_is_put_back_when_a_call_fails(collecting: bool) -> None:
    with pytest.raises(ZeroDivisionError):
        time_call(lambda: 1 / 0, FakeClock(), Pace(seconds=0))

    assert gc.isenabled() is collecting
