"""Formulas from counts: exact where there is one, none where a single number disagrees."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnbench.counting.recover import Domain, Recovered, Values, recover
from attnbench.formula import Formula, Monomial, from_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from attnbench.trial import Sizes

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=40)


def anywhere(*axes: str, possible: Callable[[Sizes], bool] = lambda sizes: True) -> Domain:
    """All sizes of `axes` where a call is possible, long ones among them."""
    return Domain(axes, possible, large=True)


def counted(*texts: str) -> Callable[[Sizes], Values]:
    """A counter that follows formulas."""
    formulas = [Formula(text) for text in texts]
    return lambda sizes: tuple(int(formula.evaluate(sizes)) for formula in formulas)


def found(text: str, domain: Domain) -> Recovered:
    return recover(counted(text), domain)


# ---------------------------------------------------------------------------------------------------- polynomials

powers = st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
polynomials = st.dictionaries(powers, st.integers(1, 10**6), min_size=1, max_size=6)


@repeatable
@given(coefficients=polynomials)
def test_any_polynomial_with_whole_coefficients_is_recovered_exactly(
    coefficients: dict[tuple[int, int, int, int], int],
) -> None:
    axes = ("b", "n", "d", "m")
    terms = {Monomial.of(dict(zip(axes, power, strict=True))): c for power, c in coefficients.items()}
    formula = from_terms((c, monomial) for monomial, c in terms.items())

    recovered = found(formula.text, anywhere(*axes)).formula

    assert recovered is not None
    assert {term.monomial: term.coefficient for term in recovered.terms} == terms


@pytest.mark.parametrize(
    "text",
    ["0", "7", "n**3", "3*n**3*d**2 + 5", "n**3*d**3", "2*b*k*n*d**2", "8*b*n*d**2 + 4*b*n**2*d", "n*(n + 1)*d*h"],
)
def test_polynomials_of_degree_up_to_three_are_recovered(text: str) -> None:
    recovered = found(text, anywhere("b", "n", "d", "h", "k"))

    assert recovered.formula is not None
    assert recovered.formula.terms == Formula(text).terms


def test_halves_are_whole_counts_too() -> None:
    recovered = found("n*(n + 1)/2", anywhere("b", "n", "d"))

    assert recovered.formula == Formula("1/2*n**2 + 1/2*n")
    assert [term.coefficient for term in recovered.formula.terms] == [Fraction(1, 2)] * 2


def test_the_proof_holds_sizes_that_had_no_part_in_finding_the_formula() -> None:
    recovered = found("4*b*n**2*d", anywhere("b", "n", "d"))
    solved_at, held_out = recovered.proof[:-10], recovered.proof[-10:]

    assert recovered.reason == ("exact at 12 sizes and 10 held-out ones, odd and prime among them, n up to 1048576")
    assert len(solved_at) == 12
    assert len({tuple(sizes.items()) for sizes in recovered.proof}) == 22
    assert {sizes["n"] for sizes in held_out}.isdisjoint({sizes["n"] for sizes in solved_at})
    assert recovered.window == {"b": (1, 7), "n": (4, 2**20), "d": (12, 512)}


@pytest.mark.parametrize("more", ["hk", "lw", "rmc", ("window", "memory")], ids="".join)
def test_every_axis_is_held_out_at_sizes_of_its_own(more: Sequence[str]) -> None:
    axes = ("b", "n", "d", *more)
    recovered = found("*".join(axes), anywhere(*axes))

    assert recovered.formula is not None
    for axis in axes:
        solved_at = {sizes[axis] for sizes in recovered.proof[:-10]}
        assert {sizes[axis] for sizes in recovered.proof[-10:]} - solved_at, axis


def test_a_product_of_many_sizes_is_found_without_all_the_others() -> None:
    """Eleven axes have 2048 products, which take minutes to solve for."""
    axes = ("b", "n", "d", "h", "k", "l", "w", "r", "m", "c", "window")

    assert found("4*b*n*d*h*k*l*w*r*m*c*window", anywhere(*axes)).formula == Formula("4*b*h*k*l*w*r*m*c*n*d*window")


def test_without_long_calls_the_proof_stays_short() -> None:
    recovered = recover(counted("n*d"), Domain(("b", "n", "d"), lambda sizes: True, large=False))

    assert recovered.window["n"] == (4, 129)


# -------------------------------------------------------------------------------------------------- no polynomials

BROKEN: dict[str, Callable[[Sizes], float]] = {
    "rounded-n-log-n": lambda s: round(s["n"] * math.log2(s["n"])) * s["d"],
    "other-branch-beyond-50": lambda s: s["n"] ** 2 * s["d"] if s["n"] <= 50 else s["n"] * s["d"],
    "other-branch-beyond-50000": lambda s: s["n"] ** 2 * s["d"] if s["n"] <= 50_000 else s["n"] * s["d"],
    "fourth-degree": lambda s: s["n"] ** 4,
    "one-more-for-a-single-sequence": lambda s: s["b"] * s["n"] * s["d"] + (s["b"] == 1),
}


@pytest.mark.parametrize("count", BROKEN.values(), ids=BROKEN)
def test_one_number_that_disagrees_leaves_no_formula(count: Callable[[Sizes], float]) -> None:
    recovered = recover(lambda sizes: (int(count(sizes)),), anywhere("b", "n", "d", "m"))

    assert recovered.formula is None
    assert recovered.proof == ()
    assert recovered.window == {}
    assert recovered.reason.startswith("no polynomial of degree 3 or less in each size reproduces the counts")


def test_the_reason_names_the_size_that_disagrees() -> None:
    recovered = recover(lambda sizes: (sizes["n"] + (sizes["n"] > 2**19),), anywhere("n"))

    assert recovered.reason == (
        "no polynomial of degree 3 or less in each size reproduces the counts: "
        "at n=1048576 it would say 1048576, and 1048577 is true; "
        "of formulas with roots, logarithms, paddings or ceilings the closest is n: "
        "at n=1048576 it would say 1048576, and 1048577 is true"
    )


# ------------------------------------------------------------------------------------------------------ the largest


def test_the_largest_of_several_counts_is_a_maximum() -> None:
    recovered = recover(counted("8*n**2", "16*n*d", "n*d"), anywhere("b", "n", "d"))

    assert recovered.formula == Formula("max(16*n*d, 8*n**2)")


def test_counts_that_can_never_be_the_largest_are_left_out() -> None:
    recovered = recover(counted("n*d", "4*n**2 + n*d", "n**2", "4*n**2 + n*d"), anywhere("b", "n", "d"))

    assert recovered.formula == Formula("4*n**2 + n*d")


@pytest.mark.parametrize(
    ("counts", "formula"),
    [
        (("8*n + 4*d", "8*n*d + 4*d"), "8*n*d + 4*d"),  # smaller at every size, if not in every coefficient
        (("4*n*d + 4*n", "8*n*d", "n"), "8*n*d"),
        (("8*n", "4*n*d + 2"), "max(4*n*d + 2, 8*n)"),  # the larger one only at d = 1
    ],
)
def test_one_count_exceeds_another_if_it_does_so_at_all_sizes(counts: tuple[str, ...], formula: str) -> None:
    assert recover(counted(*counts), anywhere("b", "n", "d")).formula == Formula(formula)


def test_where_the_number_of_counts_varies_their_maximum_is_followed() -> None:
    recovered = recover(lambda sizes: tuple(step * sizes["d"] for step in range(1, sizes["n"] + 1)), short_domain())

    assert recovered.formula == Formula("n*d")


def short_domain() -> Domain:
    return Domain(("b", "n", "d"), lambda sizes: True, large=False)


# --------------------------------------------------------------------------------------------------------- domains

DOMAINS: dict[str, tuple[tuple[str, ...], Callable[[Sizes], bool], str]] = {
    "heads-divide": (("b", "n", "d", "h"), lambda s: s["d"] % s["h"] == 0, "4*b*h*n**2 + 8*b*n*d**2"),
    "odd-kernel": (("b", "n", "d", "k"), lambda s: s["k"] % 2 == 1, "2*b*k*n*d**2 + k*d"),
    "kernel-within": (("b", "n", "d", "k"), lambda s: s["k"] <= s["n"], "2*b*k*n*d**2"),
    "even-hidden": (("b", "n", "d"), lambda s: s["d"] % 2 == 0, "3*b*n*d**2 + n**2"),
    "blocks-divide": (("b", "n", "d", "c"), lambda s: s["n"] % s["c"] == 0, "4*b*n*c*d + n**2"),
    "multiples-of-16": (("b", "n", "d"), lambda s: s["n"] % 16 == 0, "4*b*n**2*d"),
    "powers-of-two": (("b", "n", "d"), lambda s: s["n"] & (s["n"] - 1) == 0, "4*b*n**2*d + d"),
    "window-within": (("b", "n", "d", "w"), lambda s: s["w"] < s["n"], "8*b*n*w*d + 4*b*n*d"),
    "odd-neighbourhood": (("b", "n", "d", "r"), lambda s: s["r"] % 2 == 1, "4*b*n*r*d"),
    "layers-and-blocks": (("b", "n", "d", "l", "c"), lambda s: s["n"] % s["c"] == 0, "4*b*l*n*c*d + l*d**2"),
}


@pytest.mark.parametrize(("axes", "possible", "text"), DOMAINS.values(), ids=DOMAINS)
def test_formulas_are_found_and_proved_where_calls_are_possible(
    axes: tuple[str, ...], possible: Callable[[Sizes], bool], text: str
) -> None:
    def count(sizes: Sizes) -> Values:
        assert possible(sizes), sizes
        return counted(text)(sizes)

    recovered = recover(count, anywhere(*axes, possible=possible))

    assert recovered.formula is not None
    assert recovered.formula.terms == Formula(text).terms
    assert len(recovered.proof) >= 14


def test_axes_that_are_held_back_keep_their_sizes() -> None:
    domain = Domain(("b", "n", "d", "h"), lambda s: True, large=True, only={"h": (1,), "b": (2, 3, 4, 5, 7)})

    recovered = recover(counted("b*n**2 + h*n*d"), domain)

    assert recovered.formula == Formula("b*n**2 + n*d")
    assert recovered.window["h"] == (1, 1)
    assert recovered.window["b"] == (2, 7)


def test_no_possible_size_is_a_reason_and_no_crash() -> None:
    nowhere = anywhere("b", "n", "d", possible=lambda sizes: sizes["n"] == 128)

    assert recover(counted("n"), nowhere) == Recovered(
        None, (), "the layer can be called at none of the sizes that formulas are solved for at"
    )
