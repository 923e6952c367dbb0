"""A law before its verdict: the fit, and what the verdict will rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.fitting.model.coefficients import level_error, sum_text, weigh
from attnbench.fitting.model.curve import design_matrix
from attnbench.fitting.model.models import Models
from attnbench.fitting.model.observations import Array, Observations
from attnbench.fitting.model.selection import choose
from attnbench.fitting.verdict.evidence import EquivalenceTest, Evidence, Regime, Terms, words_of
from attnbench.fitting.verdict.inferred import inferred
from attnbench.fitting.verdict.judge import VISIBLE_SHARE, judge
from attnbench.fitting.verdict.question import Question, counted_exponents, distinct, regime_of
from attnbench.formula import Formula, Monomial
from attnbench.law import MARGIN, Exponent, Law, Parts, Verdict
from attnbench.trial import ANYTHING

#: Probability within one standard deviation.
_ONE_SIGMA = 0.6827


@dataclass(frozen=True)
class UnjudgedLaw:
    """A law without its verdict.

    Attributes:
        law: all but its verdict.
        evidence: what the verdict rests on; None where it needs nothing more.
        observed, trials: what it was fitted to, and the ids of the trials behind that; only for trials of a run.
    """

    law: Law
    evidence: Evidence | None = None
    observed: Observations | None = None
    trials: tuple[str, ...] = ()

    def about(self, **changes: Any) -> UnjudgedLaw:
        """The same with other fields of its law."""
        return replace(self, law=replace(self.law, **changes))

    def judged(self, evidence: Evidence | None) -> Law:
        """The law with the verdict that `evidence` gives, which may be adjusted for other claims."""
        if evidence is None:
            return self.law
        verdict, reason = judge(evidence)
        return replace(self.law, verdict=verdict, reason="; ".join([reason, *self.law.regimes]))

    @property
    def judged_alone(self) -> Law:
        """The law with its verdict, where no other claim is judged beside it."""
        return self.judged(self.evidence)


def unjudged_law(observed: Observations, question: Question, metric: str, where: pd.DataFrame) -> UnjudgedLaw:
    """Fit, and gather what the verdict will rest on.

    Args:
        observed: sizes and values along the swept axes.
        question: what is asked of them.
        metric: what the values are.
        where: all sizes of each configuration, also those that were not swept.
    """
    axes, count = observed.axes, len(observed.sizes)
    law = Law(
        subject=ANYTHING,
        metric=metric,
        verdict=Verdict.OUT_OF_REGIME,
        reason=_too_few(count, len(axes)),
        claim=question.claim.text if question.claim else None,
        scope=question.scope,
        trials=count,
        uncounted=question.uncounted,
    )
    if not axes or count < len(axes) + 3:
        return UnjudgedLaw(law)
    law = replace(law, window={axis: _ends(observed, axis) for axis in axes})
    if reason := _inseparable(observed):
        return UnjudgedLaw(replace(law, reason=reason))
    terms = distinct(question.monomials, axes)
    if (
        count < len(axes) + len(terms) + 2
    ):  # a constant, a coefficient each, an exponent each, and one more to see the error
        return UnjudgedLaw(replace(law, reason=_too_few(count, len(axes), len(terms))))
    try:
        regime = replace(regime_of(question, terms, axes, where), words=words_of(metric))
        counted = counted_exponents(question, axes, where)
        if len(terms) > 1:
            return _law_of_terms(law, observed, terms, regime, counted)
        return _law_of_exponents(law, observed, terms[0] if terms else None, regime, counted)
    except FormulaError as error:  # a term without a value at a measured size, such as 1/log2(n) at n = 1
        return UnjudgedLaw(replace(law, reason=f"nothing can be compared at these sizes: {error}"))


def _too_few(count: int, axes: int, terms: int = 1) -> str:
    configurations = "1 configuration" if count == 1 else f"{count} configurations"
    law = "a law" if terms < 2 else f"a law of {terms} terms"
    return f"{configurations} along {axes} swept {'axis' if axes == 1 else 'axes'}: too few to read {law} from"


def _inseparable(observed: Observations) -> str:
    """Why the sizes cannot tell the axes apart; empty when they can. A fit would divide the growth as it likes."""
    if tied := observed.tied:
        return f"{' and '.join(tied)} vary only together here, so nothing can tell their exponents apart"
    if tied := observed.resting_on_one:
        return f"what is seen of {' and '.join(tied)} rests on a single configuration, which no other can check"
    return ""


def _law_of_exponents(
    law: Law, observed: Observations, term: Monomial | None, regime: Regime, counted: Mapping[str, float]
) -> UnjudgedLaw:
    models = Models(observed)
    claimed = _claimed(term, observed) if term is not None and law.claim is not None else {}
    estimates = [models.mixture.estimate(along) for along in np.eye(len(observed.axes))]
    exponents = {a: Exponent(e, claimed.get(a)) for a, e in zip(observed.axes, estimates, strict=True)}
    law = replace(
        law,
        exponents=exponents,
        formula=_formula_text(models),
        specifications=models.specifications(np.zeros(len(observed.axes))),
        terms=weigh((term,), observed) if term is not None and term.axes else (),
        regimes=models.regimes,
        parts=_parts(models, (), counted),
        curves=models.mixture.curves(("1",), observed.axes, level_error(observed, level=_ONE_SIGMA)),
    )
    if law.claim is None:
        return UnjudgedLaw(inferred(law, observed, models))
    if term is None:
        says = f"{_lack(Formula(law.claim))} to compare"
        return UnjudgedLaw(replace(law, verdict=Verdict.INCONCLUSIVE, reason=f"the claim {law.claim} {says}"))
    regime = _completed(regime, models)
    tests = {
        axis: _test(models, along, exponents[axis], _band(term, axis, claimed[axis], observed, regime))
        for axis, along in zip(observed.axes, np.eye(len(observed.axes)), strict=True)
    }
    return UnjudgedLaw(law, Evidence.of(_subject(law.metric), regime, tests))


def _subject(metric: str) -> str:
    """What grows, in a sentence."""
    return "time" if metric == "seconds" else metric


def _lack(claim: Formula) -> str:
    if claim.is_sum_of_terms:  # of none: 0, or n - n
        return "is zero, so it has no term"
    return "is no sum of products of powers, so it has no exponents"


def _claimed(term: Monomial, observed: Observations) -> dict[str, float]:
    """Exponents that the claim has in this window: its powers, and what its logarithms grow by here."""
    logs = dict(term.logs)
    return {
        axis: float(term.exponent(axis)) + logs.get(axis, 0) * observed.slope_of_a_logarithm(axis)
        for axis in observed.axes
    }


def _band(
    term: Monomial, axis: str, claimed: float, observed: Observations, regime: Regime
) -> tuple[float, float, float]:
    """How far below and above the claim counts as equal, and what a logarithm would add if that is what bounds it.

    A claim with a logarithm must be told from the same claim without it. A claim without one must be told from the same
    claim with it, unless the count has told them apart already.
    """
    slope = observed.slope_of_a_logarithm(axis)
    if dict(term.logs).get(axis):
        near = min(MARGIN, abs(claimed - float(term.exponent(axis))) / 2)
        return -near, near, 0.0
    if regime.counted or not term.exponent(axis) or not 0 < slope < 2 * MARGIN:
        return -MARGIN, MARGIN, 0.0
    return -MARGIN, slope / 2, slope


def _test(models: Models, along: Array, exponent: Exponent, band: tuple[float, float, float]) -> EquivalenceTest:
    """What the data say of one combination of exponents."""
    low, high, rival = band
    centre, mixture = exponent.claimed or 0.0, models.mixture
    outside = max(mixture.below(along, centre + low), 1 - mixture.below(along, centre + high))
    # Refuted is what lies beyond the margin, and not what only lies beyond a rival.
    inside = min(1 - mixture.below(along, centre - MARGIN), mixture.below(along, centre + MARGIN))
    return EquivalenceTest(exponent, low, high, outside, inside, rival)


def _completed(regime: Regime, models: Models) -> Regime:
    span = float(models.observed.values.max() / models.observed.values.min())
    return replace(regime, span=span, overhead=models.overhead, concave=models.concave)


def _law_of_terms(
    law: Law, observed: Observations, monomials: tuple[Monomial, ...], regime: Regime, counted: Mapping[str, float]
) -> UnjudgedLaw:
    columns = design_matrix(monomials, observed)
    models = Models(observed, columns)
    terms = weigh(monomials, observed)
    each = np.eye(len(observed.axes))
    tilts = [Exponent(models.mixture.estimate(along), claimed=0.0) for along in each]
    law = replace(
        law,
        terms=terms,
        formula=sum_text(terms),
        specifications=models.specifications(np.zeros(len(observed.axes))),
        regimes=models.regimes,
        parts=_parts(models, monomials, counted),
        curves=models.mixture.curves(
            [m.text for m in monomials], observed.axes, level_error(observed, level=_ONE_SIGMA)
        ),
    )
    if law.claim is None:
        reason = f"terms of the count, weighed by the {words_of(law.metric).witness}; there is no claim"
        return UnjudgedLaw(replace(law, verdict=Verdict.INFERRED, reason=reason))
    regime = _completed(regime, models)
    band = (-MARGIN, MARGIN, 0.0)
    tests = [_test(models, along, tilt, band) for along, tilt in zip(each, tilts, strict=True)]
    all_axes = Models(observed, columns, observed.logs.sum(axis=1, keepdims=True))
    one = np.ones(1)
    degree = _test(all_axes, one, Exponent(all_axes.mixture.estimate(one), claimed=0.0), band)
    chosen = choose(observed)
    names = [monomial.pretty for monomial in monomials]
    shares = {name: term.share for name, term in zip(names, terms, strict=True)}
    unseen = tuple(
        name for name, term in zip(names, terms, strict=True) if term.share < VISIBLE_SHARE or term.coefficient.low <= 0
    )
    weight = chosen.weight_of(monomials) if chosen else 0.0
    return UnjudgedLaw(
        law,
        Evidence.of_terms(
            _subject(law.metric),
            regime,
            dict(zip(observed.axes, tests, strict=True)),
            Terms(shares, unseen, degree, weight),
        ),
    )


def _parts(models: Models, monomials: tuple[Monomial, ...], counted: Mapping[str, float]) -> dict[str, Parts]:
    """Operations, overhead and efficiency in the growth along each axis, in the middle of the window."""
    curve, overhead = models.mixture.best.curve, models.overhead
    weights = (curve.shares / np.maximum(curve.growing, 1e-12)[:, None]).mean(axis=0)
    parts = {}
    for axis, along in zip(models.observed.axes, np.eye(len(models.observed.axes)), strict=True):
        powers = [float(monomial.exponent(axis)) for monomial in monomials] or [0.0]
        grown = models.mixture.value(along) + float(weights @ powers)
        operations = counted.get(axis)
        efficiency = None if operations is None else operations - grown
        parts[axis] = Parts(operations, overhead, efficiency, (1 - overhead) * grown)
    return parts


def _formula_text(models: Models) -> str:
    """The fitted power law with its constant, as a formula in base units."""
    curve = models.mixture.best.curve
    constant, level, *_ = curve.in_base_units(curve.theta)
    exponents = [models.mixture.value(along) for along in np.eye(len(models.observed.axes))]
    powers = [f"{axis}**{value:.3f}" for axis, value in zip(models.observed.axes, exponents, strict=True)]
    grown = "*".join([f"{level:.4g}", *powers])
    return f"{constant:.3g} + {grown}" if constant > 0 else grown


def _ends(observed: Observations, axis: str) -> tuple[Any, Any]:
    """Smallest and largest size; whole numbers stay whole."""
    low, high = float(observed.sizes[axis].min()), float(observed.sizes[axis].max())
    return (int(low) if low.is_integer() else low), (int(high) if high.is_integer() else high)
