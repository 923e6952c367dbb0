"""Numbers as people read them, at the edges of each unit and where rounding crosses one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnbench import units
from attnbench.errors import InputError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (-1.5, "-1.50"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (123456.7, "123457"),
        (0.0, "0"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, "not a number"),
    ],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert units.significant(value) == text


@given(value=st.floats(1e-12, 1e12), digits=st.integers(1, 9))
def test_no_more_than_the_last_digit_is_lost(value: float, digits: int) -> None:
    written = units.significant(value, digits)

    assert math.isclose(float(written), value, rel_tol=0.51 * 10 ** (1 - digits))
    assert len(written.replace(".", "").lstrip("0")) >= digits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123, "1.23 ms"),
        (4.5e-7, "450 ns"),
        (2e-6, "2.00 µs"),
        (1e-12, "1.00 ps"),
        (0.9996, "1.00 s"),
        (0.9994, "999 ms"),
        (61.04, "61.0 s"),
        (7200, "7200 s"),
        (-0.002, "-2.00 ms"),
        (0, "0 s"),
        (math.inf, "∞ s"),
        (math.nan, "not a number s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(4e9, "4.00 GFLOP"), (999.9e9, "1.00 TFLOP"), (0, "0 FLOP"), (0.5, "0.500 FLOP"), (3e21, "3000 EFLOP")],
)
def test_work_and_its_rate(value: float, text: str) -> None:
    assert units.flops(value) == text
    assert units.flops_per_second(value) == f"{text}/s"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9999, "9999"),
        (-3, "-3"),
        (12_000, "12.0 k"),
        (1_048_576, "1.05 M"),
        (0.5, "0.500"),
        (math.inf, "∞"),
    ],
)
def test_counts(value: float, text: str) -> None:
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1000 * 1024, "1000 KiB"),
        (1024**2 - 1, "1.00 MiB"),
        (5 * 1024**3, "5.00 GiB"),
        (-2048, "-2.00 KiB"),
        (math.inf, "∞ B"),
    ],
)
def test_bytes(value: float, text: str) -> None:
    assert units.nbytes(value) == text


def test_a_share_is_written_in_percent() -> None:
    assert units.percent(0.9713) == "97.1 %"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("2m", 120), ("2 min", 120), ("500ms", 0.5), ("1h", 3600), (" 1.5 s ", 1.5), ("0.25h", 900)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "-1s", "0s", "1e3s", "1 d", "1s 2s", ".5s", "9" * 400 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        units.parse_duration(text)

    assert str(caught.value) == f"a duration such as 60s, 2m or 1h is needed, not {text!r}"
