"""Terms that nobody claimed: the class is found, logarithms and roots pay, and what is not there stays out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.model.selection import candidates, choose, leading
from attnbench.formula import Formula, Monomial
from tests.fitting.worlds import doubling, noisy

if TYPE_CHECKING:
    from attnbench.fitting.model.selection import Choice

N = {"n": doubling(64, 8)}
ND = {"n": doubling(64, 5), "d": doubling(32, 4)}
KND = {"k": (3, 5, 9, 17), "n": doubling(64, 4), "d": doubling(32, 4)}
BKND = {"b": (1, 4, 16), "k": (3, 5, 9), "n": doubling(64, 3), "d": doubling(32, 3)}


def named(choice: Choice | None) -> str:
    assert choice is not None
    return " + ".join(monomial.text for monomial in leading(choice.terms))


CLASSES = {
    "n": (N, "1e-6*n", "n"),
    "n+constant": (N, "2e-5 + 1e-6*n", "n"),
    "n²": (N, "1e-9*n**2", "n**2"),
    "n³": (N, "1e-12*n**3", "n**3"),
    "n^1.5": (N, "1e-8*n**(3/2)", "n**(3/2)"),
    "√n": (N, "1e-6*sqrt(n)", "n**(1/2)"),
    "n²d": (ND, "1e-9*n**2*d", "n**2*d"),
    "nd²+constant": (ND, "2e-4 + 1e-9*n*d**2", "n*d**2"),
    "n^1.5·d": (ND, "1e-8*n**(3/2)*d", "d*n**(3/2)"),
    "layer": (ND, "8e-9*n*d**2 + 4e-9*n**2*d", "n**2*d + n*d**2"),
    "n-beside-n²": (N, "1e-6*n + 2e-9*n**2", "n**2"),
    "knd²": (KND, "1e-9*k*n*d**2", "d**2*k*n"),
    "separable": (KND, "2e-8*k*n*d + 1e-9*n*d**2", "k*n*d + n*d**2"),
    "bknd": (BKND, "1e-9*b*k*n*d", "b*d*k*n"),
    "bn²d": (BKND, "1e-9*b*n**2*d", "b*n**2*d"),
    "1/n": (N, "5/n", "n**-1"),
    "d/n": (ND, "5*d/n", "d*n**-1"),
}


def same_law(found: str, expected: str) -> bool:
    return set(leading([t.monomial for t in Formula(found).terms])) == {t.monomial for t in Formula(expected).terms}


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize(("sizes", "truth", "expected"), CLASSES.values(), ids=CLASSES)
def test_the_class_is_found(sizes: dict[str, tuple[int, ...]], truth: str, expected: str, noise: float) -> None:
    worlds = 5 if noise else 1
    found = [choose(noisy(truth, sizes, noise, seed)) for seed in range(worlds)]

    right = [same_law(named(choice), expected) for choice in found]
    assert sum(right) >= worlds - 1
    assert max(choice.weight for choice in found if choice) > 0.9


# ------------------------------------------------------------------------------------------- what has to pay, or is out


@pytest.mark.parametrize(
    ("truth", "sizes"),
    [
        ("1e-5*n + 2e-2", {"n": doubling(512, 8)}),
        ("1e-6*n + 3e-9*n**2", N),
    ],
    ids=["n·log n-is-near", "n^1.5-is-near"],
)
def test_a_logarithm_or_a_root_that_noise_offers_is_not_taken(truth: str, sizes: dict[str, tuple[int, ...]]) -> None:
    """At 10 % noise they would be taken in every third world or more, if they cost nothing."""
    chosen = [choose(noisy(truth, sizes, 0.1, seed)) for seed in range(30)]
    plain = [c for c in chosen if c and all(not m.logs and p.denominator == 1 for m in c.terms for _, p in m.powers)]

    assert len(plain) >= 24


def test_a_logarithm_is_found_where_the_data_are_good_enough_to_pay_for_it() -> None:
    """2^6 to 2^13: n·log n differs from any sum of a constant, n and √n by more than the noise of one in a thousand."""
    choice = choose(noisy("1e-6*n*log2(n)", N, 1e-4, seed=1))

    assert choice is not None
    assert [monomial.text for monomial in choice.terms] == ["n*log2(n)"]
    # To a clock it is one law with n: the weight is on both together.
    assert leading(choice.terms) == (Monomial.of({"n": 1}),)


@pytest.mark.parametrize(
    "truth",
    ["4e-9*n**2*d - 2e-10*n*d**2", "4e-9*n**2*d - 1e-7*n*d"],
    ids=["the-other-term", "a-lower-term"],
)
def test_no_term_is_ever_subtracted(truth: str) -> None:
    """Formulas of costs are sums: what these data have less of must not come out as a term."""
    wide = {"n": doubling(256, 5), "d": doubling(16, 4)}
    choice = choose(noisy(truth, wide, 0.0, 0))

    assert choice is None or all(m.text not in {"n*d**2", "n*d"} for m in choice.terms)


def test_a_term_that_carries_next_to_nothing_is_none() -> None:
    """However exact the data: n carries 3 % of the smallest value here, and less of all others."""
    choice = choose(noisy("1e-9*n**2 + 2e-9*n", N, 0.0, 0))

    assert choice is not None
    assert [monomial.text for monomial in choice.terms] == ["n**2"]


def test_values_that_do_not_change_are_a_constant() -> None:
    choice = choose(noisy("1e-3", N, 0.02, 1))

    assert choice is not None
    assert choice.terms == ()
    assert choice.weight > 0.9


# ----------------------------------------------------------------------------------------------------------- candidates


def test_candidates_are_products_of_half_powers_and_those_with_one_logarithm() -> None:
    """Of one axis: powers 1/2 to 4 in halves, each with and without a logarithm."""
    found = {monomial.text for monomial in candidates(["n"])}

    expected = {Monomial.of({"n": Fraction(p, 2)}, {"n": log}).text for p in range(1, 9) for log in (0, 1)}
    assert found == expected


def test_along_an_axis_on_which_values_fall_powers_are_negative() -> None:
    for monomial in candidates(["n", "d"], falling=["n"]):
        assert monomial.exponent("n") <= 0
        assert monomial.exponent("d") >= 0


@pytest.mark.parametrize("axes", [["k", "n", "d"], ["b", "k", "n", "d"], ["b", "h", "k", "n", "d"]])
def test_of_many_axes_the_layers_of_the_literature_are_candidates(axes: list[str]) -> None:
    texts = {monomial.text for monomial in candidates(axes)}

    for claim in ("n**2*d", "n*d**2", "k*n*d", "k*n*d**2", "n**(3/2)*d"):
        assert Formula(claim).terms[0].monomial.text in texts
    assert len(texts) == len(candidates(axes))


def test_sizes_below_one_have_no_candidates_with_a_logarithm() -> None:
    sizes = pd.DataFrame({"n": [0.25, 0.5, 1, 2, 4, 8]})
    choice = choose(Observations(sizes, sizes["n"].to_numpy()[:, None] ** 2))

    assert named(choice) == "n**2"


def test_more_axes_than_five_are_too_many() -> None:
    rng = np.random.default_rng(0)
    sizes = pd.DataFrame({axis: rng.integers(1, 100, 40) for axis in "abcdef"})

    assert choose(Observations(sizes, np.ones((40, 1)))) is None


def test_ten_thousand_configurations_are_no_problem() -> None:
    rng = np.random.default_rng(0)
    sizes = pd.DataFrame({"n": rng.integers(64, 65536, 10_000), "d": rng.integers(32, 4096, 10_000)})
    truth = 8e-9 * sizes["n"] * sizes["d"] ** 2.0 + 4e-9 * sizes["n"] ** 2.0 * sizes["d"]
    seconds = truth.to_numpy()[:, None] * np.exp(0.05 * rng.standard_normal((10_000, 1)))

    choice = choose(Observations(sizes, seconds))

    assert choice is not None
    assert {monomial.text for monomial in choice.terms} == {"n*d**2", "n**2*d"}
    assert choice.weight > 0.999


# ----------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(
    ("terms", "law"),
    [
        ("n**2 + n", "n**2"),
        ("n*log2(n)", "n"),
        ("n*log2(n) + n", "n"),
        ("n**2*d + n*d**2", "n*d**2 + n**2*d"),
        ("n**2*d + n*d", "n**2*d"),
    ],
)
def test_the_law_of_a_sum_is_its_leading_terms_without_logarithms(terms: str, law: str) -> None:
    assert set(leading([t.monomial for t in Formula(terms).terms])) == {t.monomial for t in Formula(law).terms}


def test_weights_of_all_laws_add_up_to_one_and_the_best_comes_first() -> None:
    choice = choose(noisy("8e-9*n*d**2 + 4e-9*n**2*d", ND, 0.1, 3))

    assert choice is not None
    weights = list(choice.laws.values())
    assert sum(weights) == pytest.approx(1)
    assert weights == sorted(weights, reverse=True)
    assert choice.weight == weights[0]
    assert choice.weight_of([Monomial.of({"z": 1})]) == 0
