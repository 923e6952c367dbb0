"""The laws of time of a run: one for each layer, device, dtype, mode and thread count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from attnbench.errors import FormulaError
from attnbench.fit.estimate import Fitted, Observations, fit_with_intervals, observe, power_law, specifications
from attnbench.fit.terms import coefficients, constant_share, design_matrix, tilt
from attnbench.fit.verdict import Regime, growth, judge_exponents, judge_terms
from attnbench.formula import Formula, Monomial, for_a_batch
from attnbench.law import MARGIN, Estimate, Exponent, FittedTerm, Law, Verdict
from attnbench.record import Status
from attnbench.trial import Sizes, describe

#: Columns that tell one law from another.
GROUP = ["layer", "device", "dtype", "mode", "threads"]


@dataclass(frozen=True)
class Question:
    """What is asked of the times of one layer.

    Attributes:
        claim: the claimed formula for time, or None.
        flops: the counted formula, or None where there is none.
        scope: the layer's scope.
        uncounted: operations that the count has no formula for.
    """

    claim: Formula | None
    flops: Formula | None
    scope: str = "layer"
    uncounted: tuple[str, ...] = ()

    @property
    def monomials(self) -> tuple[Monomial, ...]:
        """Terms to fit: the claim's, else the leading ones of the count."""
        source = self.claim or self.flops
        if source is None or not source.is_sum_of_terms:
            return ()
        return for_a_batch(source) if self.claim else tuple(term.monomial for term in source.leading)


def time_laws(records: pd.DataFrame, samples: pd.DataFrame, questions: Mapping[str, Question]) -> list[Law]:
    """One law for each group of trials, in the order of the records."""
    laws = []
    for key, group in records.groupby(GROUP, sort=False):
        layer, device, dtype, mode, threads = map(str, key)
        law = time_law(group, samples, questions[layer])
        laws.append(replace(law, layer=layer, device=device, dtype=dtype, mode=mode, threads=int(threads)))
    return laws


def time_law(records: pd.DataFrame, samples: pd.DataFrame, question: Question, axes: tuple[str, ...] = ()) -> Law:
    """The law of one group: what its times say, and the verdict on the claim."""
    measured = records[records["status"] == Status.OK]
    axes = axes or swept_axes(measured)
    empty = Law(
        layer="",
        metric="time",
        verdict=Verdict.OUT_OF_REGIME,
        reason=f"{len(measured)} measured trials with {len(axes)} swept axes are too few to read a law from",
        claim=question.claim.text if question.claim else None,
        scope=question.scope,
        trials=len(measured),
        uncounted=question.uncounted,
    )
    if not axes or len(measured) < len(axes) + 2:
        return empty
    observed = observe(measured, samples, axes)
    law = replace(empty, window={axis: _ends(observed, axis) for axis in axes})
    if reason := _inseparable(observed):
        return replace(law, reason=reason)
    distinct = _distinct(question.monomials, axes)
    try:
        regime = _regime(observed, question, distinct, measured)
        if len(distinct) > 1:
            return _law_of_terms(law, observed, distinct, regime)
        return _law_of_exponents(law, observed, distinct[0] if distinct else None, regime)
    except FormulaError as error:  # a term without a value at a measured size, such as 1/log2(n) at n = 1
        return replace(law, reason=f"nothing can be compared at these sizes: {error}")


def _inseparable(observed: Observations) -> str:
    """Why the sizes cannot tell the axes apart; empty when they can. A fit would divide the growth as it likes."""
    if tied := observed.tied:
        return f"{' and '.join(tied)} vary only together here, so no times can tell their exponents apart"
    if tied := observed.resting_on_one_trial:
        return f"what the times say of {' and '.join(tied)} rests on a single trial, which no other can check"
    return ""


def swept_axes(records: pd.DataFrame) -> tuple[str, ...]:
    """Axes that take more than one size."""
    first, last = list(records.columns).index("threads"), list(records.columns).index("status")
    return tuple(axis for axis in records.columns[first + 1 : last] if records[axis].nunique() > 1)


def _distinct(monomials: tuple[Monomial, ...], axes: tuple[str, ...]) -> tuple[Monomial, ...]:
    """`monomials` restricted to the swept axes, each once: along other axes they are constants."""
    restricted = (
        Monomial(tuple(p for p in m.powers if p[0] in axes), tuple(log for log in m.logs if log[0] in axes))
        for m in monomials
    )
    return tuple(dict.fromkeys(restricted))


def _law_of_exponents(law: Law, observed: Observations, term: Monomial | None, regime: Regime) -> Law:
    fitted = fit_with_intervals(power_law, observed)
    if fitted is None:
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason="fewer than two rounds were measured")
    claimed = _claimed(term, observed) if term is not None and law.claim is not None else {}
    exponents = {a: Exponent(e, claimed.get(a)) for a, e in zip(observed.axes, fitted.estimates, strict=False)}
    law = replace(
        law,
        exponents=exponents,
        formula=_formula_text(fitted, observed),
        specifications=specifications(fitted, observed.axes),
        terms=_terms((term,), observed) if term is not None else (),
    )
    grows = "time grows as " + growth(exponents)
    if law.claim is None:
        return replace(law, verdict=Verdict.INFERRED, reason=f"{grows}; there is no claim to compare with")
    if term is None:
        reason = f"{grows}; the claim {law.claim} {_lack(Formula(law.claim))} to compare"
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason=reason)
    verdict, reason = judge_exponents(exponents, regime, _margin(term, claimed))
    return replace(law, verdict=verdict, reason=reason)


