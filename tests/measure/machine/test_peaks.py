"""What a device does at best, on a clock that only moves when an operation moves it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from attnbench.errors import UnsupportedError
from attnbench.measure.machine import peaks
from attnbench.measure.machine.peaks import Operation, best_rate, measure_peaks
from tests.measure.fake_clock import FakeClock

SIZES = (512, 1024, 2048, 4096)


@pytest.fixture(autouse=True)
def nothing_old_to_collect() -> Iterator[None]:
    """As in a measuring process: collecting before each visit need not walk through all that is loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


def product(clock: FakeClock, rate: float, start: float = 0.0, slow_from: int = 10**9) -> Operation:
    """A product that costs `start` seconds and its work at `rate`, halved from one edge on; made ones are not run."""

    def seconds(edge: int) -> float:
        return start + 2 * edge**3 / (rate / 2 if edge >= slow_from else rate)

    return Operation(lambda edge: partial(clock.work, seconds(edge)), lambda edge: 2.0 * edge**3)


def test_the_best_rate_is_that_of_the_size_at_which_starting_costs_least() -> None:
    clock = FakeClock()

    rate, edge = best_rate(product(clock, 1e10, start=1e-3), SIZES, clock, seconds=400)

    assert edge == 4096
    assert rate == pytest.approx(2 * 4096**3 / (1e-3 + 2 * 4096**3 / 1e10))


def test_a_rate_that_falls_at_large_sizes_is_not_the_best_one() -> None:
    clock = FakeClock()

    rate, edge = best_rate(product(clock, 1e10, start=1e-3, slow_from=2048), SIZES, clock, seconds=400)

    assert edge == 1024
    assert rate == pytest.approx(2 * 1024**3 / (1e-3 + 2 * 1024**3 / 1e10))


def test_sizes_that_the_time_does_not_allow_are_not_begun() -> None:
    clock = FakeClock()

    rate, edge = best_rate(product(clock, 1e9), SIZES, clock, seconds=4.0)

    # Edge 1024 takes 2.1 s a call: its four calls would be 8.6 s.
    assert edge == 512
    assert rate == pytest.approx(1e9)
    assert clock.time < 4.0


def test_a_kind_of_numbers_without_a_fast_product_has_no_best_rate() -> None:
    clock = FakeClock()

    with pytest.raises(UnsupportedError) as caught:
        best_rate(product(clock, 1e8), SIZES, clock, seconds=1.0)

    assert str(caught.value) == "one call takes 2.68 s at the smallest size, 512: no fast one is here"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A product of matrices takes a millisecond here and a copy two, whatever their size; the last cache is small."""
    clock = FakeClock()
    monkeypatch.setattr(torch, "mm", lambda *_, out: clock.work(1e-3))
    monkeypatch.setattr(torch.Tensor, "copy_", lambda *_: clock.work(2e-3))
    monkeypatch.setattr(peaks, "EDGES", (16, 32))
    monkeypatch.setattr(peaks, "_MIN_COPY", 0)
    monkeypatch.setattr(peaks, "last_cache_bytes", lambda: 2.0**16)
    return clock


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_both_peaks_are_told_with_the_sizes_that_reached_them(dtype: str, clock: FakeClock) -> None:
    found = measure_peaks("cpu", dtype, 1.0, clock)

    assert (found["edge"], found["flops_per_second"]) == (32, pytest.approx(2 * 32**3 / 1e-3))
    assert found["copied_bytes"] == 2 * 2**16  # two of them are four times the cache
    assert found["bytes_per_second"] == pytest.approx(2 * 2 * 2**16 / 2e-3)  # read once and written once
    assert found["reason"] == ""
    assert found["clock_seconds"] == pytest.approx(clock.time)
    assert clock.time < 1.0


def test_a_peak_that_cannot_be_measured_is_unknown_with_its_reason_and_the_other_is_kept(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_kernel(*_: object, **__: object) -> None:
        raise RuntimeError("\"addmm_impl\" not implemented\nfor 'Half'")

    monkeypatch.setattr(torch, "mm", no_kernel)

    found = measure_peaks("cpu", "float16", 1.0, clock)

    assert (found["flops_per_second"], found["edge"]) == (None, None)
    assert found["reason"] == "\"addmm_impl\" not implemented for 'Half'"
    assert found["bytes_per_second"] == pytest.approx(2 * 2 * 2**16 / 2e-3)
