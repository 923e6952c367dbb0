"""What is asked of measured values, and what the count says of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attnbench.fitting.verdict.evidence import Regime
from attnbench.formula import Formula, Monomial, for_a_batch
from attnbench.trial import Sizes, describe


@dataclass(frozen=True)
class Question:
    """What is asked of the values of one layer.

    Attributes:
        claim: the claimed formula, or None.
        counted: the counted formula of what costs it (operations cost time, live tensors memory), or None where there
            is none.
        scope: the layer's scope.
        uncounted: operations that the count has no formula for.
        per_sequence: whether a claim that names no batch speaks of each sequence of a batch.
    """

    claim: Formula | None
    counted: Formula | None = None
    scope: str = "layer"
    uncounted: tuple[str, ...] = ()
    per_sequence: bool = True

    @property
    def monomials(self) -> tuple[Monomial, ...]:
        """Terms to fit: the claim's, else the leading ones of the count."""
        source = self.claim or self.counted
        if source is None or not source.is_sum_of_terms:
            return ()
        if self.claim and self.per_sequence:
            return for_a_batch(source)
        return tuple(term.monomial for term in (source.terms if self.claim else source.leading))


def distinct(monomials: tuple[Monomial, ...], axes: tuple[str, ...]) -> tuple[Monomial, ...]:
    """`monomials` restricted to the swept axes, each once: along other axes they are constants.

    A constant beside other terms is left out, since every fit has one.
    """
    restricted = (
        Monomial(tuple(p for p in m.powers if p[0] in axes), tuple(log for log in m.logs if log[0] in axes))
        for m in monomials
    )
    each_once = tuple(dict.fromkeys(restricted))
    return tuple(m for m in each_once if m.axes) or each_once


def regime_of(question: Question, claimed: tuple[Monomial, ...], axes: tuple[str, ...], where: pd.DataFrame) -> Regime:
    """What the count says of the claimed terms at the measured sizes."""
    shares = _counted_shares(question, claimed, axes, where)
    if not shares:
        return Regime(None, 1.0, terms=len(claimed))
    if min(max(column) for column in zip(*(each for each, _ in shares), strict=True)) == 0:
        # The count knows no such term: the clock may refute the claim, but not confirm it.
        return Regime(None, 1.0, terms=len(claimed), against=question.counted.text if question.counted else "")
    share, point = min(((sum(each), point) for each, point in shares), key=lambda pair: pair[0])
    at = {axis: point[axis] for axis in axes if axis in point}
    return Regime(share, 1.0, describe(at), counted=True, terms=len(claimed))


def _counted_shares(
    question: Question, claimed: tuple[Monomial, ...], axes: tuple[str, ...], where: pd.DataFrame
) -> list[tuple[tuple[float, ...], Sizes]]:
    """Share of the counted work that each claimed term carries at each trial; empty where the count cannot say."""
    if question.counted is None or question.uncounted or not claimed:
        return []
    points: list[Any] = where[sorted(question.counted.axes)].astype("int64").to_dict("records")
    shares = [(question.counted.shares(claimed, axes, point), point) for point in points]
    return [(each, point) for each, point in shares if each]


def counted_exponents(question: Question, axes: tuple[str, ...], where: pd.DataFrame) -> dict[str, float]:
    """Local exponents of what is counted in the middle of the window; empty where they are not known."""
    counted = question.counted
    if counted is None or question.uncounted or not counted.axes <= set(where.columns):
        return {}
    middle = {axis: float(np.exp(np.log(where[axis].astype(float)).mean())) for axis in counted.axes}
    there = counted.largest(middle)
    terms = there.terms if there.is_sum_of_terms else ()
    values = [float(term.evaluate(middle)) for term in terms]
    if not sum(values):
        return {}
    return {
        axis: sum(v * float(t.monomial.exponent(axis)) for v, t in zip(values, terms, strict=True)) / sum(values)
        for axis in axes
    }
