"""Growth classes."""

from __future__ import annotations

import pytest

from attnbench.formula import Formula
from attnbench.formula.growth import same_growth

AXES = ("b", "n", "d", "h", "k", "l", "w", "c")


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("1", "4"),
        ("n", "3*n + 3"),
        ("n", "n - 1"),
        ("l", "2*l"),
        ("n/k", "ceil(2*(n - 1)/(k - 1))"),
        ("n/k", "ceil((n - 1)/(k - 1))"),
        ("n/w", "ceil((n - 1)/w)"),
        ("n/(2*w + 1)", "ceil((n - 1)/w)"),
        ("log(n, k)", "ceil(log(n, k))"),
        ("log(n, k)", "ceil(log(2*n - 1, k))"),
        ("log2(n/k)", "ceil(log2((n - 1)/(k - 1) + 1))"),
        ("n*d**2 + n**2*d", "8*n*d**2 + 4*n**2*d"),
        ("n*d**2 + n**2*d", "8*n*d**2 + 4*n**2*d + 100*n*d + 7"),
        ("b*n*w*d", "4*b*n*(2*w + 1)*d"),
        ("n*log2(n)", "5*n*log2(n) + n"),
        ("n", "2**ceil(log2(n))"),
        ("max(n, d)", "n + d"),
        ("inf", "inf"),
    ],
)
def test_constants_lower_orders_and_rounding_are_no_growth(claim: str, found: str) -> None:
    assert same_growth(Formula(claim), Formula(found), AXES)
    assert same_growth(Formula(found), Formula(claim), AXES)


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("1", "log2(n)"),
        ("1", "n"),
        ("n", "n*log2(n)"),
        ("n", "n*sqrt(n)"),
        ("n*d**2", "8*n*d**2 + 4*n**2*d"),
        ("n**2*d", "8*n*d**2 + 4*n**2*d"),
        ("n/k", "ceil(log(n, k))"),
        ("log(n, k)", "ceil(log2(n))"),
        ("n", "ceil((n - 1)/w)"),
        ("n*d", "n*d*h"),
        ("n", "inf"),
        ("1", "0"),
    ],
)
def test_a_power_or_a_logarithm_too_many_is_another_class(claim: str, found: str) -> None:
    assert not same_growth(Formula(claim), Formula(found), AXES)
    assert not same_growth(Formula(found), Formula(claim), AXES)
