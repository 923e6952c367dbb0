"""The judgement: an equivalence test that can say no.

A claimed exponent is confirmed when the whole interval lies within the margin around it (two one-sided tests), and
refuted when the whole interval lies beyond the margin. An interval across the border settles nothing. A window in
which the claimed term does not carry the work, or in which the work hardly changes, is out of regime: there the
exponent says nothing about the claim, however narrow its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnbench.law import LEADING_SHARE, MARGIN, Exponent, Verdict
from attnbench.units import percent, significant

#: An exponent is not read from a window in which the time changes by less than this factor.
LEAST_RANGE = 10.0
#: A term of several is seen only where it carries this share of the time somewhere in the window.
VISIBLE_SHARE = 0.25


@dataclass(frozen=True)
class Regime:
    """Where the times were taken.

    Attributes:
        share: smallest share of the counted work that the claimed term carries; None where it is unknown.
        span: largest time divided by smallest.
        share_at: sizes where the share is smallest, as text.
        counted: whether the count itself says that the claimed term carries the work. Then a time that grows otherwise
            speaks of the machine's efficiency in this window, and not against the claim.
        constant: largest share of the time that a constant cost takes, where such a cost and the claimed term explain
            the times better than any power law; else zero.
        terms: how many terms the claim has.
        against: the counted formula, where it is exact and lacks a claimed term; else empty.
    """

    share: float | None
    span: float
    share_at: str = ""
    counted: bool = False
    constant: float = 0.0
    terms: int = 1
    against: str = ""

    @property
    def objection(self) -> str:
        """Why nothing can be read here; empty when something can."""
        if self.share is not None and self.share < LEADING_SHARE:
            carries, read = ("term carries", "its exponent") if self.terms == 1 else ("terms carry", "them")
            return (
                f"the claimed {carries} only {percent(self.share)} of the counted work at {self.share_at}, "
                f"and {percent(LEADING_SHARE)} are needed to read {read}"
            )
        if self.span < LEAST_RANGE:
            return f"the times change only {significant(self.span)}-fold, and {LEAST_RANGE:.0f}-fold are needed"
        return ""


def judge_exponents(exponents: Mapping[str, Exponent], regime: Regime, margin: float = MARGIN) -> tuple[Verdict, str]:
    """Verdict on a claim of one term, and one sentence that a person can check."""
    if regime.objection:
        return Verdict.OUT_OF_REGIME, regime.objection
    bands = {axis: (e.claimed or 0.0) for axis, e in exponents.items()}
    said = growth(exponents)
    far = [axis for axis, e in exponents.items() if e.estimate.outside(bands[axis] - margin, bands[axis] + margin)]
    if far and regime.counted:
        return Verdict.OUT_OF_REGIME, (
            f"time grows as {said} here, but the counted operations do grow as claimed: "
            f"the achieved rate drifts along {', '.join(far)}, so this window does not show the law"
        )
    if far and regime.constant:
        return Verdict.OUT_OF_REGIME, (
            f"time grows as {said} here, but a constant cost of up to {percent(regime.constant)} of the time and the "
            "claimed term explain it better than any power does: larger sizes are needed"
        )
    if far:
        beyond = ", ".join(f"{axis}^{significant(bands[axis])}" for axis in far)
        return Verdict.REFUTED, f"time grows as {said}: the whole interval lies beyond {margin:.2g} around {beyond}"
    loose = [a for a, e in exponents.items() if not e.estimate.within(bands[a] - margin, bands[a] + margin)]
    if loose:
        return (
            Verdict.INCONCLUSIVE,
            f"time grows as {said}: the interval of {', '.join(loose)} crosses the margin of {margin:.2g}",
        )
    if regime.against:
        return Verdict.INCONCLUSIVE, (
            f"the clock agrees with the claim (time grows as {said}), but the count of {regime.against} contradicts "
            "it: no counted operations grow that way"
        )
    return Verdict.CONFIRMED, f"time grows as {said}: every interval lies within {margin:.2g} of the claim"


def judge_terms(
    lows: Mapping[str, float],
    shares: Mapping[str, float],
    tilts: Mapping[str, Exponent],
    regime: Regime,
    margin: float = MARGIN,
) -> tuple[Verdict, str]:
    """Verdict on a claim of several terms.

    Args:
        lows: term → lower end of its coefficient's interval.
        shares: term → largest share of the time it carries in the window.
        tilts: axis → what the terms leave over (claimed: zero).
        regime: where the times were taken.
        margin: half the width of the band around zero that counts as nothing left over.
    """
    if regime.objection:
        return Verdict.OUT_OF_REGIME, regime.objection
    carried = ", ".join(f"{term} up to {percent(share)}" for term, share in shares.items())
    said = growth(tilts)
    unseen = [term for term in shares if shares[term] < VISIBLE_SHARE or lows[term] <= 0]
    far = [axis for axis, e in tilts.items() if e.estimate.outside(-margin, margin)]
    if far and regime.counted:
        return Verdict.OUT_OF_REGIME, (
            f"the terms leave {said} of the growth unexplained (shares: {carried}), but the counted operations do grow "
            f"as claimed: the achieved rate drifts along {', '.join(far)}, so this window does not show the law"
        )
    if far:
        return Verdict.REFUTED, f"the terms leave {said} of the growth unexplained, beyond {margin} (shares: {carried})"
    if unseen:
        return Verdict.INCONCLUSIVE, f"{', '.join(unseen)} cannot be told from zero here (shares: {carried})"
    if not all(e.estimate.within(-margin, margin) for e in tilts.values()):
        over = f"what they leave over, {said}, crosses {margin}"
        return Verdict.INCONCLUSIVE, f"the terms are there ({carried}), but {over}"
    if regime.against:
        return Verdict.INCONCLUSIVE, (
            f"the clock agrees with the claim (shares: {carried}), but the count of {regime.against} contradicts it: "
            "it lacks a claimed term"
        )
    return Verdict.CONFIRMED, f"every term is there ({carried}) and they leave over only {said}"


def growth(exponents: Mapping[str, Exponent]) -> str:
    """Powers with their intervals: ``n^1.99±0.03, d^1.02±0.04``."""
    estimates = {axis: exponent.estimate for axis, exponent in exponents.items()}
    return ", ".join(f"{axis}^{e.value:.2f}±{e.half_width:.2f}" for axis, e in estimates.items())
