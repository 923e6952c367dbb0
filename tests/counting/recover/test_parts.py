"""Formulas of sums whose parts are made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from attnbench.counting.recover import Domain, Parts, recover_parts
from attnbench.formula import Formula
from attnbench.trial import Sizes

GENERIC = {"b": 2, "n": 77, "d": 60, "h": 6, "g": 3}


def everywhere(
    axes: str = "b n d", allowed: Callable[[Sizes], bool] = lambda sizes: True, *, large: bool = True
) -> Domain:
    return Domain(tuple(axes.split()), allowed, large=large, constraints=allowed)


@pytest.mark.parametrize(
    "parts",
    [
        ("2*b*n*d**2",),
        ("2*b*n*d**2", "4*b*n**2*d", "2*b*n*d**2"),
        ("b*n*d", "7", "0"),
        ("b*(n + 3)*d", "2*b*n*d"),
        ("b*n*(n + 1)/2 * d",),
        ("(n + 2)*(d + 5)*b", "3*n"),
    ],
)
def test_the_sum_is_the_sum_of_the_parts(parts: tuple[str, ...]) -> None:
    formulas = [Formula(text) for text in parts]

    found = recover_parts(lambda sizes: Parts.added(int(one.evaluate(sizes)) for one in formulas), everywhere())

    assert found.formula is not None
    assert found.formula.evaluate(GENERIC) == sum(one.evaluate(GENERIC) for one in formulas)
    assert len(found.proof) < 60


def test_shares_of_a_width_are_followed_under_their_constraints() -> None:
    """Queries of d, keys and values of g heads, each of d/h numbers, in one joined projection beside the rest."""
    fits = lambda sizes: sizes["d"] % (2 * sizes["h"]) == 0 and sizes["h"] % sizes["g"] == 0  # noqa: E731
    joined = Formula("2*b*n*d*(d + 2*d*g/h)")
    formulas = [joined, Formula("4*b*n**2*d"), Formula("b*h*n**2")]

    found = recover_parts(
        lambda sizes: Parts.added(int(one.evaluate(sizes)) for one in formulas), everywhere("b n d h g", fits)
    )

    assert found.formula is not None
    assert found.formula.evaluate(GENERIC) == sum(one.evaluate(GENERIC) for one in formulas)


def test_of_several_moments_the_largest_is_the_count() -> None:
    def count(sizes: Sizes) -> Parts:
        b, n, d = sizes["b"], sizes["n"], sizes["d"]
        return Parts((4 * b * n * d, 4 * b * n**2, 4 * b * n * d, b), tuple(map(frozenset, ({0, 1}, {0, 2}, {3}))))

    found = recover_parts(count, everywhere())

    assert found.formula is not None
    assert set(str(found.formula).removeprefix("max(").removesuffix(")").split(", ")) == {
        "4*b*n**2 + 4*b*n*d",
        "8*b*n*d",
    }


def test_a_loop_over_positions_is_followed_along_the_length() -> None:
    """Step i of n does i·b·d of work: in all b·d·n·(n + 1)/2."""
    found = recover_parts(
        lambda sizes: Parts.added((i + 1) * sizes["b"] * sizes["d"] for i in range(sizes["n"])), everywhere(large=False)
    )

    assert found.formula is not None
    assert found.formula.evaluate(GENERIC) == 2 * 60 * 77 * 78 // 2


def test_logarithms_are_found_and_another_chain_that_is_the_heaviest_elsewhere_joins() -> None:
    def count(sizes: Sizes) -> Parts:
        weights = (1 + math.log2(sizes["n"]), 2 + math.log2(sizes["d"]), 3 * math.log2(sizes["n"] + 1), 1.0)
        chains = [frozenset({0, 1}), frozenset({2, 3})]
        return Parts(weights, (max(chains, key=lambda one: sum(weights[i] for i in one)),), only_largest=True)

    found = recover_parts(count, everywhere())

    assert found.formula is not None
    for n, d in ((2, 4096), (4096, 2), (33, 33)):
        sizes = {"b": 1, "n": n, "d": d}
        expected = max(3 + math.log2(n) + math.log2(d), 3 * math.log2(n + 1) + 1)
        assert float(found.formula.evaluate(sizes)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rounded", [lambda n: -(-n // 16) * 16, lambda n: 1 << (n - 1).bit_length(), math.isqrt])
def test_what_is_rounded_is_refuted_by_held_out_sizes_and_left_to_the_search_for_roundings(
    rounded: Callable[[int], int],
) -> None:
    found = recover_parts(lambda sizes: Parts.added([sizes["b"] * rounded(sizes["n"])]), everywhere())

    assert found.formula is None
    assert found.reason


def test_a_formula_that_nothing_is_left_to_prove_is_none() -> None:
    """Of sizes so few that all have a part in it."""
    few = [{"b": 3, "n": n, "d": d} for n in (12, 9, 16) for d in (24, 12, 48)]

    found = recover_parts(
        lambda sizes: Parts.added([sizes["n"] * sizes["d"]]), everywhere("b n d", few[:1].__contains__)
    )

    assert found.formula is None


def test_a_size_that_cannot_be_changed_is_said_and_not_sold_as_general() -> None:
    found = recover_parts(
        lambda sizes: Parts.added([sizes["n"] * sizes["w"]]), everywhere("b n w", lambda sizes: sizes["w"] == 2)
    )

    assert str(found.formula) == "2*n"
    assert found.reason.endswith(", for w = 2")
    assert found.held == ("w",)
