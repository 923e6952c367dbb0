"""What to measure next: the visits that narrow the deciding interval most per second, and none once all is settled.

A law is settled when its verdict is clear and was the same a round ago, or when the visits that may still follow could
hardly make it clear: repetition takes away the noise of visits, but neither lack of fit nor what windows and breaks
leave open. For any other law one combination of exponents decides, and linear propagation says how it hangs on the
visits of each configuration. It does so in two ways that matter alike: its own variance depends on what it reads most,
and the variance that its interval shows is that of all residuals. What a round does to everything it visits cancels
when it visits everything, and is noise when it does not; so where rounds differ much, whole rounds are the better buy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attnbench.fitting import distributions
from attnbench.fitting.model.curve import design_matrix
from attnbench.fitting.model.models import Models
from attnbench.fitting.model.observations import Observations
from attnbench.fitting.stake import Stake
from attnbench.fitting.verdict.evidence import MIN_RANGE, EquivalenceTest, Evidence
from attnbench.fitting.verdict.judge import RISK, VISIBLE_SHARE
from attnbench.fitting.verdict.unjudged import UnjudgedLaw
from attnbench.formula import Formula
from attnbench.law import MARGIN, Law, Verdict

#: A law is given up when further visits would make its verdict clear with less than this probability.
_MIN_CHANCE = 0.05
#: An observed variance is smaller than this quantile of what its true one would show.
_LIKELY = 0.99
#: Without a claim, visits go on while their noise is at least this share of the variance.
_MIN_NOISE = 0.5


@dataclass(frozen=True)
class Means:
    """What there is to spend.

    Attributes:
        seconds: trial id → clock of one visit.
        rounds: rounds that may still follow.
        fresh: whether the next one begins a process.
        least_seconds: a round shorter than this is not worth its process.
    """

    seconds: Mapping[str, float]
    rounds: int
    fresh: bool = True
    least_seconds: float = 0.0


@dataclass(frozen=True)
class Contest:
    """A law whose verdict may not stand yet.

    Attributes:
        observed: what it rests on.
        law: as it was judged.
        evidence: what its verdict rests on; None where it needs nothing more.
    """

    observed: Observations
    law: Law
    evidence: Evidence | None

    @cached_property
    def _models(self) -> Models:
        terms = self.law.curves.terms if self.law.curves else ()
        monomials = [Formula(term).terms[0].monomial for term in terms]
        slopes = self.observed.logs.sum(axis=1, keepdims=True) if self._by_degree else None
        return Models(self.observed, design_matrix(monomials, self.observed), slopes)

    @property
    def _by_degree(self) -> bool:
        """Whether what the terms leave over along all axes together is nearer to a verdict than along each axis."""
        if self.evidence is None or self.evidence.terms is None:
            return False
        return self.evidence.terms.degree.outside < max(test.outside for test in self.evidence.tests.values())

    @property
    def _tests(self) -> tuple[EquivalenceTest, ...]:
        if self.evidence is None:
            return ()
        if self._by_degree and self.evidence.terms:
            return (self.evidence.terms.degree,)
        return tuple(self.evidence.tests.values())

    @cached_property
    def _stakes(self) -> tuple[Stake, ...]:
        best = self._models.mixture.best
        return tuple(Stake.of(best, along) for along in np.eye(len(best.curve.exponents)))

    @property
    def deciding(self) -> Stake:
        """What the verdict waits for: the exponent most likely beyond its margin, or the one known least."""
        doubts = [test.outside for test in self._tests] or self._half_widths
        return self._stakes[int(np.argmax(doubts))]

    @property
    def _half_widths(self) -> list[float]:
        return [exponent.estimate.half_width for exponent in self.law.exponents.values()]

    def is_open(self, before: Verdict | None, rounds: int) -> bool:
        """Whether visits in as many rounds more may change the verdict; `before` is that of a round ago."""
        if self.law.curves is None:
            return False
        if self.law.verdict is not Verdict.INCONCLUSIVE:
            return self.law.verdict is not before
        if self.evidence is None:
            return self._may_be_named(rounds)
        if self.evidence.terms and min(self.evidence.terms.shares.values()) < VISIBLE_SHARE:
            return False
        if self.evidence.regime.against and self.evidence.confirm < RISK:
            return False  # the clock agrees, and can say no more against the count
        return self.chance(rounds) >= _MIN_CHANCE

    def _may_be_named(self, rounds: int) -> bool:
        """Whether a law that nobody claims may still be found."""
        values = self.observed.values
        if self.law.claim is not None or values.max() < MIN_RANGE * values.min():
            return False
        return self._removable(self.deciding, max(self._half_widths), rounds) >= _MIN_NOISE

    def _error(self, half_width: float) -> float:
        """Standard error behind half the width of an interval."""
        return max(half_width / float(distributions.student_quantile(1 - RISK, self._degrees_of_freedom)), 1e-12)

    @property
    def _degrees_of_freedom(self) -> int:
        return self._models.mixture.best.curve.degrees_of_freedom

    def _removable(self, stake: Stake, half_width: float, rounds: int) -> float:
        """Share of the variance behind an interval that as many rounds more may take away.

        That variance is itself known from few residuals. What it may by chance exceed the noise of visits by is no sign
        of anything else.
        """
        surely = (
            self._error(half_width) ** 2
            * self._degrees_of_freedom
            / distributions.chi_squared_quantile(_LIKELY, self._degrees_of_freedom)
        )
        return min(1.0, stake.removable(rounds) / surely)

    def chance(self, rounds: int) -> float:
        """Probability that as many whole rounds more would make the verdict clear.

        They move each exponent as far as their noise is what its interval holds, and leave the rest of the interval.
        """
        inside, outside = [], []
        for test, stake in zip(self._tests, self._stakes, strict=True):
            estimate = test.exponent.estimate
            off = estimate.value - (test.exponent.claimed or 0.0)
            removable = self._removable(stake, estimate.half_width, rounds)
            left = estimate.half_width * math.sqrt(1 - removable)
            error = max(self._error(estimate.half_width) * math.sqrt(removable), 1e-12)
            ends = (test.low + left - off) / error, (test.high - left - off) / error
            inside.append(max(0.0, float(distributions.normal_below(ends[1]) - distributions.normal_below(ends[0]))))
            tails = (-MARGIN - left - off) / error, -(MARGIN + left - off) / error
            outside.append(float(distributions.normal_below(tails[0]) + distributions.normal_below(tails[1])))
        return max(min(inside), max(outside))


def worth_visiting(fitted: Sequence[UnjudgedLaw], laws: Sequence[Law], before: Sequence[Law], means: Means) -> set[str]:
    """Trials that the next round should visit; none when every law is settled.

    Args:
        fitted: every law of time as it stands, before its verdict.
        laws: the same with their verdicts.
        before: the laws as they stood a round ago.
        means: what there is to spend.
    """
    now, then = ({law.subject: law for law in judged} for judged in (laws, before))
    open_ = []
    for one in fitted:
        law, last = now[one.law.subject], then.get(one.law.subject)
        verdict = last.verdict if last else None
        if law.curves is None or one.observed is None or law.verdict is verdict is not Verdict.INCONCLUSIVE:
            continue
        contest = Contest(one.observed, law, one.evidence)
        if contest.is_open(verdict, means.rounds):
            open_.append((np.array(one.trials), contest))
    chosen: set[str] = set()
    for trials, contest in open_:
        seconds = np.array([means.seconds[trial] for trial in trials])
        batch = contest.deciding.batch(seconds, fresh=means.fresh, least_seconds=means.least_seconds / len(open_))
        chosen.update(trials[batch].tolist())
    return chosen
