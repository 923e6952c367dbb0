"""Samples to numbers: the interval of the median against the exact binomial law, outliers against Tukey's fences."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnbench.store.summary import TUKEY_LABELS, median_interval, summarise, tukey_labels


def coverage(rank: int, count: int) -> Fraction:
    """Probability that the median lies between the values at `rank` from either end, exactly."""
    return 1 - 2 * sum((Fraction(comb(count, below), 2**count) for below in range(rank)), Fraction(0))


@pytest.mark.parametrize(("count", "ranks"), [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (70, (27, 44))])
def test_the_interval_is_that_of_le_boudecs_table_at_95_percent(count: int, ranks: tuple[int, int]) -> None:
    assert median_interval(range(1, count + 1), level=0.95) == ranks


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_the_interval_covers_with_the_level_and_no_inner_one_does(level: float) -> None:
    for count in range(1, 80):
        low, high = median_interval(range(1, count + 1), level)

        assert low + high == count + 1
        assert coverage(int(low), count) >= level or low == 1
        assert coverage(int(low) + 1, count) < level


def test_the_order_of_the_values_does_not_matter() -> None:
    assert median_interval([5, 1, 4, 2, 3, 9, 8, 7]) == (2, 8)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_too_few_values_give_their_whole_range(count: int) -> None:
    assert median_interval(range(count)) == (0, count - 1)


def test_a_summary_locates_a_trial_at_the_median_over_visits_of_their_fastest_samples() -> None:
    visits = [(0.5, 0.1, 0.4), (), (0.2, 0.3, 2.0)]

    assert summarise(visits) == {
        "seconds": pytest.approx(math.sqrt(0.1 * 0.2)),  # the middle of two, of logarithms
        "seconds_low": 0.3,
        "seconds_high": 0.4,
        "seconds_median": statistics.median([0.5, 0.1, 0.4, 0.2, 0.3, 2.0]),
        "samples": 6,
    }


def test_many_samples_of_few_visits_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        levels = 1 + rng.normal(0, 0.03, size=8)  # what a process does to a trial
        found = summarise([level + rng.normal(0, 0.003, size=20) for level in levels])
        held += found["seconds_low"] <= 1 <= found["seconds_high"]

    assert held / 300 >= 0.9


def test_without_samples_there_are_no_numbers() -> None:
    assert summarise([]) == {
        "seconds": None,
        "seconds_low": None,
        "seconds_high": None,
        "seconds_median": None,
        "samples": 0,
    }


def labels(values: list[float]) -> list[str]:
    return [TUKEY_LABELS[index] for index in tukey_labels(np.array(values, dtype=np.float64))]


def test_outliers_are_labelled_by_their_distance_from_the_quartiles() -> None:
    # Quartiles 3 and 9 of these thirteen: fences 9 beyond them for mild, 18 for severe.
    values = [-16, 0, 1, 3, 4, 5, 6, 7, 8, 9, 18, 18.5, 27.5]

    assert labels(values) == ["severe", *[""] * 10, "mild", "severe"]


def test_steady_values_have_no_outliers_and_a_single_odd_one_among_them_is_severe() -> None:
    assert labels([2.0] * 9) == [""] * 9
    assert labels([2.0] * 9 + [2.1]) == [""] * 9 + ["severe"]


@given(values=st.lists(st.integers(-1000, 1000), min_size=2, max_size=40))
def test_the_fences_stand_where_tukey_put_them(values: list[int]) -> None:
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")

    def label(value: int) -> str:
        beyond = max(first - value, value - third) / ((third - first) or 1e-9)
        return "severe" if beyond > 3 else "mild" if beyond > 1.5 else ""

    assert labels([float(value) for value in values]) == [label(value) for value in values]
