"""The tools that attnbench is compared with: known curves, hand calculations, and what packages were seen to say."""

from __future__ import annotations

import itertools
import math
import sys
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attnbench.formula import Formula
from benchmarks import rivals
from benchmarks.rivals.packages import read_big_o, read_extra_p

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NO_INTERVAL = (pytest.approx(math.nan, nan_ok=True),) * 2


def powers_of_two(smallest: int, largest: int) -> list[int]:
    return [2**power for power in range(smallest.bit_length() - 1, largest.bit_length())]


def grid(**axes: list[int]) -> pd.DataFrame:
    return pd.DataFrame(itertools.product(*axes.values()), columns=list(axes))


def seconds(sizes: pd.DataFrame, law: str) -> NDArray[np.float64]:
    """Exact seconds, one replicate."""
    return np.array([[float(Formula(law).evaluate(row))] for row in sizes.to_dict("records")])


N = grid(n=powers_of_two(128, 1024))
ND = grid(n=powers_of_two(128, 4096), d=powers_of_two(64, 512))


# ------------------------------------------------------------------------------------------------- log-log regression


def test_a_regression_reads_two_terms_as_one_power_law_that_fits_well() -> None:
    """On a full grid the logs of n and d are uncorrelated, so that each slope is a ratio of two sums."""
    times = seconds(ND, "4*n**2*d + 8*n*d**2")

    answer = rivals.power_law(ND, times)

    logs = np.log(times[:, 0])
    centred = {axis: np.log(ND[axis]) - np.log(ND[axis]).mean() for axis in ND}
    slopes = {axis: float((x @ logs) / (x @ x)) for axis, x in centred.items()}
    assert answer.exponents == pytest.approx(slopes, abs=1e-6)
    assert answer.exponents == pytest.approx({"n": 1.63, "d": 1.38}, abs=0.005)
    assert answer.leading == ("n**(1.631)*d**(1.376)",)
    assert answer.quality["R²"] == pytest.approx(0.991, abs=0.0005)
    assert not answer.confirms("n**2*d + n*d**2")
    assert not answer.confirms("n**2*d")


def test_the_interval_of_a_slope_and_of_a_forecast_are_those_of_the_textbook() -> None:
    noise = np.random.default_rng(5).normal(0, 0.05, len(N))
    times = seconds(N, "n**2")[:, 0] * np.exp(noise)
    x, y = np.log(N["n"].to_numpy(float)), np.log(times)
    line = stats.linregress(x, y)
    quantile = stats.t.ppf(0.95, len(x) - 2)
    error = np.sqrt(np.sum((y - line.intercept - line.slope * x) ** 2) / (len(x) - 2))
    at = math.log(4096)
    spread = quantile * error * math.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    centre = line.intercept + line.slope * at

    answer = rivals.power_law(N, times[:, None])

    low, high = line.slope - quantile * line.stderr, line.slope + quantile * line.stderr
    assert answer.intervals == {"n": pytest.approx((low, high))}
    assert answer.predict({"n": 4096}) == pytest.approx(tuple(np.exp([centre, centre - spread, centre + spread])))
    assert answer.quality["R²"] == pytest.approx(line.rvalue**2)


def test_a_regression_that_fits_badly_confirms_nothing() -> None:
    scattered = seconds(N, "n**2") * np.array([[1], [4], [1], [4]])

    answer = rivals.power_law(N, scattered)

    assert answer.quality["R²"] < 0.99
    assert answer.exponents["n"] == pytest.approx(2 + 2 / 5)  # by hand, log2 of time is 2·log2 n + (0, 2, 0, 2)
    assert not answer.confirms("n**(12/5)")


# --------------------------------------------------------------------------------------------------- Google Benchmark


@pytest.mark.parametrize(
    ("law", "sizes", "picked"),
    [
        ("0.3", N, "1"),
        ("log2(n)", N, "log2(n)"),
        ("7*n", N, "n"),
        ("n*log2(n)", N, "n*log2(n)"),
        ("n**2", N, "n**2"),
        ("n**3", N, "n**3"),
        ("n**2*d", ND, "n**2*d"),
        ("n*d*log2(d)", ND, "n*d*log2(d)"),
        # A constant cost is part of no class, so it bends the choice.
        ("0.0001 + 0.000000001*n**2", N, "n*log2(n)"),
        ("0.00005 + 0.00000000001*n**2", N, "log2(n)"),
    ],
)
def test_googles_rule_names_pure_classes_and_is_led_astray_by_a_constant(
    law: str, sizes: pd.DataFrame, picked: str
) -> None:
    answer = rivals.google_benchmark(sizes, seconds(sizes, law))

    assert answer.leading == (picked,)
    assert answer.confirms(picked)
    assert answer.intervals == {}


