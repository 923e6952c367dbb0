"""What a claim and a count ask of measured values: which terms, in which regime."""

from __future__ import annotations

import pytest

from attnbench.law import Verdict
from tests.fitting.worlds import (
    CORE,
    LAYER_FLOPS,
    LAYER_SECONDS,
    SHORT,
    law_at,
    quiet,
)


def test_constants_and_sizes_that_were_not_swept_do_not_count() -> None:
    along_n = quiet("1e-9*n**2", sizes={"n": (64, 128, 256, 512)})

    assert law_at(along_n, "7*k*n**2*d", "4*n**2").verdict is Verdict.CONFIRMED
    assert law_at(along_n, "n**2*d + 3*n**2", "4*n**2").verdict is Verdict.CONFIRMED


def test_terms_that_grow_alike_do_not_lend_each_other_their_share() -> None:
    along_n = quiet("1e-9*n**2", sizes={"n": (64, 128, 256, 512)})
    law = law_at(along_n, "3*n**2 + n**2*d", "n**2 + 60*n")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == (
        "the claimed term carries only 51.6 % of the counted work at n=64, and 90.0 % are needed to read its exponent"
    )


@pytest.mark.parametrize("claim", ["n**2*d", "b*n**2*d"])
def test_a_claim_without_a_batch_speaks_of_each_sequence(claim: str) -> None:
    batches = quiet("1e-9*b*n**2*d", sizes={"b": (1, 4, 16), "n": (64, 128, 256), "d": (16, 32, 64)})

    law = law_at(batches, claim)

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents["b"].claimed == 1.0


def test_a_count_that_is_a_lower_bound_does_not_speak_for_the_claim() -> None:
    quadratic = quiet("1e-9*n**2*d")

    assert law_at(quadratic, "n*d", "4*n*d").verdict is Verdict.OUT_OF_REGIME
    law = law_at(quadratic, "n*d", "4*n*d", uncounted=("aten.sort.default",))
    assert law.verdict is Verdict.REFUTED
    assert law.uncounted == ("aten.sort.default",)
    assert law.lower_bound


def test_an_objection_names_the_sizes_where_the_share_is_smallest() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes=SHORT), CORE, LAYER_FLOPS)

    assert law.reason == (
        "the claimed term carries only 5.9 % of the counted work at n=64, d=512, and 90.0 % are needed to read its "
        "exponent"
    )
