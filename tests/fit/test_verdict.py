"""Verdicts: every answer with its whole sentence, and the borders between them."""

from __future__ import annotations

import pytest

from attnbench.fit.verdict import Regime, growth, judge_exponents, judge_terms
from attnbench.law import Estimate, Exponent, Verdict


def exponent(value: float, half: float, claimed: float | None = 0.0) -> Exponent:
    return Exponent(Estimate(value, value - half, value + half), claimed)


def exponents(**axes: tuple[float, float, float | None]) -> dict[str, Exponent]:
    """Axis → (value, half width, claim)."""
    return {axis: exponent(*values) for axis, values in axes.items()}


CLOCK_ALONE = Regime(share=None, span=100.0)
COUNTED = Regime(share=1.0, span=100.0, share_at="n=64", counted=True)
TRUE = exponents(n=(1.99, 0.03, 2.0), d=(1.02, 0.04, 1.0))
SLOW_IN_D = exponents(n=(1.99, 0.03, 2.0), d=(0.8, 0.04, 1.0))


# ------------------------------------------------------------------------------------------------------------ one term

ONE_TERM = {
    "confirmed": (
        TRUE,
        COUNTED,
        Verdict.CONFIRMED,
        "time grows as n^1.99±0.03, d^1.02±0.04: every interval lies within 0.1 of the claim",
    ),
    "confirmed-without-a-count": (
        TRUE,
        CLOCK_ALONE,
        Verdict.CONFIRMED,
        "time grows as n^1.99±0.03, d^1.02±0.04: every interval lies within 0.1 of the claim",
    ),
    "refuted": (
        SLOW_IN_D,
        CLOCK_ALONE,
        Verdict.REFUTED,
        "time grows as n^1.99±0.03, d^0.80±0.04: the whole interval lies beyond 0.1 around d^1.00",
    ),
    "refuted-in-both": (
        exponents(n=(1.0, 0.03, 2.0), d=(2.0, 0.04, 1.0)),
        CLOCK_ALONE,
        Verdict.REFUTED,
        "time grows as n^1.00±0.03, d^2.00±0.04: the whole interval lies beyond 0.1 around n^2.00, d^1.00",
    ),
    "refuted-though-another-axis-is-loose": (
        exponents(n=(1.0, 0.03, 2.0), d=(1.0, 0.4, 1.0)),
        CLOCK_ALONE,
        Verdict.REFUTED,
        "time grows as n^1.00±0.03, d^1.00±0.40: the whole interval lies beyond 0.1 around n^2.00",
    ),
    "inconclusive": (
        exponents(n=(1.99, 0.03, 2.0), d=(1.05, 0.08, 1.0)),
        COUNTED,
        Verdict.INCONCLUSIVE,
        "time grows as n^1.99±0.03, d^1.05±0.08: the interval of d crosses the margin of 0.1",
    ),
    "drift": (
        SLOW_IN_D,
        COUNTED,
        Verdict.OUT_OF_REGIME,
        (
            "time grows as n^1.99±0.03, d^0.80±0.04 here, but the counted operations do grow as claimed: "
            "the achieved rate drifts along d, so this window does not show the law"
        ),
    ),
    "overhead": (
        SLOW_IN_D,
        Regime(None, 100.0, constant=0.4),
        Verdict.OUT_OF_REGIME,
        (
            "time grows as n^1.99±0.03, d^0.80±0.04 here, but a constant cost of up to 40.0 % of the time and the "
            "claimed term explain it better than any power does: larger sizes are needed"
        ),
    ),
    "small-share": (
        TRUE,
        Regime(0.6, 100.0, "n=64, d=512", counted=True),
        Verdict.OUT_OF_REGIME,
        (
            "the claimed term carries only 60.0 % of the counted work at n=64, d=512, "
            "and 90.0 % are needed to read its exponent"
        ),
    ),
    "small-range": (
        TRUE,
        Regime(1.0, 9.99, counted=True),
        Verdict.OUT_OF_REGIME,
        "the times change only 9.99-fold, and 10-fold are needed",
    ),
    "small-range-refutes-nothing": (
        SLOW_IN_D,
        Regime(None, 2.0),
        Verdict.OUT_OF_REGIME,
        "the times change only 2.00-fold, and 10-fold are needed",
    ),
}


@pytest.mark.parametrize(("found", "regime", "verdict", "reason"), ONE_TERM.values(), ids=ONE_TERM)
def test_a_claim_of_one_term_gets_a_verdict_and_a_sentence(
    found: dict[str, Exponent], regime: Regime, verdict: Verdict, reason: str
) -> None:
    assert judge_exponents(found, regime) == (verdict, reason)


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [
        (1.0, 0.0, Verdict.CONFIRMED),
        (1.0625, 0.0625, Verdict.INCONCLUSIVE),  # ends on the border of 0.125
        (1.1875, 0.0625, Verdict.INCONCLUSIVE),  # begins on it
        (1.25, 0.0625, Verdict.REFUTED),
        (0.75, 0.0625, Verdict.REFUTED),
        (0.9375, 0.0625, Verdict.INCONCLUSIVE),
        (1.0, 5.0, Verdict.INCONCLUSIVE),
    ],
)
def test_the_border_of_the_margin_belongs_to_neither_side(value: float, half: float, verdict: Verdict) -> None:
    assert judge_exponents(exponents(n=(value, half, 1.0)), CLOCK_ALONE, margin=0.125)[0] is verdict