def test_googles_coefficient_and_error_are_those_of_a_calculation_by_hand() -> None:
    """N at 2, 4, 8 for 2, 4, 9 s: 92/84 s a unit leaves -4/21, -8/21 and 5/21, and the mean time is 5 s."""
    answer = rivals.google_benchmark(grid(n=[2, 4, 8]), np.array([[2.0], [4.0], [9.0]]))

    assert answer.coefficients == {"n": pytest.approx(23 / 21)}
    assert answer.quality == {"RMS along n": pytest.approx(math.sqrt(5 / 63) / 5)}
    assert answer.says == "n: N, RMS 6%"
    assert answer.predict({"n": 21}) == (pytest.approx(23), *NO_INTERVAL)


# -------------------------------------------------------------------------------------------------------------- big_O


def said(text: str, *coefficients: float) -> Callable[..., tuple[str, tuple[float, ...]]]:
    return lambda _sizes, _times: (text, coefficients)


@pytest.mark.parametrize(
    ("text", "coefficients", "leading"),
    [
        ("Constant: time = 1.3E-05 (sec)", (1.3e-5,), "1"),
        ("Logarithmic: time = -3.5E-06 + 1.7E-06*log(n) (sec)", (-3.5e-6, 1.7e-6), "log2(n)"),
        ("Linear: time = -0.00015 + 1.2E-06*n (sec)", (-0.00015, 1.2e-6), "n"),
        ("Linearithmic: time = -0.1 + 0.0008*n*log(n) (sec)", (-0.1, 0.0008), "n*log2(n)"),
        ("Quadratic: time = 0.0027 + 1.1E-08*n^2 (sec)", (0.0027, 1.1e-8), "n**2"),
        ("Cubic: time = -1E-05 + 1.2E-12*n^3 (sec)", (-1e-5, 1.2e-12), "n**3"),
        ("Polynomial: time = 1.4E-05 * x^1.3 (sec)", (1.4e-5, 1.2751), "n**(1.275)"),
    ],
)
def test_a_class_of_big_o_becomes_a_growth(text: str, coefficients: tuple[float, ...], leading: str) -> None:
    answer = read_big_o(N, seconds(N, "n**2"), said(text, *coefficients))

    assert answer.leading == (leading,)
    assert answer.says == f"n: {text}"
    assert answer.confirms("n**(5/4)") == (leading == "n**(1.275)")
    assert answer.confirms("n**2") == (leading == "n**2")


def test_an_exponential_is_no_growth_that_a_claim_could_name() -> None:
    answer = read_big_o(N, seconds(N, "n**2"), said("Exponential: time = 0.0012 * 1^n (sec)", 0.0012, 1.003))

    assert (answer.leading, answer.exponents, answer.predict({"n": 5})) == ((), {}, None)
    assert not answer.confirms("1")


