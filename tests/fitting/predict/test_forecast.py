"""Forecasts: intervals that hold what is then measured, wider with distance, and refusals that say why."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attnbench.errors import InputError, LayerError
from attnbench.fitting.predict.forecast import Footprint, forecast
from attnbench.formula import Formula
from attnbench.law import FARTHEST, Curves, Law, Verdict
from attnbench.trial import Subject

#: Where the logarithms of the sizes lie about their mean: two octaves either way.
WINDOW = {"n": (64, 1024), "d": (64, 1024)}
CENTRE = 256
#: Of the logarithm of the level, and of the two exponents: what a known design would give at 2 % noise.
ERRORS = np.array([0.01, 0.012, 0.02])
SCATTER = 0.02
#: Standard normal quantile of 95 %.
Z = 1.6448536


def law(theta: np.ndarray[Any, Any], draws: np.ndarray[Any, Any], scatter: float = SCATTER, **fields: Any) -> Law:
    """A power law of n and d whose curves are rows of logarithm of the level at the centre, and two exponents."""
    rows = np.vstack([theta, draws])
    base = np.exp(rows[:, 0] - rows[:, 1:].sum(axis=1) * math.log(CENTRE))
    table = np.column_stack([np.zeros(len(rows)), base, rows[:, 1:]])
    curves = Curves(("1",), ("n", "d"), tuple(tuple(map(float, row)) for row in table), scatter)
    whole: dict[str, Any] = {"window": WINDOW, "fixed": {"b": 4}, "trials": 25, "curves": curves} | fields
    return Law(Subject("layer"), "time", Verdict.CONFIRMED, "time grows as claimed", **whole)


def drawn(seed: int = 0, number: int = 200, **fields: Any) -> Law:
    rng = np.random.default_rng(seed)
    theta = np.array([-5.0, 2.0, 1.0])
    return law(theta, theta + ERRORS * rng.standard_normal((number, 3)), **fields)


@pytest.mark.parametrize("times", [0.5, 4, 16])
def test_nine_visits_in_ten_fall_into_the_interval(times: float) -> None:
    """Estimates scatter about the truth as the curves do about the estimate: the interval is then exact."""
    rng, truth, hits, worlds = np.random.default_rng(3), np.array([-5.0, 2.0, 1.0]), 0, 400
    n = int(1024 * times)
    for _ in range(worlds):
        found = truth + ERRORS * rng.standard_normal(3)
        known = law(found, found + ERRORS * rng.standard_normal((200, 3)))
        seen = truth @ [1, math.log(n / CENTRE), math.log(64 / CENTRE)] + SCATTER * rng.standard_normal()
        interval = known.predict(n=n, d=64)
        hits += interval.low <= math.exp(seen) <= interval.high

    assert 0.855 <= hits / worlds <= 0.945  # three standard errors about 0.9


@pytest.mark.parametrize(("n", "d"), [(256, 256), (4096, 64), (1024, 16384)])
def test_the_interval_joins_the_spread_of_the_curves_and_the_scatter_of_a_visit(n: int, d: int) -> None:
    found = drawn(number=4000).predict(n=n, d=d)

    spread = math.hypot(SCATTER, *(ERRORS * [1, math.log(n / CENTRE), math.log(d / CENTRE)]))
    value = math.exp(-5) * (n / CENTRE) ** 2 * (d / CENTRE)
    assert found.level == 0.9
    assert found.value == pytest.approx(value)
    assert math.log(found.high / value) == pytest.approx(Z * spread, rel=0.08)
    assert math.log(value / found.low) == pytest.approx(Z * spread, rel=0.08)


def test_curves_that_lie_to_one_side_of_the_best_give_an_interval_to_that_side() -> None:
    theta = np.array([-5.0, 2.0, 1.0])
    above = theta + np.column_stack([np.linspace(0, 0.5, 101), np.zeros((101, 2))])

    found = law(theta, above, scatter=0.0).predict(n=CENTRE, d=CENTRE)

    assert (found.low, found.value) == (found.value, pytest.approx(math.exp(-5)))
    assert math.log(found.high) == pytest.approx(-5 + 0.95 * 0.5, abs=0.006)


def test_the_farther_the_wider() -> None:
    known = drawn()
    sizes = [256, 1024, 2048, 4096, 8192, 16384]

    found = [known.predict(n=n, d=256) for n in sizes]
    widths = [math.log(interval.high / interval.low) for interval in found]

    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]  # by the errors above: 0.022 in the middle, 0.055 at the far end
    assert [forecast(known, {"n": n, "d": 256}).extrapolation for n in sizes] == [1, 1, 2, 4, 8, 16]
    assert forecast(known, {"n": 16, "d": 256}).extrapolation == 4


def test_what_lies_inside_and_what_is_an_extrapolation_is_said() -> None:
    known = replace(drawn(number=4000), regimes=("beyond n = 512 the rate is 0.9 times what it was",))

    inside, far = (forecast(replace(known, regimes=()), {"n": n, "d": 256, "b": 4}) for n in (256, 4096))

    assert inside.reason.endswith(" ms; the sizes lie within those measured")
    assert inside.reason.startswith("90 % of visits would read between 6.4")
    assert far.reason.endswith("; n = 4096 is 4 times the largest measured, 1024: an extrapolation")
    assert forecast(known, {"n": 256, "d": 16}).reason.endswith(
        "; d = 16 is 1/4 of the smallest measured, 64: an extrapolation; "
        "beyond n = 512 the rate is 0.9 times what it was"
    )


MIB = 1024**2
#: Live tensors of 0.25 to 64 MiB, and weights of 16 KiB to 4 MiB, in the window.
PEAK, WEIGHTS = Formula("16*b*n*d"), Formula("4*d**2")
MEASURED = tuple({"b": 4, "n": n, "d": d} for n in (64, 1024) for d in (64, 1024))
REFUSALS = {
    "too large": (
        {"n": 16385, "d": 64},
        Footprint(),
        "n = 16385 is 16.001 times the largest measured, 1024, and a forecast goes 16 times beyond the window at most",
    ),
    "far too large": (
        {"n": 65536, "d": 64},
        Footprint(),
        "n = 65536 is 64 times the largest measured, 1024, and a forecast goes 16 times beyond the window at most",
    ),
    "too small": (
        {"n": 64, "d": 2},
        Footprint(),
        "d = 2 is 1/32 of the smallest measured, 64, and a forecast goes 16 times beyond the window at most",
    ),
    "fixed": ({"n": 64, "d": 64, "b": 8}, Footprint(), "every trial had b = 4, so nothing is known of b = 8"),
    "beyond the cache": (
        {"n": 2048, "d": 1024},
        Footprint(peak=PEAK, measured=MEASURED, cache_bytes=64 * MIB),
        "its live tensors need 128 MiB there, beyond the last cache of 64.0 MiB, and every trial stayed within it",
    ),
    "within the cache": (
        {"n": 64, "d": 32},
        Footprint(peak=PEAK, measured=MEASURED, cache_bytes=MIB / 8),
        "its live tensors need 128 KiB there, within the last cache of 128 KiB, and every trial was beyond it",
    ),
    "weights": (
        {"n": 64, "d": 4096},
        Footprint(weights=WEIGHTS, measured=MEASURED, cache_bytes=4 * MIB),
        "its weights need 64.0 MiB there, beyond the last cache of 4.00 MiB, and every trial stayed within it",
    ),
}


@pytest.mark.parametrize(("sizes", "footprint", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_an_answer_with_its_reason(sizes: dict[str, int], footprint: Footprint, reason: str) -> None:
    found = forecast(drawn(), sizes, footprint)

    assert (found.seconds, found.reason) == (None, reason)


@pytest.mark.parametrize(
    ("sizes", "cache"),
    [({"n": 1024 * int(FARTHEST), "d": 64}, math.inf), ({"n": 2048, "d": 1024}, MIB), ({"n": 64, "d": 4}, MIB)],
)
def test_up_to_the_stated_factor_and_with_trials_on_both_sides_of_the_cache_there_is_a_forecast(
    sizes: dict[str, int], cache: float
) -> None:
    found = forecast(drawn(), sizes, Footprint(PEAK, WEIGHTS, MEASURED, cache))

    assert found.seconds is not None


def test_a_law_without_a_curve_says_why_it_has_none() -> None:
    bare = Law(Subject("layer"), "time", Verdict.OUT_OF_REGIME, "3 measured trials are too few to read a law from")

    assert forecast(bare, {"n": 64, "d": 64}, Footprint(peak=Formula("4*n*d"))).as_json() == {
        "layer": "layer",
        "at": {"n": 64, "d": 64},
        "seconds": None,
        "extrapolation": 1.0,
        "peak_bytes": 4 * 64 * 64,
        "fits": None,
        "reason": "no curve was fitted: 3 measured trials are too few to read a law from",
    }
    with pytest.raises(InputError, match=r"^layer: no curve was fitted: 3 measured trials are too few"):
        bare.predict(n=64, d=64)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n": 64}, "layer needs a size for d, such as d=1024"),
        ({}, "layer needs a size for n and d, such as n=1024"),
        ({"n": 64, "d": 64, "k": 3}, "layer was measured over b, n, d, and not over 'k'."),
    ],
)
def test_sizes_that_are_missing_or_unknown_are_bad_input(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(LayerError) as caught:
        forecast(drawn(), sizes)

    assert str(caught.value) == message


@pytest.mark.parametrize(("available", "fits"), [(100 * MIB, True), (64 * MIB, False), (None, None)])
def test_memory_is_counted_beside_and_the_weights_need_room_too(available: float | None, fits: bool | None) -> None:
    found = forecast(drawn(), {"n": 1024, "d": 1024}, Footprint(PEAK, WEIGHTS, available=available))

    assert found.peak_bytes == 64 * MIB  # 16 bytes × 4 × 2**20; the weights take 4 MiB more
    assert found.fits is fits
    document = json.loads(json.dumps(found.as_json()))
    assert list(document) == ["layer", "at", "seconds", "extrapolation", "peak_bytes", "fits", "reason"]
    assert list(document["seconds"]) == ["value", "low", "high", "level"]
    assert document["at"] == {"b": 4, "n": 1024, "d": 1024}


def test_a_law_read_back_predicts_the_same() -> None:
    known = drawn()

    assert Law.from_json(json.loads(json.dumps(known.as_json()))).predict(n=4096, d=256) == known.predict(n=4096, d=256)