def _lack(claim: Formula) -> str:
    if claim.is_sum_of_terms:  # of none: 0, or n - n
        return "is zero, so it has no term"
    return "is no sum of products of powers, so it has no exponents"


def _claimed(term: Monomial, observed: Observations) -> dict[str, float]:
    """Exponents that the claim has in this window: its powers, and what its logarithms grow by here."""
    powers = {axis: float(term.exponent(axis)) for axis in observed.axes}
    if not term.logs:
        return powers
    logs = design_matrix((Monomial((), term.logs),), observed)[:, 0]
    slopes = dict(zip(powers, power_law(replace(observed, best=logs).only(logs > 0)), strict=False))
    return powers | {axis: powers[axis] + float(slopes[axis]) for axis, _ in term.logs}


def _margin(term: Monomial, claimed: dict[str, float]) -> float:
    """A claim with a logarithm must be told from the same claim without it."""
    slopes = [abs(claimed[axis] - float(term.exponent(axis))) for axis, _ in term.logs]
    return min([MARGIN, *(slope / 2 for slope in slopes)])


def _law_of_terms(law: Law, observed: Observations, monomials: tuple[Monomial, ...], regime: Regime) -> Law:
    bent = fit_with_intervals(tilt(monomials), observed)
    if bent is None:
        return replace(law, verdict=Verdict.INCONCLUSIVE, reason="fewer than two rounds were measured")
    terms = _terms(monomials, observed)
    tilts = {a: Exponent(e, claimed=0.0) for a, e in zip(observed.axes, bent.estimates, strict=True)}
    law = replace(
        law,
        terms=terms,
        formula=" + ".join(f"{t.coefficient.value:.3g}*{t.term}" for t in terms),
        specifications=specifications(bent, observed.axes),
    )
    if law.claim is None:
        return replace(
            law, verdict=Verdict.INFERRED, reason="terms of the count, weighed by the clock; there is no claim"
        )
    names = [monomial.pretty for monomial in monomials]
    lows = dict(zip(names, (term.coefficient.low for term in terms), strict=True))
    shares = dict(zip(names, (term.share for term in terms), strict=True))
    verdict, reason = judge_terms(lows, shares, tilts, regime)
    return replace(law, verdict=verdict, reason=reason)


def _terms(monomials: tuple[Monomial, ...], observed: Observations) -> tuple[FittedTerm, ...]:
    fitted = fit_with_intervals(coefficients(monomials), observed)
    if fitted is None:
        return ()
    columns = design_matrix(monomials, observed) * [e.value for e in fitted.estimates]
    whole = columns.sum(axis=1, keepdims=True)
    shares = np.divide(columns, whole, out=np.zeros_like(columns), where=whole > 0).max(axis=0)  # log2(1) is zero
    rows = zip(monomials, fitted.estimates, shares, strict=True)
    return tuple(FittedTerm(m.text, _not_negative(e), float(share)) for m, e, share in rows)


def _not_negative(estimate: Estimate) -> Estimate:
    return replace(estimate, low=max(0.0, estimate.low))


def _formula_text(fitted: Fitted, observed: Observations) -> str:
    """The fitted power law as a formula in base units."""
    *exponents, level = (e.value for e in fitted.estimates)
    centre = observed.sizes.apply(lambda column: column.map(math.log)).mean()
    constant = math.exp(level - sum(e * centre[axis] for axis, e in zip(observed.axes, exponents, strict=True)))
    powers = [f"{axis}**{e:.3f}" for axis, e in zip(observed.axes, exponents, strict=True)]
    return "*".join([f"{constant:.4g}", *powers])


def _regime(
    observed: Observations, question: Question, claimed: tuple[Monomial, ...], measured: pd.DataFrame
) -> Regime:
    span = float(observed.best.max() / observed.best.min())
    shares = _counted_shares(question, claimed, observed.axes, measured)
    if not shares:
        return Regime(None, span, constant=constant_share(claimed[0], observed) if len(claimed) == 1 else 0.0)
    if min(max(column) for column in zip(*(each for each, _ in shares), strict=True)) == 0:
        # The count knows no such term: the clock may refute the claim, but not confirm it.
        return Regime(None, span, terms=len(claimed), against=question.flops.text if question.flops else "")
    share, where = min(((sum(each), point) for each, point in shares), key=lambda pair: pair[0])
    at = {axis: where[axis] for axis in observed.axes if axis in where}
    return Regime(share, span, describe(at), counted=True, terms=len(claimed))


def _counted_shares(
    question: Question, claimed: tuple[Monomial, ...], axes: tuple[str, ...], measured: pd.DataFrame
) -> list[tuple[tuple[float, ...], Sizes]]:
    """Share of the counted work that each claimed term carries at each trial; empty where the count cannot say."""
    if question.flops is None or question.uncounted or not claimed:
        return []
    points: list[Any] = measured[sorted(question.flops.axes)].astype("int64").to_dict("records")
    shares = [(question.flops.shares(claimed, axes, point), point) for point in points]
    return [(each, point) for each, point in shares if each]


def _ends(observed: Observations, axis: str) -> tuple[int, int]:
    return int(observed.sizes[axis].min()), int(observed.sizes[axis].max())