def test_big_o_sees_one_axis_at_a_time_and_its_classes_are_multiplied() -> None:
    shown = []

    def infer(size: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[str, tuple[float, ...]]:
        shown.append((size.tolist(), times.tolist()))
        return ("Quadratic: " if len(size) == 6 else "Linear: "), (0.0, 1.0)

    answer = read_big_o(ND, seconds(ND, "5 + 2*n**2*d"), infer)

    lengths, widths = powers_of_two(128, 4096), powers_of_two(64, 512)
    assert shown == [
        (lengths, [5 + 2 * n**2 * 256 for n in lengths]),
        (widths, [5 + 2 * 1024**2 * d for d in widths]),
    ]
    assert answer.leading == ("n**2*d",)
    assert answer.exponents == {"n": 2, "d": 1}
    assert answer.coefficients == pytest.approx({"1": 5, "n**2*d": 2}, rel=1e-3)
    assert answer.predict({"n": 8192, "d": 512}) == (pytest.approx(5 + 2 * 8192**2 * 512), *NO_INTERVAL)


def test_a_free_power_is_fitted_in_logarithms_and_without_a_constant() -> None:
    times = seconds(N, "3*n**2") * np.array([[1], [2], [2], [1]])

    answer = read_big_o(N, times, said("Polynomial: time = 4.2 * x^2 (sec)", 4.2, 2.0))

    assert answer.coefficients == {"n**2": pytest.approx(3 * math.exp(fmean(np.log([1, 2, 2, 1]))))}


# ------------------------------------------------------------------------------------------------------------ Extra-P

#: What Extra-P 4.2.5 prints for (4n²d + 8nd²)·1e-11 s, without noise, over n and d from 64 to 1024.
SEEN = "0.0004335068002041301 + 2.4448988652292157e-08 * d^(5/3) + 1.181918533060225e-10 * n^(4/3) * d^(5/3)"
SEEN_QUALITY = {"adjusted R²": 0.9983523781198212, "SMAPE in %": 44.876404850599656}


def test_a_model_of_extra_p_is_read_with_all_its_terms() -> None:
    answer = read_extra_p(SEEN, ("n", "d"), SEEN_QUALITY)

    assert answer.leading == ("n**(4/3)*d**(5/3)",)
    assert answer.exponents == pytest.approx({"n": 4 / 3, "d": 5 / 3})
    assert answer.coefficients == {
        "1": 0.0004335068002041301,
        "d**(5/3)": 2.4448988652292157e-08,
        "n**(4/3)*d**(5/3)": 1.181918533060225e-10,
    }
    assert answer.says == f"{SEEN}, adjusted R² 0.9984, SMAPE in % 44.88"
    assert not answer.confirms("4*n**2*d + 8*n*d**2")
    n, d = 2048, 512
    expected = 0.0004335068002041301 + 2.4448988652292157e-08 * d ** (5 / 3)
    expected += 1.181918533060225e-10 * n ** (4 / 3) * d ** (5 / 3)
    assert answer.predict({"n": n, "d": d}) == (pytest.approx(expected), *NO_INTERVAL)


@pytest.mark.parametrize(
    ("text", "leading", "logs"),
    [
        ("0.0123", ["1"], {"n": 0, "d": 0}),
        ("n^(2)", ["n**2"], {"n": 0, "d": 0}),
        ("-1e-06 + -4.2e-11 * n^(2) + 4.8e-12 * n^(2) * d^(3/4) * log2(d)^(1)", None, {"n": 0, "d": 1}),
        ("1.5 + 2e-05 * n^(3/2) * log2(n)^(2) + 3e-05 * d^(2)", ["n**(3/2)*log2(n)**2", "d**2"], {"n": 2, "d": 0}),
        ("0.2 * log2(n)^(1)", ["log2(n)"], {"n": 1, "d": 0}),
    ],
)
def test_constants_logarithms_and_sums_of_extra_p_are_understood(
    text: str, leading: list[str] | None, logs: dict[str, float]
) -> None:
    answer = read_extra_p(text, ("n", "d"), {})

    assert list(answer.leading) == (leading or ["n**2*d**(3/4)*log2(d)"])
    assert answer.logs == logs
    assert all(answer.confirms(" + ".join(order)) for order in itertools.permutations(answer.leading))


# ------------------------------------------------------------------------------------------------------- all together


@pytest.mark.parametrize(
    ("claim", "confirmed"),
    [
        ("n**2*d", True),
        ("4*n**2*d + 3*n + 7", True),
        ("n**2*d*h", True),  # h was not varied
        ("n**2", False),
        ("n**2*d*log2(n)", False),
        ("n**2*d + n*d**2", False),
        ("n*d**2", False),
        ("max(n**2*d, n)", False),
    ],
)
def test_an_answer_confirms_what_has_the_same_leading_terms(claim: str, confirmed: bool) -> None:
    assert read_extra_p("0.1 + 2e-10 * n^(2) * d^(1)", ("n", "d"), {}).confirms(claim) is confirmed
    assert rivals.power_law(ND, seconds(ND, "n**2*d")).confirms(claim) is confirmed
    assert rivals.google_benchmark(ND, seconds(ND, "n**2*d")).confirms(claim) is confirmed


@pytest.mark.parametrize(("power", "confirmed"), [("21/10", True), ("2", True), ("17/8", False)])
def test_exponents_are_the_same_once_rounded_to_a_tenth(power: str, confirmed: bool) -> None:
    times = seconds(N, "n**2") ** (float(Formula(power).evaluate({})) / 2 - 1e-4)

    assert rivals.power_law(N, times).confirms("n**2") is confirmed


def test_every_tool_is_shown_the_smallest_replicate_and_only_axes_that_vary() -> None:
    sizes = ND.assign(h=4)
    times = np.hstack([seconds(ND, "9*n**3"), seconds(ND, "n**2*d"), np.full((len(ND), 1), np.nan)])

    for answer in (rivals.power_law(sizes, times), rivals.google_benchmark(sizes, times)):
        assert answer.exponents == pytest.approx({"n": 2, "d": 1})


@pytest.mark.parametrize("ask", [rivals.power_law, rivals.google_benchmark])
def test_two_sizes_are_not_enough(ask: Callable[..., rivals.Answer]) -> None:
    two = grid(n=[128, 256])

    answer = ask(two, seconds(two, "n**2"))

    assert (answer.leading, answer.exponents, answer.predict({"n": 512})) == ((), {}, None)
    assert "few" in answer.says


def test_a_package_that_is_not_there_is_missing_and_the_plain_rules_never_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("big_o", "extrap"):
        monkeypatch.setitem(sys.modules, package, None)

    assert {name: rivals.missing(name) for name in rivals.RIVALS} == {
        "log-log regression": "",
        "Google Benchmark's rule": "",
        "big_O": "not installed",
        "big_O, rescaled": "not installed",
        "Extra-P": "not installed",
    }
