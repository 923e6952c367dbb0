"""Changes of regime: found where one was put, and nowhere else. No sum of costs is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.model.breaks import breaks_of, concave_axes, likely_breaks
from attnbench.fitting.model.curve import FittedCurve, fit_curve
from attnbench.fitting.model.observations import Observations
from benchmarks.worlds import LAWS, SINGLE, World, draw
from tests.fitting.worlds import doubling, noisy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fitting.model.observations import Array

    Columns = Mapping[str, Array]

N = {"n": doubling(64, 10)}
ND = {"n": doubling(64, 5), "d": doubling(32, 5)}
#: Each jump, by the name that its threshold has.
CACHES: dict[str, Callable[[Columns], Array]] = {
    "n": lambda s: s["n"] > 181,
    "d": lambda s: s["d"] > 181,
    "n·d": lambda s: s["n"] * s["d"] > 11_585,
}


def plain(observed: Observations) -> FittedCurve:
    return fit_curve(observed, np.ones((len(observed.sizes), 1)))


def with_jump(where: Callable[[Columns], Array], factor: float, noise: float, seed: int) -> Observations:
    return noisy(lambda s: 1e-9 * s["n"] ** 2 * s["d"] * np.where(where(s), factor, 1.0), ND, noise, seed)


# ----------------------------------------------------------------------------------------------------------- thresholds


def test_every_threshold_splits_the_configurations_and_each_split_occurs_once() -> None:
    observed = noisy("1e-9*n**2*d", {"n": (64, 128, 256, 512), "d": (32, 64, 128)}, 0.0, 0)

    found = breaks_of(observed)

    # Three of n and two of d; n·d has the sums 0 to 5 of doublings, and of its five splits the outermost leave one.
    assert [b.where for b in found][:8] == [
        "n = 90.5",
        "n = 181",
        "n = 362",
        "d = 45.3",
        "d = 90.5",
        "n·d = 5793",
        "n·d = 11585",
        "n·d = 23170",
    ]
    assert len({b.beyond.tobytes() for b in found}) == len(found)
    assert all(2 <= b.beyond.sum() <= 10 for b in found)
    np.testing.assert_array_equal(found[3].beyond, observed.sizes["d"] > 45)


def test_each_side_of_a_break_keeps_enough_configurations() -> None:
    counts = {int(b.beyond.sum()) for b in breaks_of(noisy("1e-9*n**2", {"n": doubling(16, 20)}, 0.0, 0))}

    assert counts == set(range(3, 18))  # 15 % of twenty


# --------------------------------------------------------------------------------------------------------------- a jump


@pytest.mark.parametrize("factor", [1.3, 1.8, 0.6])
@pytest.mark.parametrize("name", CACHES)
def test_a_jump_is_found_where_it_is_and_as_large_as_it_is(name: str, factor: float) -> None:
    right, sizes = 0, []
    for seed in range(20):
        observed = with_jump(CACHES[name], factor, 0.02, seed)
        (found, weight), *_ = likely_breaks(plain(observed))
        columns = {axis: observed.sizes[axis].to_numpy(float) for axis in observed.axes}
        right += bool((found.beyond == CACHES[name](columns)).all()) and weight > 0.5
        curve = fit_curve(observed, np.ones((25, 1)), found.beyond[:, None].astype(float))
        sizes.append(float(np.exp(curve.theta[-1])))

    assert right >= 19
    assert np.median(sizes) == pytest.approx(factor, rel=0.02)


def test_a_threshold_is_named_by_the_sizes_beside_it() -> None:
    observed = with_jump(CACHES["n"], 1.8, 0.01, 1)

    (found, _), *_ = likely_breaks(plain(observed))

    assert found.where == "n = 181"  # the geometric mean of 128 and 256


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_probabilities_add_up_to_less_than_one(noise: float) -> None:
    for seed in range(10):
        weights = [weight for _, weight in likely_breaks(plain(with_jump(CACHES["n·d"], 1.15, noise, seed)))]

        assert weights == sorted(weights, reverse=True)
        assert all(0.02 < weight <= 1 for weight in weights)
        assert sum(weights) <= 1 + 1e-12


# -------------------------------------------------------------------------------------------------- where there is none


def odds(curve: FittedCurve) -> float:
    return sum(weight for _, weight in likely_breaks(curve))


def test_hardly_any_clean_world_has_a_break() -> None:
    worlds = [draw(LAWS[SINGLE[seed % len(SINGLE)]], World(), seed) for seed in range(120)]
    broken = [odds(plain(Observations(seen.sizes, seen.visits))) > 0.5 for seen in worlds]

    # 95 of 100 and more: of 120, five are expected to be called broken at most, and nine within two standard errors.
    assert sum(broken) <= 9


@pytest.mark.parametrize("ratio", [0.1, 0.5, 2, 8])
def test_a_sum_of_costs_that_is_read_as_one_power_is_not_called_a_break(ratio: float) -> None:
    """It bends upwards gently, along the valley where the terms are equal: a step is a poor picture of that."""
    layers = [
        noisy(f"{ratio}e-9*n*d**2 + 1e-9*n**2*d", ND, noise, seed) for noise in (0, 0.01, 0.03) for seed in range(10)
    ]

    assert sum(odds(plain(observed)) > 0.5 for observed in layers) <= 2


@pytest.mark.parametrize("count", [4, 5])
def test_few_configurations_show_no_break(count: int) -> None:
    observed = noisy(lambda s: s["n"] * np.where(s["n"] > 150, 3.0, 1.0), {"n": doubling(64, count)}, 0.02, 1)

    assert likely_breaks(plain(observed)) == []


# ------------------------------------------------------------------------------------------------------------ concavity


def falling(axis: str) -> Callable[[Columns], Array]:
    """An exponent that falls by one half over the window of one axis."""

    def seconds(sizes: Columns) -> Array:
        logs = np.log(sizes[axis])
        middle, width = (logs.max() + logs.min()) / 2, np.ptp(logs)
        return np.asarray(1e-9 * sizes["n"] ** 2 * sizes["d"] * np.exp(-0.25 / width * (logs - middle) ** 2))

    return seconds


@pytest.mark.parametrize("axis", ["n", "d"])
def test_an_axis_along_which_the_exponent_falls_is_found_with_its_fall(axis: str) -> None:
    for seed in range(10):
        ((found, fall),) = concave_axes(plain(noisy(falling(axis), ND, 0.01, seed)))

        assert found == axis
        assert fall == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    "truth",
    ["1e-9*n**2*d", "8e-9*n*d**2 + 4e-9*n**2*d", "1e-3 + 1e-9*n**2*d", "1e-9*n**2*d + 1e-6*n*d"],
    ids=["one-term", "layer", "constant", "lower-term"],
)
def test_no_sum_of_costs_is_concave(truth: str) -> None:
    """Chance makes one in a hundred so, by the level of the test, and only where the fall is large too."""
    found = [concave_axes(plain(noisy(truth, ND, 0.05, seed))) for seed in range(60)]

    assert sum(map(bool, found)) <= 3


def test_a_step_that_is_in_the_curve_is_not_called_concave() -> None:
    observed = with_jump(CACHES["n"], 0.3, 0.005, 3)
    beyond = (observed.sizes["n"] > 181).to_numpy(float)[:, None]

    assert concave_axes(fit_curve(observed, np.ones((25, 1)), beyond)) == []


def test_a_slight_fall_is_passed_over_however_certain() -> None:
    observed = noisy(lambda s: falling("n")(s) ** 0.2 * (s["n"] ** 2 * s["d"]) ** 0.8, ND, 1e-4, 1)  # falls by 0.1

    assert concave_axes(plain(observed)) == []


def test_two_sizes_show_no_curvature() -> None:
    observed = Observations(pd.DataFrame({"n": [64, 64, 512, 512] * 3}), np.arange(1, 13)[:, None] * 1.0)

    assert concave_axes(plain(observed)) == []
