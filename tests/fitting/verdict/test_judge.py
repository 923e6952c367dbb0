"""The judgement: every branch with its whole sentence, and Hochberg's correction of several claims."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from attnbench.fitting.verdict.evidence import EquivalenceTest, Evidence, Regime, Terms
from attnbench.fitting.verdict.judge import adjust_for_multiple_claims, growth, hochberg, judge
from attnbench.law import Estimate, Exponent, Verdict

CLOCK_ALONE = Regime(share=None, span=100.0)
COUNTED = Regime(share=1.0, span=100.0, share_at="n=64", counted=True)


def reading(
    value: float, half: float, claimed: float, outside: float = 0.001, inside: float = 1.0, high: float = 0.1,
    rival: float = 0.0,
) -> EquivalenceTest:  # fmt: skip
    exponent = Exponent(Estimate(value, value - half, value + half), claimed)
    return EquivalenceTest(exponent, -high, high, outside, inside, rival)


N = reading(1.99, 0.03, 2.0)
D = reading(1.02, 0.04, 1.0)
D_LOOSE = reading(1.05, 0.08, 1.0, outside=0.2)
D_FAR = reading(0.8, 0.04, 1.0, outside=1.0, inside=0.001)
N_FAR = reading(1.0, 0.03, 2.0, outside=1.0, inside=1e-9)
N_RIVAL = reading(1.06, 0.05, 1.0, outside=0.3, high=0.07, rival=0.14)
GREW = "time grows as n^1.99±0.03, d^1.02±0.04"


def one_term(regime: Regime = CLOCK_ALONE, subject: str = "time", **tests: EquivalenceTest) -> Evidence:
    return Evidence.of(subject, regime, tests)


ONE_TERM = {
    "confirmed": (
        one_term(COUNTED, n=N, d=D),
        Verdict.CONFIRMED,
        f"{GREW}: every exponent lies within 0.1 of the claim",
    ),
    "confirmed-without-a-count": (
        one_term(n=N, d=D),
        Verdict.CONFIRMED,
        f"{GREW}: every exponent lies within 0.1 of the claim",
    ),
    "another-metric": (
        one_term(subject="peak_bytes", n=reading(1.0, 0.01, 1.0, high=0.0712)),
        Verdict.CONFIRMED,
        "peak_bytes grows as n^1.00±0.01: every exponent lies within 0.071 of the claim",
    ),
    "refuted": (
        one_term(n=N, d=D_FAR),
        Verdict.REFUTED,
        "time grows as n^1.99±0.03, d^0.80±0.04, further than 0.1 from the claimed d^1.00",
    ),
    "refuted-in-both": (
        one_term(n=N_FAR, d=D_FAR),
        Verdict.REFUTED,
        "time grows as n^1.00±0.03, d^0.80±0.04, further than 0.1 from the claimed n^2.00, d^1.00",
    ),
    "refuted-though-another-axis-is-loose": (
        one_term(n=N_FAR, d=D_LOOSE),
        Verdict.REFUTED,
        "time grows as n^1.00±0.03, d^1.05±0.08, further than 0.1 from the claimed n^2.00",
    ),
    "an-axis-that-the-claim-does-not-name": (
        one_term(n=N, b=reading(1.0, 0.02, 0.0, outside=1.0, inside=1e-6)),
        Verdict.REFUTED,
        "time grows as n^1.99±0.03, b^1.00±0.02, further than 0.1 from the claimed b^0",
    ),
    "inconclusive": (
        one_term(COUNTED, n=N, d=D_LOOSE),
        Verdict.INCONCLUSIVE,
        "time grows as n^1.99±0.03, d^1.05±0.08: the interval of d crosses the margin of 0.1",
    ),
    "far-but-not-far-enough": (
        one_term(n=N, d=reading(0.87, 0.04, 1.0, outside=0.9, inside=0.04)),  # two axes: 2 × 0.04 is no refutation
        Verdict.INCONCLUSIVE,
        "time grows as n^1.99±0.03, d^0.87±0.04: the interval of d crosses the margin of 0.1",
    ),
    "a-logarithm-is-a-rival": (
        one_term(n=N_RIVAL, d=D),
        Verdict.INCONCLUSIVE,
        (
            "time grows as n^1.06±0.05, d^1.02±0.04, but a factor log n would add only 0.14 to the exponent at these "
            "sizes, too little for a clock to tell the two apart: count the operations"
        ),
    ),
    "a-logarithm-is-no-rival-of-what-lies-below": (
        one_term(n=replace(N_RIVAL, exponent=Exponent(Estimate(0.9, 0.8, 1.0), 1.0)), d=D),
        Verdict.INCONCLUSIVE,
        "time grows as n^0.90±0.10, d^1.02±0.04: the interval of n crosses the margin of 0.1",
    ),
    "the-count-contradicts": (
        one_term(replace(CLOCK_ALONE, against="4*n**2*d"), n=N, d=D),
        Verdict.INCONCLUSIVE,
        (
            f"the clock agrees with the claim ({GREW}), but the count of 4*n**2*d contradicts it: "
            "no counted operations grow that way"
        ),
    ),
    "the-clock-and-the-count-contradict": (
        one_term(replace(CLOCK_ALONE, against="4*n**2*d"), n=N, d=D_FAR),
        Verdict.REFUTED,
        "time grows as n^1.99±0.03, d^0.80±0.04, further than 0.1 from the claimed d^1.00",
    ),
    "drift": (
        one_term(COUNTED, n=N, d=D_FAR),
        Verdict.OUT_OF_REGIME,
        (
            "time grows as n^1.99±0.03, d^0.80±0.04, but the counted operations do grow as claimed: "
            "the achieved rate drifts along d, so this window does not show the law"
        ),
    ),
    "small-share": (
        one_term(Regime(0.6, 100.0, "n=64, d=512", counted=True), n=N, d=D),
        Verdict.OUT_OF_REGIME,
        (
            "the claimed term carries only 60.0 % of the counted work at n=64, d=512, "
            "and 90.0 % are needed to read its exponent"
        ),
    ),
    "small-range": (
        one_term(Regime(1.0, 9.99, counted=True), n=N, d=D),
        Verdict.OUT_OF_REGIME,
        "the values change only 9.99-fold, and 10-fold are needed",
    ),
    "small-range-refutes-nothing": (
        one_term(Regime(None, 2.0), n=N, d=D_FAR),
        Verdict.OUT_OF_REGIME,
        "the values change only 2.00-fold, and 10-fold are needed",
    ),
    "overhead": (
        one_term(replace(COUNTED, overhead=0.5), n=N, d=D),
        Verdict.OUT_OF_REGIME,
        "a constant cost takes 50.0 % of the middle value, more than 40.0 %: larger sizes are needed",
    ),
    "concave": (
        one_term(replace(CLOCK_ALONE, concave="the exponent falls along n"), n=N, d=D),
        Verdict.OUT_OF_REGIME,
        "the exponent falls along n",
    ),
}


@pytest.mark.parametrize(("evidence", "verdict", "reason"), ONE_TERM.values(), ids=ONE_TERM)
def test_a_claim_of_one_term_gets_a_verdict_and_a_sentence(evidence: Evidence, verdict: Verdict, reason: str) -> None:
    assert judge(evidence) == (verdict, reason)


@pytest.mark.parametrize(
    ("outside", "inside", "verdict"),
    [
        (0.0, 1.0, Verdict.CONFIRMED),
        (0.0499, 1.0, Verdict.CONFIRMED),
        (0.05, 1.0, Verdict.INCONCLUSIVE),
        (0.9, 0.05, Verdict.INCONCLUSIVE),
        (0.9, 0.0499, Verdict.REFUTED),
    ],
)
def test_a_chance_of_error_of_five_percent_is_too_much(outside: float, inside: float, verdict: Verdict) -> None:
    assert judge(one_term(n=reading(1.0, 0.05, 1.0, outside, inside)))[0] is verdict


# -------------------------------------------------------------------------------------------------------- several terms

NOTHING_OVER = {"n": reading(0.01, 0.02, 0.0), "d": reading(-0.02, 0.03, 0.0)}
LOOSE_OVER = {"n": reading(0.05, 0.08, 0.0, outside=0.2), "d": reading(0.0, 0.01, 0.0)}
SOMETHING_OVER = {"n": reading(0.01, 0.02, 0.0), "d": reading(-0.2, 0.03, 0.0, outside=1.0, inside=1e-4)}
SHARES = "shares: nd² up to 90.0 %, n²d up to 80.0 %"
DEGREE = reading(0.01, 0.02, 0.0)


def two_terms(
    tests: dict[str, EquivalenceTest],
    regime: Regime = COUNTED,
    unseen: tuple[str, ...] = (),
    degree: EquivalenceTest = DEGREE,
    weight: float = 0.0,
) -> Evidence:
    return Evidence.of_terms("time", regime, tests, Terms({"nd²": 0.9, "n²d": 0.8}, unseen, degree, weight))


SEVERAL_TERMS = {
    "confirmed": (
        two_terms(NOTHING_OVER),
        Verdict.CONFIRMED,
        f"every term is there ({SHARES}), and they leave over only n^0.01±0.02, d^-0.02±0.03",
    ),
    "confirmed-by-the-degree": (
        two_terms(LOOSE_OVER, weight=0.982),
        Verdict.CONFIRMED,
        (
            f"every term is there ({SHARES}), and they leave over only +0.01±0.02 along all axes together, "
            "with 98.2% of the weight of all sums of terms on them"
        ),
    ),
    "degree-without-the-weight": (
        two_terms(LOOSE_OVER, weight=0.9),
        Verdict.INCONCLUSIVE,
        (
            f"the terms leave n^0.05±0.08, d^0.00±0.01 of the growth unexplained ({SHARES}): "
            "the interval of n crosses the margin of 0.1"
        ),
    ),
    "weight-without-the-degree": (
        two_terms(LOOSE_OVER, weight=1.0, degree=reading(0.08, 0.05, 0.0, outside=0.3)),
        Verdict.INCONCLUSIVE,
        (
            f"the terms leave n^0.05±0.08, d^0.00±0.01 of the growth unexplained ({SHARES}): "
            "the interval of n crosses the margin of 0.1"
        ),
    ),
    "refuted": (
        two_terms(SOMETHING_OVER, CLOCK_ALONE),
        Verdict.REFUTED,
        f"the terms leave n^0.01±0.02, d^-0.20±0.03 of the growth unexplained ({SHARES}), beyond 0.1 along d",
    ),
    "drift": (
        two_terms(SOMETHING_OVER),
        Verdict.OUT_OF_REGIME,
        (
            f"the terms leave n^0.01±0.02, d^-0.20±0.03 of the growth unexplained ({SHARES}), but the counted "
            "operations do grow as claimed: the achieved rate drifts along d, so this window does not show the law"
        ),
    ),
    "a-term-that-is-not-seen": (
        two_terms(NOTHING_OVER, unseen=("n²d",)),
        Verdict.INCONCLUSIVE,
        f"n²d cannot be told from zero here ({SHARES})",
    ),
    "the-count-contradicts": (
        two_terms(NOTHING_OVER, replace(CLOCK_ALONE, against="4*n**2*d")),
        Verdict.INCONCLUSIVE,
        (
            f"the clock agrees with the claim (the terms leave n^0.01±0.02, d^-0.02±0.03 of the growth unexplained "
            f"({SHARES})), but the count of 4*n**2*d contradicts it: no counted operations grow that way"
        ),
    ),
    "small-share": (
        two_terms(NOTHING_OVER, Regime(0.5, 100.0, "n=64", counted=True, terms=2)),
        Verdict.OUT_OF_REGIME,
        "the claimed terms carry only 50.0 % of the counted work at n=64, and 90.0 % are needed to read them",
    ),
}


@pytest.mark.parametrize(("evidence", "verdict", "reason"), SEVERAL_TERMS.values(), ids=SEVERAL_TERMS)
def test_a_claim_of_several_terms_gets_a_verdict_and_a_sentence(
    evidence: Evidence, verdict: Verdict, reason: str
) -> None:
    assert judge(evidence) == (verdict, reason)


def test_growth_is_written_axis_by_axis() -> None:
    assert growth({"n": N.exponent, "d": D.exponent}) == "n^1.99±0.03, d^1.02±0.04"


# ------------------------------------------------------------------------------------------------------- several claims


def test_hochberg_by_hand() -> None:
    """0.5 × 1, then 0.03 × 2, then 0.02 × 3 which is the same, then 0.01 × 4."""
    assert hochberg([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert hochberg([0.04, 0.045, 0.03]) == pytest.approx([0.045] * 3)  # Holm 1979 would make them 0.09
    assert hochberg([0.5, 0.6]) == [0.6, 0.6]
    assert hochberg([0.04]) == [0.04]
    assert hochberg([]) == []


def rejected(chances: list[float], level: float) -> list[bool]:
    """Hochberg's procedure as he defines it: step up to the largest chance that is small enough for its rank."""
    ascending = np.argsort(chances, kind="stable")
    small = [rank for rank, number in enumerate(ascending) if chances[number] <= level / (len(chances) - rank)]
    answers = np.zeros(len(chances), dtype=bool)
    answers[ascending[: max(small, default=-1) + 1]] = True
    return answers.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_hochberg_agrees_with_its_definition_at_every_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chances = (rng.random(int(rng.integers(1, 12))) ** 4).tolist()
    for level in (0.01, 0.05, 0.1, 0.3):
        assert [chance <= level for chance in hochberg(chances)] == rejected(chances, level)


