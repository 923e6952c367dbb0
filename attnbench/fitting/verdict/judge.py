"""The judgement: an equivalence test that can say no.

A claimed exponent is confirmed when two one-sided tests place it inside the band around the claim, and refuted when one
test places it outside. Anything between settles nothing. Where the claimed term does not carry the work, where a
constant cost does, or where the values hardly change, an exponent says nothing about the claim, however narrow its
interval: that is out of regime. Several claims judged together share one chance of error (Hochberg 1988).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from attnbench.law import LEADING_SHARE, MARGIN, Exponent, Verdict
from attnbench.units import percent, significant

#: Chance of a wrong answer that is accepted.
RISK = 0.05
#: An exponent is not read from a window in which the values change by less than this factor.
LEAST_RANGE = 10.0
#: A term of several is seen only where it carries this share of the values somewhere in the window.
VISIBLE_SHARE = 0.25
#: Where a constant cost carries more than this share of a typical value, the rest is read from its few largest ones.
LARGEST_OVERHEAD = 0.4


@dataclass(frozen=True)
class Words:
    """How a sentence about a metric puts it.

    Attributes:
        counted: what is counted.
        units: what is counted, one by one.
        witness: who measures.
        otherwise: what makes the measured values grow otherwise than the counted ones.
    """

    counted: str = "work"
    units: str = "operations"
    witness: str = "clock"
    otherwise: str = "the achieved rate drifts"


_OF_MEMORY = Words("bytes", "bytes", "allocator", "kernels take scratch that the count does not see")


def words_of(metric: str) -> Words:
    """How sentences about `metric` put it."""
    return _OF_MEMORY if metric == "memory" else Words()


@dataclass(frozen=True)
class Reading:
    """What the data say of one exponent.

    Attributes:
        exponent: the estimate and what is claimed.
        low, high: the band around the claim that counts as equal, as distances from it.
        outside: probability that the exponent lies outside the band, on its more likely side.
        inside: probability that an exponent this far out lies in the band after all; 1 for one within the band.
        rival: what a logarithm more would add here, where that is what bounds the band; else zero.
    """

    exponent: Exponent
    low: float
    high: float
    outside: float
    inside: float
    rival: float = 0.0


@dataclass(frozen=True)
class Regime:
    """Where the values were taken.

    Attributes:
        share: smallest share of the counted work that the claimed terms carry; None where it is unknown.
        span: largest value divided by the smallest.
        share_at: sizes where the share is smallest, as text.
        counted: whether the count itself says that the claimed terms carry the work. Then a time that grows otherwise
            speaks of the machine's efficiency in this window, and not against the claim.
        overhead: share of the constant in the middle value.
        terms: how many terms the claim has.
        against: the counted formula, where it is exact and lacks a claimed term; else empty.
        concave: why the values cannot be a sum of costs; empty when they can.
        words: how sentences put it.
    """

    share: float | None
    span: float
    share_at: str = ""
    counted: bool = False
    overhead: float = 0.0
    terms: int = 1
    against: str = ""
    concave: str = ""
    words: Words = Words()

    @property
    def objection(self) -> str:
        """Why nothing can be read here; empty when something can."""
        if self.share is not None and self.share < LEADING_SHARE:
            carries, read = ("term carries", "its exponent") if self.terms == 1 else ("terms carry", "them")
            return (
                f"the claimed {carries} only {percent(self.share)} of the counted {self.words.counted} at "
                f"{self.share_at}, "
                f"and {percent(LEADING_SHARE)} are needed to read {read}"
            )
        if self.span < LEAST_RANGE:
            return f"the values change only {significant(self.span)}-fold, and {LEAST_RANGE:.0f}-fold are needed"
        if self.overhead > LARGEST_OVERHEAD:
            return (
                f"a constant cost takes {percent(self.overhead)} of the middle value, "
                f"more than {percent(LARGEST_OVERHEAD)}: larger sizes are needed"
            )
        return self.concave


@dataclass(frozen=True)
class Terms:
    """What the data say of a claim of several terms.

    Attributes:
        shares: term → largest share of the values it carries.
        unseen: terms that cannot be told from zero.
        degree: what the terms leave over along all axes together, the same bend on each. How the terms divide the
            growth of one axis among them and what is left over there can hardly be told apart; along all axes together
            they can.
        weight: how much of the weight of all sums of terms lies on those of the claim.
    """

    shares: Mapping[str, float]
    unseen: tuple[str, ...]
    degree: Reading
    weight: float


@dataclass(frozen=True)
class Case:
    """Everything a verdict rests on.

    Attributes:
        subject: what grows: ``time``, or the name of another metric.
        regime: where the values were taken.
        tests: axis → what the data say of the claimed exponent, or of what the claimed terms leave over.
        confirm: chance of error when the claim is confirmed; corrected for the claims beside it.
        refute: chance of error when it is refuted, likewise.
        terms: what the data say of the terms, for a claim of several.
        beside: how many claims are judged together.
    """

    subject: str
    regime: Regime
    tests: Mapping[str, Reading]
    confirm: float
    refute: float
    terms: Terms | None = None
    beside: int = 1

    @classmethod
    def of(cls, subject: str, regime: Regime, tests: Mapping[str, Reading]) -> Case:
        """A claim of one term: every exponent has to lie inside its band; one outside refutes it."""
        confirm = max(test.outside for test in tests.values())
        refute = min(1.0, len(tests) * min(test.inside for test in tests.values()))
        return cls(subject, regime, tests, confirm, refute)

    @classmethod
    def of_terms(cls, subject: str, regime: Regime, tests: Mapping[str, Reading], terms: Terms) -> Case:
        """A claim of several terms: nothing is left over along any axis, or nothing in all and no other sum will do.

        Something left over along an axis refutes it, and so does something left over along all axes together.
        """
        alone = cls.of(subject, regime, tests)
        chosen = max(terms.degree.outside, 1 - terms.weight)
        refute = min(1.0, 2 * min(alone.refute, terms.degree.inside))
        return replace(alone, confirm=min(alone.confirm, chosen), refute=refute, terms=terms)


def together(cases: Sequence[Case]) -> list[Case]:
    """The same cases, their chances of error corrected for one another."""
    asked = [case for case in cases if not case.regime.objection]
    confirm = dict(zip(map(id, asked), hochberg([case.confirm for case in asked]), strict=True))
    refute = dict(zip(map(id, asked), hochberg([case.refute for case in asked]), strict=True))
    return [
        replace(case, confirm=confirm[id(case)], refute=refute[id(case)], beside=len(asked))
        if id(case) in confirm
        else case
        for case in cases
    ]


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


def judge(case: Case) -> tuple[Verdict, str]:
    """The verdict on a claim, and one sentence that a person can check."""
    if case.regime.objection:
        return Verdict.OUT_OF_REGIME, case.regime.objection
    if case.refute < RISK:
        return _against(case)
    if case.terms and case.terms.unseen:
        return Verdict.INCONCLUSIVE, f"{', '.join(case.terms.unseen)} cannot be told from zero here ({_shares(case)})"
    if case.confirm >= RISK:
        return Verdict.INCONCLUSIVE, _unsettled(case)
    if case.regime.against:
        return Verdict.INCONCLUSIVE, (
            f"the {case.regime.words.witness} agrees with the claim ({_said(case)}), but the count of "
            f"{case.regime.against} contradicts it: no counted {case.regime.words.units} grow that way"
        )
    if case.terms:
        return Verdict.CONFIRMED, f"every term is there ({_shares(case)}), and {_left_over(case)}"
    return Verdict.CONFIRMED, f"{_said(case)}: every exponent lies within {_margin(case)} of the claim"


def _against(case: Case) -> tuple[Verdict, str]:
    least = min(test.inside for test in case.tests.values())
    far = [axis for axis, test in case.tests.items() if test.inside <= max(least, RISK / len(case.tests))]
    if case.regime.counted:
        return Verdict.OUT_OF_REGIME, (
            f"{_said(case)}, but the counted {case.regime.words.units} do grow as claimed: "
            f"{case.regime.words.otherwise} along {', '.join(far)}, so this window does not show the law"
        )
    if case.terms and case.terms.degree.inside < least:
        left = _degree(case.terms)
        return (
            Verdict.REFUTED,
            f"the terms leave {left} along all axes together unexplained, beyond {MARGIN:g} ({_shares(case)})",
        )
    if case.terms:
        return Verdict.REFUTED, f"{_said(case)}, beyond {MARGIN:g} along {', '.join(far)}"
    claims = (f"{axis}^{significant(case.tests[axis].exponent.claimed or 0.0)}" for axis in far)
    return Verdict.REFUTED, f"{_said(case)}, further than {MARGIN:g} from the claimed {', '.join(claims)}"


def _unsettled(case: Case) -> str:
    """Why nothing is confirmed and nothing refuted."""
    open_ = [axis for axis, test in case.tests.items() if test.outside >= RISK]
    if not open_:
        return f"{_said(case)}, which would do for one claim, but {case.beside} are judged together"
    axis, test = max(case.tests.items(), key=lambda item: item[1].outside)
    words = case.regime.words
    if test.rival and test.exponent.estimate.low > (test.exponent.claimed or 0.0) - MARGIN:
        return (
            f"{_said(case)}, but a factor log {axis} would add only {test.rival:.2f} to the exponent at these sizes, "
            f"too little for {article(words.witness)} to tell the two apart: count the {words.units}"
        )
    return f"{_said(case)}: the interval of {', '.join(open_)} crosses the margin of {_margin(case)}"


def article(word: str) -> str:
    """``a clock``, ``an allocator``."""
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _said(case: Case) -> str:
    if case.terms:
        return f"the terms leave {_growth(case)} of the growth unexplained ({_shares(case)})"
    return f"{case.subject} grows as {_growth(case)}"


def _left_over(case: Case) -> str:
    """Which of the two ways confirmed a claim of several terms."""
    assert case.terms is not None  # noqa: S101  only asked of such a claim
    if all(test.outside < RISK for test in case.tests.values()):
        return f"they leave over only {_growth(case)}"
    return (
        f"they leave over only {_degree(case.terms)} along all axes together, "
        f"with {case.terms.weight:.1%} of the weight of all sums of terms on them"
    )


def _degree(terms: Terms) -> str:
    estimate = terms.degree.exponent.estimate
    return f"{round(estimate.value, 2) + 0.0:+.2f}±{estimate.half_width:.2f}"


def _margin(case: Case) -> str:
    return f"{max(test.high for test in case.tests.values()):.2g}"


def _shares(case: Case) -> str:
    carried = case.terms.shares.items() if case.terms else ()
    return "shares: " + ", ".join(f"{term} up to {percent(share)}" for term, share in carried)


def _growth(case: Case) -> str:
    return growth({axis: test.exponent for axis, test in case.tests.items()})


def growth(exponents: Mapping[str, Exponent]) -> str:
    """Powers with their intervals: ``n^1.99±0.03, d^1.02±0.04``."""
    estimates = {axis: exponent.estimate for axis, exponent in exponents.items()}
    return ", ".join(f"{axis}^{e.value:.2f}±{e.half_width:.2f}" for axis, e in estimates.items())
