"""What is said of values that nobody claims anything of."""

from __future__ import annotations

import pytest

from attnbench.fitting.time_law import law_of
from attnbench.formula import Formula
from attnbench.law import Verdict
from tests.fitting.worlds import (
    ALONG_N,
    CORE_FLOPS,
    LAYER_FLOPS,
    LAYER_SECONDS,
    WIDE,
    law_at,
    noisy,
    quiet,
)


def test_without_a_claim_the_growth_is_inferred() -> None:
    law = law_at(quiet("2e-9*n**2*d"), None)

    assert law.verdict is Verdict.INFERRED
    assert law.reason == (
        "the values grow as n**2*d: 100% of the weight of all sums of terms is on it; "
        "a factor of a logarithm more cannot be told by a clock"
    )
    assert {axis: e.claimed for axis, e in law.exponents.items()} == {"n": None, "d": None}
    assert {term.term: term.coefficient.value for term in law.terms} == pytest.approx({"n**2*d": 2e-9})


def test_without_a_claim_a_sum_of_two_terms_is_inferred_and_has_no_exponents() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes=WIDE), None)

    assert law.verdict is Verdict.INFERRED
    assert law.exponents == {}
    assert {term.term: term.coefficient.value for term in law.terms} == pytest.approx({"n*d**2": 8e-9, "n**2*d": 4e-9})
    assert Formula(law.formula).evaluate({"n": 512, "d": 64}) == pytest.approx(
        8e-9 * 512 * 64**2 + 4e-9 * 512**2 * 64, rel=0.01
    )


def test_without_a_claim_what_does_not_change_is_a_constant() -> None:
    law = law_of(noisy("1e-3", ALONG_N, 0.02, 1), None)

    assert law.verdict is Verdict.INFERRED
    assert law.exponents == {}
    assert float(law.formula) == pytest.approx(1e-3, rel=0.02)
    assert law.reason.startswith("the values hardly change (1.0")


def test_without_a_claim_what_could_be_several_laws_is_none() -> None:
    law = law_of(noisy("1e-6*n", {"n": (64, 80, 100, 120, 140)}, 0.05, 1), None)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert "describes the values best (" in law.reason
    assert law.terms == ()


def test_without_a_claim_the_counted_terms_are_weighed() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes=WIDE), None, LAYER_FLOPS)

    assert law.verdict is Verdict.INFERRED
    assert law.reason == "terms of the count, weighed by the clock; there is no claim"
    assert {term.term for term in law.terms} == {"n*d**2", "n**2*d"}


def test_without_a_claim_the_counts_one_term_is_weighed_but_claims_nothing() -> None:
    law = law_at(quiet("2e-9*n**2*d"), None, CORE_FLOPS)

    assert law.verdict is Verdict.INFERRED
    assert [term.term for term in law.terms] == ["n**2*d"]
    assert law.exponents["n"].claimed is None
