"""An estimate never travels without an interval that holds it."""

from __future__ import annotations

import math

import pytest

from attnbench.law import Estimate


@pytest.mark.parametrize("value", [0.9, 2.1, math.nan])
def test_a_value_outside_its_interval_is_no_estimate(value: float) -> None:
    with pytest.raises(ValueError, match=f"^{value} lies outside its interval 1.0 to 2.0$"):
        Estimate(value, 1.0, 2.0)


def test_an_interval_lies_within_outside_or_across_a_margin() -> None:
    estimate = Estimate(1.0, 0.9, 1.2)

    assert math.isclose(estimate.half_width, 0.15)
    assert estimate.within(0.8, 1.3)
    assert not estimate.within(0.9, 1.3)
    assert estimate.outside(1.3, 2.0)
    assert estimate.outside(0.1, 0.8)
    assert not estimate.outside(1.2, 2.0)