def test_an_axis_that_the_claim_does_not_name_must_not_grow() -> None:
    assert judge_exponents(exponents(n=(0.0, 0.01, None)), CLOCK_ALONE)[0] is Verdict.CONFIRMED
    assert judge_exponents(exponents(n=(1.0, 0.01, None)), CLOCK_ALONE)[0] is Verdict.REFUTED


def test_a_margin_is_written_with_two_digits_at_most() -> None:
    _, reason = judge_exponents(exponents(n=(1.14, 0.01, 1.14)), CLOCK_ALONE, margin=0.0712345)

    assert reason == "time grows as n^1.14±0.01: every interval lies within 0.071 of the claim"


# -------------------------------------------------------------------------------------------------------- several terms

LOWS = {"nd²": 7e-9, "n²d": 3e-9}
SHARES = {"nd²": 0.9, "n²d": 0.8}
NOTHING_OVER = exponents(n=(0.01, 0.02, 0.0), d=(-0.02, 0.03, 0.0))
SOMETHING_OVER = exponents(n=(0.01, 0.02, 0.0), d=(-0.2, 0.03, 0.0))
CARRIED = "nd² up to 90.0 %, n²d up to 80.0 %"

SEVERAL_TERMS = {
    "confirmed": (
        LOWS,
        SHARES,
        NOTHING_OVER,
        COUNTED,
        Verdict.CONFIRMED,
        f"every term is there ({CARRIED}) and they leave over only n^0.01±0.02, d^-0.02±0.03",
    ),
    "refuted": (
        LOWS,
        SHARES,
        SOMETHING_OVER,
        CLOCK_ALONE,
        Verdict.REFUTED,
        f"the terms leave n^0.01±0.02, d^-0.20±0.03 of the growth unexplained, beyond 0.1 (shares: {CARRIED})",
    ),
    "drift": (
        LOWS,
        SHARES,
        SOMETHING_OVER,
        Regime(1.0, 100.0, counted=True, terms=2),
        Verdict.OUT_OF_REGIME,
        (
            f"the terms leave n^0.01±0.02, d^-0.20±0.03 of the growth unexplained (shares: {CARRIED}), but the counted "
            "operations do grow as claimed: the achieved rate drifts along d, so this window does not show the law"
        ),
    ),
    "a-term-without-weight": (
        {"nd²": 7e-9, "n²d": 0.0},
        SHARES,
        NOTHING_OVER,
        COUNTED,
        Verdict.INCONCLUSIVE,
        f"n²d cannot be told from zero here (shares: {CARRIED})",
    ),
    "a-term-out-of-sight": (
        LOWS,
        {"nd²": 0.99, "n²d": 0.2},
        NOTHING_OVER,
        COUNTED,
        Verdict.INCONCLUSIVE,
        "n²d cannot be told from zero here (shares: nd² up to 99.0 %, n²d up to 20.0 %)",
    ),
    "loose": (
        LOWS,
        SHARES,
        exponents(n=(0.05, 0.08, 0.0), d=(0.0, 0.01, 0.0)),
        COUNTED,
        Verdict.INCONCLUSIVE,
        f"the terms are there ({CARRIED}), but what they leave over, n^0.05±0.08, d^0.00±0.01, crosses 0.1",
    ),
    "small-share": (
        LOWS,
        SHARES,
        NOTHING_OVER,
        Regime(0.5, 100.0, "n=64", counted=True, terms=2),
        Verdict.OUT_OF_REGIME,
        "the claimed terms carry only 50.0 % of the counted work at n=64, and 90.0 % are needed to read them",
    ),
    "small-range": (
        LOWS,
        SHARES,
        NOTHING_OVER,
        Regime(1.0, 3.0, counted=True, terms=2),
        Verdict.OUT_OF_REGIME,
        "the times change only 3.00-fold, and 10-fold are needed",
    ),
}


@pytest.mark.parametrize(
    ("lows", "shares", "tilts", "regime", "verdict", "reason"), SEVERAL_TERMS.values(), ids=SEVERAL_TERMS
)
def test_a_claim_of_several_terms_gets_a_verdict_and_a_sentence(
    lows: dict[str, float],
    shares: dict[str, float],
    tilts: dict[str, Exponent],
    regime: Regime,
    verdict: Verdict,
    reason: str,
) -> None:
    assert judge_terms(lows, shares, tilts, regime) == (verdict, reason)


def test_growth_is_written_axis_by_axis() -> None:
    assert growth(TRUE) == "n^1.99±0.03, d^1.02±0.04"
