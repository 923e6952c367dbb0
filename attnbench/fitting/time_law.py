"""Laws of measured values: one for each layer under each choice of a run, or for anyone's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from attnbench.fitting.model.observations import Observations, observe
from attnbench.fitting.verdict.judge import adjust_for_multiple_claims
from attnbench.fitting.verdict.kernels import one_code
from attnbench.fitting.verdict.question import Question as Question
from attnbench.fitting.verdict.unjudged import UnjudgedLaw, unjudged_law
from attnbench.fitting.verdict.window import to_judge
from attnbench.formula import Formula
from attnbench.law import Law
from attnbench.record import Status
from attnbench.trial import CHOICES, Choices, Subject


def time_laws(records: pd.DataFrame, samples: pd.DataFrame, questions: Mapping[Subject, Question]) -> list[Law]:
    """One law for each group of trials, in the order of the records; their claims are judged together."""
    return judged_together(
        unjudged_laws(records, questions, lambda group, question: unjudged_time_law(group, samples, question))
    )


def unjudged_laws(
    records: pd.DataFrame,
    questions: Mapping[Subject, Question],
    fit_group: Callable[[pd.DataFrame, Question], UnjudgedLaw],
) -> list[UnjudgedLaw]:
    """What `fit_group` reads from each group of trials, in the order of the records."""
    return [
        fit_group(group, questions[subject.count_key]).about(subject=subject) for subject, group in by_subject(records)
    ]


def by_subject(records: pd.DataFrame) -> Iterator[tuple[Subject, pd.DataFrame]]:
    """The trials of each layer under each choice, in the order of the records."""
    for (layer, *values), group in records.groupby(["layer", *CHOICES], sort=False):
        device, dtype, mode, threads, compiled, sdpa = values
        choices = Choices(str(device), str(dtype), str(mode), int(str(threads)), bool(compiled), str(sdpa))
        yield Subject(str(layer), choices), group


def judged_together(laws: Sequence[UnjudgedLaw]) -> list[Law]:
    """The same laws with their verdicts, whose chances of error are adjusted for the number of claims."""
    adjusted = iter(adjust_for_multiple_claims([law.evidence for law in laws if law.evidence]))
    return [law.judged(next(adjusted) if law.evidence else None) for law in laws]


def time_law(records: pd.DataFrame, samples: pd.DataFrame, question: Question, axes: tuple[str, ...] = ()) -> Law:
    """The law of one group, judged alone."""
    return unjudged_time_law(records, samples, question, axes).judged_alone


def law_of(observed: Observations, claim: Formula | None, *, metric: str = "time", flops: Formula | None = None) -> Law:
    """The law of anyone's observations.

    Args:
        observed: sizes and values.
        claim: what is claimed of the values; None to find out what they follow.
        metric: what the values are, for sentences.
        flops: counted operations, where they are known.
    """
    return unjudged_law(observed, Question(claim, flops, per_sequence=False), metric, observed.sizes).judged_alone


def unjudged_time_law(
    records: pd.DataFrame, samples: pd.DataFrame, question: Question, axes: tuple[str, ...] = ()
) -> UnjudgedLaw:
    """The law of one group before its verdict, from the trials that can be judged together."""
    every = records[records["status"] == Status.OK]
    measured, left_out = to_judge(every, axes or swept_axes(every), question)
    others = every.drop(one_code(every, axes or swept_axes(every))[0].index)
    axes = axes or swept_axes(measured)
    observed = observe(measured, samples, axes)
    fitted = _knowing(unjudged_law(observed, question, "time", measured), others)
    fitted = with_fixed(_saying(fitted, left_out), measured, axes)
    return replace(fitted, observed=observed, trials=tuple(measured["trial"]))


def _knowing(fitted: UnjudgedLaw, others: pd.DataFrame) -> UnjudgedLaw:
    """A law whose curves know what the trials took that ran other kernels."""
    curves = fitted.law.curves
    if curves is None or others.empty:
        return fitted
    sizes = others[size_columns(others)].dropna(axis="columns").to_dict("records")
    ratios = [
        float(seconds) / curves.at({str(axis): int(size) for axis, size in at.items()})[0]
        for seconds, at in zip(others["seconds"], sizes, strict=True)
    ]
    return fitted.about(curves=replace(curves, other_code=(min(ratios), max(ratios))))


def with_fixed(fitted: UnjudgedLaw, measured: pd.DataFrame, axes: tuple[str, ...]) -> UnjudgedLaw:
    """The same law with the axes that took one size only."""
    every = [a for a in size_columns(measured) if measured[a].notna().all() and a not in axes]
    return fitted.about(fixed={axis: int(measured[axis].iloc[0]) for axis in every} if len(measured) else {})


def _saying(fitted: UnjudgedLaw, left_out: tuple[str, ...]) -> UnjudgedLaw:
    """A law that says which trials it does not rest on."""
    law = fitted.law
    reason = law.reason if fitted.evidence else "; ".join([law.reason, *left_out])
    return fitted.about(regimes=(*left_out, *law.regimes), reason=reason)


def swept_axes(records: pd.DataFrame) -> tuple[str, ...]:
    """Axes that take more than one size."""
    return tuple(axis for axis in size_columns(records) if records[axis].nunique() > 1)


def size_columns(records: pd.DataFrame) -> list[str]:
    """Columns of sizes: those between the last choice and the status."""
    first, last = list(records.columns).index(CHOICES[-1]), list(records.columns).index("status")
    return list(map(str, records.columns[first + 1 : last]))
