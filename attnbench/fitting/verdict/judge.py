"""The judgement: an equivalence test that can say no.

A claimed exponent is confirmed when two one-sided tests place it inside the band around the claim, and refuted when one
test places it outside. Anything between settles nothing. Where the claimed term does not carry the work, where a
constant cost does, or where the values hardly change, an exponent says nothing about the claim, however narrow its
interval: that is out of regime. Several claims judged together share one chance of error (Hochberg 1988).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from attnbench.fitting.verdict.evidence import Evidence, Terms
from attnbench.law import MARGIN, Exponent, Verdict
from attnbench.units import percent, significant

#: Chance of a wrong answer that is accepted.
RISK = 0.05
#: A term of several is seen only where it carries this share of the values somewhere in the window.
VISIBLE_SHARE = 0.25


def adjust_for_multiple_claims(claims: Sequence[Evidence]) -> list[Evidence]:
    """The evidence of each claim, its chances of error adjusted for the others that something can be said of."""
    open_ = [number for number, evidence in enumerate(claims) if not evidence.regime.objection]
    confirm, refute = ([getattr(claims[number], name) for number in open_] for name in ("confirm", "refute"))
    adjusted = list(claims)
    for number, *chances in zip(open_, hochberg(confirm), hochberg(refute), strict=True):
        adjusted[number] = replace(claims[number], confirm=chances[0], refute=chances[1], beside=len(open_))
    return adjusted


def hochberg(chances: Sequence[float]) -> list[float]:
    """Chances of error of several answers, so adjusted that the chance of any error stays what each one says.

    This holds for answers that do not depend on each other, as those of layers do that were visited apart.
    """
    adjusted = [0.0] * len(chances)
    smallest = 1.0
    for rank, number in enumerate(sorted(range(len(chances)), key=lambda i: -chances[i]), start=1):
        smallest = min(smallest, rank * chances[number])
        adjusted[number] = smallest
    return adjusted


def judge(evidence: Evidence) -> tuple[Verdict, str]:
    """The verdict on a claim, and one sentence that a person can check."""
    if evidence.regime.objection:
        return Verdict.OUT_OF_REGIME, evidence.regime.objection
    if evidence.refute < RISK:
        return _against(evidence)
    if evidence.terms and evidence.terms.unseen:
        return (
            Verdict.INCONCLUSIVE,
            f"{', '.join(evidence.terms.unseen)} cannot be told from zero here ({_shares(evidence)})",
        )
    if evidence.confirm >= RISK:
        return Verdict.INCONCLUSIVE, _unsettled(evidence)
    if evidence.regime.against:
        return Verdict.INCONCLUSIVE, (
            f"the {evidence.regime.words.witness} agrees with the claim ({_said(evidence)}), but the count of "
            f"{evidence.regime.against} contradicts it: no counted {evidence.regime.words.units} grow that way"
        )
    if evidence.terms:
        return Verdict.CONFIRMED, f"every term is there ({_shares(evidence)}), and {_left_over(evidence)}"
    return Verdict.CONFIRMED, f"{_said(evidence)}: every exponent lies within {_margin(evidence)} of the claim"


def _against(evidence: Evidence) -> tuple[Verdict, str]:
    least = min(test.inside for test in evidence.tests.values())
    far = [axis for axis, test in evidence.tests.items() if test.inside <= max(least, RISK / len(evidence.tests))]
    if evidence.regime.counted:
        return Verdict.OUT_OF_REGIME, (
            f"{_said(evidence)}, but the counted {evidence.regime.words.units} do grow as claimed: "
            f"{evidence.regime.words.otherwise} along {', '.join(far)}, so this window does not show the law"
        )
    if evidence.terms and evidence.terms.degree.inside < least:
        left = _degree(evidence.terms)
        return (
            Verdict.REFUTED,
            f"the terms leave {left} along all axes together unexplained, beyond {MARGIN:g} ({_shares(evidence)})",
        )
    if evidence.terms:
        return Verdict.REFUTED, f"{_said(evidence)}, beyond {MARGIN:g} along {', '.join(far)}"
    claims = (f"{axis}^{significant(evidence.tests[axis].exponent.claimed or 0.0)}" for axis in far)
    return Verdict.REFUTED, f"{_said(evidence)}, further than {MARGIN:g} from the claimed {', '.join(claims)}"


def _unsettled(evidence: Evidence) -> str:
    """Why nothing is confirmed and nothing refuted."""
    open_ = [axis for axis, test in evidence.tests.items() if test.outside >= RISK]
    if not open_:
        return f"{_said(evidence)}, which would do for one claim, but {evidence.beside} are judged together"
    axis, test = max(evidence.tests.items(), key=lambda item: item[1].outside)
    words = evidence.regime.words
    if test.rival and test.exponent.estimate.low > (test.exponent.claimed or 0.0) - MARGIN:
        return (
            f"{_said(evidence)}, but a factor log {axis} would add only {test.rival:.2f} to the exponent at these "
            f"sizes, too little for {article(words.witness)} to tell the two apart: count the {words.units}"
        )
    return f"{_said(evidence)}: the interval of {', '.join(open_)} crosses the margin of {_margin(evidence)}"


def article(word: str) -> str:
    """``a clock``, ``an allocator``."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _said(evidence: Evidence) -> str:
    if evidence.terms:
        return f"the terms leave {_growth(evidence)} of the growth unexplained ({_shares(evidence)})"
    return f"{evidence.subject} grows as {_growth(evidence)}"


def _left_over(evidence: Evidence) -> str:
    """Which of the two ways confirmed a claim of several terms."""
    assert evidence.terms is not None  # noqa: S101  only asked of such a claim
    if all(test.outside < RISK for test in evidence.tests.values()):
        return f"they leave over only {_growth(evidence)}"
    return (
        f"they leave over only {_degree(evidence.terms)} along all axes together, "
        f"with {evidence.terms.weight:.1%} of the weight of all sums of terms on them"
    )


def _degree(terms: Terms) -> str:
    estimate = terms.degree.exponent.estimate
    return f"{round(estimate.value, 2) + 0.0:+.2f}±{estimate.half_width:.2f}"


def _margin(evidence: Evidence) -> str:
    return f"{max(test.high for test in evidence.tests.values()):.2g}"


def _shares(evidence: Evidence) -> str:
    carried = evidence.terms.shares.items() if evidence.terms else ()
    return "shares: " + ", ".join(f"{term} up to {percent(share)}" for term, share in carried)


def _growth(evidence: Evidence) -> str:
    return growth({axis: test.exponent for axis, test in evidence.tests.items()})


def growth(exponents: Mapping[str, Exponent]) -> str:
    """Powers with their intervals: ``n^1.99±0.03, d^1.02±0.04``."""
    estimates = {axis: exponent.estimate for axis, exponent in exponents.items()}
    return ", ".join(f"{axis}^{e.value:.2f}±{e.half_width:.2f}" for axis, e in estimates.items())
