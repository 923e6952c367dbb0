"""Sizes that a law is read from, out of those that were measured.

The planner chooses sizes at which a law can be read. A suite that gives sizes may have other reasons: two curves are to
be seen to cross, or layers to stand side by side. What is known before anything is fitted, namely the kernels that ran,
the count and what one call at tiny sizes costs, then says which of them the law is read from, as long as those suffice.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from attnbench.errors import FormulaError
from attnbench.fitting.verdict.evidence import MIN_RANGE
from attnbench.fitting.verdict.kernels import one_code
from attnbench.fitting.verdict.question import Question, distinct
from attnbench.law import LEADING_SHARE
from attnbench.units import percent

#: Where a constant cost may take more of a call than this, the rest of the call tells little.
_MAX_CONSTANT = 0.2


def to_judge(measured: pd.DataFrame, axes: Sequence[str], question: Question) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The trials to judge together, and a sentence for each reason for which others were left out."""
    kept, switch = one_code(measured, axes)
    kept, unread = _readable(kept, axes, question)
    return kept, tuple(sentence for sentence in (switch, unread) if sentence)


def _readable(measured: pd.DataFrame, axes: Sequence[str], question: Question) -> tuple[pd.DataFrame, str]:
    """The trials in which the claim leads and a constant cost does not; all, where these are too few for a law."""
    terms = distinct(question.monomials, tuple(axes))
    leads = _leads(measured, axes, question)
    calls = _is_more_than_a_call(measured)
    kept = measured[leads & calls]
    enough = len(kept) >= len(axes) + len(terms) + 3 and all(kept[axis].nunique() > 1 for axis in axes)
    enough = enough and kept["seconds"].max() >= MIN_RANGE * kept["seconds"].min()
    if len(kept) == len(measured) or not enough:
        return measured, ""
    reasons = {
        f"the claim does not lead the count in {(~leads).sum()}": not leads.all(),
        f"a constant cost may take more than {percent(_MAX_CONSTANT)} of {(~calls).sum()}": not calls.all(),
    }
    said = " and ".join(reason for reason, holds in reasons.items() if holds)
    return kept, f"read from {len(kept)} of {len(measured)} trials: {said}"


def _leads(measured: pd.DataFrame, axes: Sequence[str], question: Question) -> pd.Series[bool]:
    """Whether the claimed terms carry the counted work of each trial; all, where nobody claims or can say."""
    every = pd.Series(True, index=measured.index)
    counted, terms = question.counted, distinct(question.monomials, tuple(axes))
    if question.claim is None or counted is None or question.uncounted or not terms:
        return every
    try:
        shares = [
            sum(counted.shares(terms, axes, {axis: int(row[axis]) for axis in counted.axes}))
            for row in measured.to_dict("records")
        ]
    except FormulaError:
        return every
    return pd.Series([share >= LEADING_SHARE for share in shares], index=measured.index, dtype=bool)


def _is_more_than_a_call(measured: pd.DataFrame) -> pd.Series[bool]:
    """Whether a constant cost, of which one call at tiny sizes is the most there can be, is small in each trial."""
    if "floor_seconds" not in measured or "seconds" not in measured:
        return pd.Series(True, index=measured.index)
    constant = measured["floor_seconds"].astype("float64").fillna(0.0)
    return constant <= _MAX_CONSTANT * measured["seconds"].astype("float64")
