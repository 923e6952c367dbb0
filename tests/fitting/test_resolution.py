"""What the noise of a machine implies for an exponent."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from attnbench.fitting.resolution import FEWEST_VISITS, implied_half_width

OCTAVE = math.log(2)
#: Standard deviation of a slope over three octaves crossed with three, for each one of a configuration's location.
LEVER = 1 / math.sqrt(6 * OCTAVE**2)


def visits(scatter: float, count: int = 90, seed: int = 1) -> np.ndarray:
    return 1e-3 * np.exp(scatter * np.random.default_rng(seed).standard_normal(count))


@functools.cache
def half_width(scatter: float) -> float:
    return implied_half_width(visits(scatter))


def test_a_machine_without_noise_reads_exponents_exactly() -> None:
    assert implied_half_width([0.001] * 90) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scatter", [0.003, 0.03])
def test_noise_gives_at_least_the_interval_of_a_line_through_known_points_and_not_many_times_that(
    scatter: float,
) -> None:
    """The best that any method can do with 27 visits of known scatter is 1.645 standard deviations of a slope."""
    best = 1.645 * scatter / math.sqrt(3) * LEVER

    assert best < half_width(scatter) < 6 * best


def test_ten_times_the_noise_is_about_ten_times_the_width() -> None:
    assert half_width(0.03) == pytest.approx(10 * half_width(0.003), rel=0.3)


def test_what_happens_to_a_whole_round_does_not_blur_an_exponent() -> None:
    """Every size of the round is slowed alike, as by a change of frequency."""
    level = np.repeat(np.exp(0.2 * np.random.default_rng(0).standard_normal(10)), 9)

    assert implied_half_width(1e-3 * level) == pytest.approx(0, abs=1e-6)


def test_the_unit_and_the_repetition_do_not_matter() -> None:
    assert implied_half_width(1e3 * visits(0.03)) == pytest.approx(half_width(0.03), rel=1e-3)
    assert implied_half_width(visits(0.03)) == half_width(0.03)


def test_too_few_visits_are_refused() -> None:
    implied_half_width(visits(0.01, FEWEST_VISITS))

    with pytest.raises(ValueError, match=f"{FEWEST_VISITS} visits are needed, not 26"):
        implied_half_width(visits(0.01, FEWEST_VISITS - 1))