def test_hochberg_keeps_the_chance_of_any_error() -> None:
    """Twenty true hypotheses, ten false ones beside them: some error in five of a hundred families at most."""
    rng, families, errors = np.random.default_rng(1), 2000, 0
    for _ in range(families):
        chances = np.concatenate([rng.random(20), 1e-5 * rng.random(10)])
        errors += min(hochberg(chances.tolist())[:20]) < 0.05

    assert errors / families < 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)


def test_a_claim_confirmed_alone_is_not_confirmed_beside_others() -> None:
    alone = one_term(n=reading(1.99, 0.05, 2.0, outside=0.03), d=D)
    others = [one_term(n=replace(N, outside=0.2), d=D), one_term(n=replace(N, outside=0.04), d=D)]

    assert judge(alone)[0] is Verdict.CONFIRMED
    verdicts = [judge(evidence) for evidence in adjust_for_multiple_claims([alone, *others])]
    assert verdicts[0] == (
        Verdict.INCONCLUSIVE,
        "time grows as n^1.99±0.05, d^1.02±0.04, which would do for one claim, but 3 are judged together",
    )
    assert [verdict for verdict, _ in verdicts] == [Verdict.INCONCLUSIVE] * 3


def test_a_claim_refuted_alone_is_not_refuted_beside_others() -> None:
    alone = one_term(n=reading(1.8, 0.05, 2.0, outside=1.0, inside=0.03))

    assert judge(alone)[0] is Verdict.REFUTED
    assert judge(adjust_for_multiple_claims([alone, one_term(n=N)])[0])[0] is Verdict.INCONCLUSIVE


def test_clear_cases_stay_clear_among_many() -> None:
    claims = [one_term(n=replace(N, outside=1e-6)), one_term(n=N_FAR)] * 10

    assert [judge(evidence)[0] for evidence in adjust_for_multiple_claims(claims)] == [
        Verdict.CONFIRMED,
        Verdict.REFUTED,
    ] * 10


def test_a_claim_that_cannot_be_read_here_costs_the_others_nothing() -> None:
    readable = one_term(n=reading(2.0, 0.05, 2.0, outside=0.04))
    unreadable = [one_term(Regime(None, 2.0), n=N) for _ in range(20)]

    found = adjust_for_multiple_claims([*unreadable[:10], readable, *unreadable[10:]])

    assert found[10] == readable
    assert found[:10] + found[11:] == unreadable


def test_the_order_of_claims_does_not_matter() -> None:
    claims = [one_term(n=replace(N, outside=chance)) for chance in (0.04, 0.01, 0.03)]
    usual = {evidence.tests["n"].outside: evidence.confirm for evidence in adjust_for_multiple_claims(claims)}

    for order in itertools.permutations(claims):
        assert {
            evidence.tests["n"].outside: evidence.confirm for evidence in adjust_for_multiple_claims(order)
        } == usual
