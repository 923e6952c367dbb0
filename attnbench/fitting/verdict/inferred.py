"""The law of values that nobody claims anything of: the terms that they follow, or why none can be named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attnbench.fitting.model.coefficients import sum_text, weigh
from attnbench.fitting.model.models import Models
from attnbench.fitting.model.observations import Observations
from attnbench.fitting.model.selection import Choice, choose, leading
from attnbench.fitting.verdict.evidence import MIN_RANGE, words_of
from attnbench.fitting.verdict.judge import RISK, article, growth
from attnbench.law import MARGIN, Law, Verdict
from attnbench.units import significant

#: A law nobody claimed is named when this much of the weight is on it.
_SURE = 0.9
#: A sum is better than a power law with free exponents where its squared errors are this many times smaller.
_CLEARLY_BETTER = 2.0


def inferred(law: Law, observed: Observations, models: Models) -> Law:
    """The terms that the values follow, where nobody claims any.

    The best of the candidates may be a poor one: the exponents that were fitted freely must not lie beyond its own.
    """
    chosen = choose(observed)
    if chosen is None:
        reason = "no sum of a constant and one or two terms describes the values"
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason=reason)
    span = float(observed.values.max() / observed.values.min())
    if not chosen.terms and chosen.weight >= _SURE:
        reason = f"the values hardly change ({significant(span)}-fold), and no growing term describes them better"
        formula = f"{float(np.median(observed.values)):.4g}"
        return replace(law, verdict=Verdict.INFERRED, reason=reason, formula=formula, exponents={})
    growth_class = " + ".join(monomial.text for monomial in leading(chosen.terms)) or "a constant"
    if chosen.weight < _SURE or span < MIN_RANGE:
        rival = " + ".join(monomial.text for monomial in chosen.rival) or "a constant"
        doubt = f"{rival} is not ruled out" if chosen.weight < _SURE else f"they change only {significant(span)}-fold"
        reason = f"{growth_class} describes the values best ({chosen.weight:.0%} of the weight), but {doubt}"
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason=reason)
    if far := _beyond(chosen, observed, models):
        reason = f"{growth_class} comes nearest, but {growth(law.exponents)}, beyond it along {far}, does as well"
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason=reason)
    terms = weigh(chosen.terms, observed)
    reason = f"the values grow as {growth_class}: {chosen.weight:.0%} of the weight of all sums of terms is on it"
    if len(chosen.terms) > 1:
        law = replace(law, exponents={}, formula=sum_text(terms))
    witness = article(words_of(law.metric).witness)
    reason += "" if any(m.logs for m in chosen.terms) else f"; a factor of a logarithm more cannot be told by {witness}"
    return replace(law, verdict=Verdict.INFERRED, reason=reason, terms=terms)


def _beyond(chosen: Choice, observed: Observations, models: Models) -> str:
    """Axes along which a free exponent that does as well lies beyond the leading term's, with or without a logarithm.

    Two leading terms have no exponents to compare with.
    """
    term, *others = leading(chosen.terms)
    if others or chosen.misses(observed) * _CLEARLY_BETTER < models.plain.residual_sum:
        return ""
    far = []
    for axis, along in zip(observed.axes, np.eye(len(observed.axes)), strict=True):
        power = float(term.exponent(axis))
        slope = max(MARGIN, observed.slope_of_a_logarithm(axis)) if power > 0 else MARGIN
        inside = min(1 - models.mixture.below(along, power - MARGIN), models.mixture.below(along, power + slope))
        if inside < RISK / len(observed.axes):
            far.append(axis)
    return ", ".join(far)
