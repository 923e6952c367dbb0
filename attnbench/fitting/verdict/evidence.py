"""What a verdict rests on: where the values were taken, and what the data say of each exponent and of each term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from attnbench.law import LEADING_SHARE, Exponent
from attnbench.units import percent, significant

#: An exponent is not read from a window in which the values change by less than this factor.
MIN_RANGE = 10.0
#: Where a constant cost carries more than this share of a typical value, the rest is read from its few largest ones.
MAX_OVERHEAD = 0.4


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
class EquivalenceTest:
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
        if self.span < MIN_RANGE:
            return f"the values change only {significant(self.span)}-fold, and {MIN_RANGE:.0f}-fold are needed"
        if self.overhead > MAX_OVERHEAD:
            return (
                f"a constant cost takes {percent(self.overhead)} of the middle value, "
                f"more than {percent(MAX_OVERHEAD)}: larger sizes are needed"
            )
        return self.concave


@dataclass(frozen=True)
class Terms:
    """What the data say of a claim of several terms.

    Attributes:
        shares: term → largest share of the values it carries.
        unseen: terms that cannot be told from zero.
        degree: what the terms leave over along all axes together, the same exponent on each. How the terms divide the
            growth of one axis among them and what is left over there can hardly be told apart; along all axes together
            they can.
        weight: how much of the weight of all sums of terms lies on those of the claim.
    """

    shares: Mapping[str, float]
    unseen: tuple[str, ...]
    degree: EquivalenceTest
    weight: float


@dataclass(frozen=True)
class Evidence:
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
    tests: Mapping[str, EquivalenceTest]
    confirm: float
    refute: float
    terms: Terms | None = None
    beside: int = 1

    @classmethod
    def of(cls, subject: str, regime: Regime, tests: Mapping[str, EquivalenceTest]) -> Evidence:
        """A claim of one term: every exponent has to lie inside its band; one outside refutes it."""
        confirm = max(test.outside for test in tests.values())
        refute = min(1.0, len(tests) * min(test.inside for test in tests.values()))
        return cls(subject, regime, tests, confirm, refute)

    @classmethod
    def of_terms(cls, subject: str, regime: Regime, tests: Mapping[str, EquivalenceTest], terms: Terms) -> Evidence:
        """A claim of several terms: nothing is left over along any axis, or nothing in all and no other sum will do.

        Something left over along an axis refutes it, and so does something left over along all axes together.
        """
        alone = cls.of(subject, regime, tests)
        chosen = max(terms.degree.outside, 1 - terms.weight)
        refute = min(1.0, 2 * min(alone.refute, terms.degree.inside))
        return replace(alone, confirm=min(alone.confirm, chosen), refute=refute, terms=terms)
