"""SciPy's own distributions are the oracle, to the last bit; they are only slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from attnbench.fitting import distributions

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(15)
DEGREES = np.concatenate([[1.0, 2.0, 3.0, 0.5, 1e6], RNG.uniform(1, 60, 95)])
BOUNDS = np.concatenate([[0.0, 1.0, -1.0, 40.0, -40.0], RNG.normal(0, 4, 95)])
SHARES = np.concatenate([[0.05, 0.95, 0.5, 1e-6, 0.9999], RNG.uniform(0, 1, 95)])
MORE = DEGREES[::-1]


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        (distributions.student_below, stats.t.cdf, (BOUNDS, DEGREES)),
        (distributions.student_beyond, stats.t.sf, (BOUNDS, DEGREES)),
        (distributions.student_quantile, stats.t.ppf, (SHARES, DEGREES)),
        (distributions.normal_below, stats.norm.cdf, (BOUNDS,)),
        (distributions.normal_quantile, stats.norm.ppf, (SHARES,)),
        (distributions.chi_squared_quantile, stats.chi2.ppf, (SHARES, DEGREES)),
        (distributions.f_beyond, stats.f.sf, (np.abs(BOUNDS), DEGREES, MORE)),
        (distributions.f_quantile, stats.f.ppf, (SHARES, DEGREES, MORE)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_number_is_that_of_scipy(
    ours: Callable[..., float], theirs: Callable[..., float], arguments: tuple[np.ndarray, ...]
) -> None:
    rows = [tuple(map(float, row)) for row in zip(*arguments, strict=True)]

    assert [float(ours(*row)) for row in rows] == [float(theirs(*row)) for row in rows]


def test_an_array_gives_an_array() -> None:
    assert np.array_equal(distributions.student_beyond(BOUNDS, DEGREES), stats.t.sf(BOUNDS, DEGREES))


def test_chances_are_corrected_as_benjamini_and_hochberg_do() -> None:
    # 4 chances, sorted 0.01 0.02 0.03 0.5: times 4/1, 4/2, 4/3 and 1, and never more than the next larger.
    assert distributions.false_discovery([0.5, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.5, 0.04, 0.04, 0.04])


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_corrected_chances_are_those_of_scipy_ties_and_all(count: int) -> None:
    chances = np.round(RNG.uniform(0, 1, count), 1)

    assert np.array_equal(distributions.false_discovery(chances), stats.false_discovery_control(chances))
