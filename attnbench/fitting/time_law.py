"""Laws of measured values: one for each layer under each choice of a run, or for anyone's table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from attnbench.fitting.model.observations import Observations, observe
from attnbench.fitting.verdict.evidence import Draft, draft_law
from attnbench.fitting.verdict.judge import Case, together
from attnbench.fitting.verdict.kernels import one_code
from attnbench.fitting.verdict.question import Question
from attnbench.fitting.verdict.window import to_judge
from attnbench.formula import Formula
from attnbench.law import Law
from attnbench.record import Status
from attnbench.trial import CHOICES, Choices, Subject

__all__ = [
    "Question",
    "by_subject",
    "law_of",
    "laws_of_groups",
    "size_columns",
    "swept_axes",
    "time_law",
    "time_laws",
    "with_fixed",
]


def time_laws(records: pd.DataFrame, samples: pd.DataFrame, questions: Mapping[Subject, Question]) -> list[Law]:
    """One law for each group of trials, in the order of the records; their claims are judged together."""
    return laws_of_groups(records, questions, lambda group, question: _draft_of_trials(group, samples, question))


def laws_of_groups(
    records: pd.DataFrame, questions: Mapping[Subject, Question], draft_of: Callable[[pd.DataFrame, Question], Draft]
) -> list[Law]:
    """Laws of one metric: a draft for each group of trials, and their claims judged together."""
    drafts = []
    for subject, group in by_subject(records):
        draft = draft_of(group, questions[subject.count_key])
        drafts.append(replace(draft, law=replace(draft.law, subject=subject)))
    cases = dict(zip(*_corrected(drafts), strict=True))
    return [draft.judged(cases.get(number)) for number, draft in enumerate(drafts)]


def by_subject(records: pd.DataFrame) -> Iterator[tuple[Subject, pd.DataFrame]]:
    """The trials of each layer under each choice, in the order of the records."""
    for (layer, *values), group in records.groupby(["layer", *CHOICES], sort=False):
        device, dtype, mode, threads, compiled, sdpa = values
        choices = Choices(str(device), str(dtype), str(mode), int(str(threads)), bool(compiled), str(sdpa))
        yield Subject(str(layer), choices), group


def _corrected(drafts: list[Draft]) -> tuple[list[int], list[Case]]:
    asked = [(number, draft.case) for number, draft in enumerate(drafts) if draft.case is not None]
    return [number for number, _ in asked], together([case for _, case in asked])


def time_law(records: pd.DataFrame, samples: pd.DataFrame, question: Question, axes: tuple[str, ...] = ()) -> Law:
    """The law of one group, judged alone."""
    draft = _draft_of_trials(records, samples, question, axes)
    return draft.judged(draft.case)


def law_of(observed: Observations, claim: Formula | None, *, metric: str = "time", flops: Formula | None = None) -> Law:
    """The law of anyone's observations.

    Args:
        observed: sizes and values.
        claim: what is claimed of the values; None to find out what they follow.
        metric: what the values are, for sentences.
        flops: counted operations, where they are known.
    """
    draft = draft_law(observed, Question(claim, flops, per_sequence=False), metric, observed.sizes)
    return draft.judged(draft.case)


def _draft_of_trials(
    records: pd.DataFrame, samples: pd.DataFrame, question: Question, axes: tuple[str, ...] = ()
) -> Draft:
    every = records[records["status"] == Status.OK]
    measured, left_out = to_judge(every, axes or swept_axes(every), question)
    others = every.drop(one_code(every, axes or swept_axes(every))[0].index)
    axes = axes or swept_axes(measured)
    observed = observe(measured, samples, axes)
    draft = _knowing(draft_law(observed, question, "time", measured), others)
    return with_fixed(_saying(draft, left_out), measured, axes)


def _knowing(draft: Draft, others: pd.DataFrame) -> Draft:
    """A draft whose curves know what the trials took that ran other kernels."""
    curves = draft.law.curves
    if curves is None or others.empty:
        return draft
    sizes = others[size_columns(others)].dropna(axis="columns").to_dict("records")
    ratios = [
        float(seconds) / curves.at({str(axis): int(size) for axis, size in at.items()})[0]
        for seconds, at in zip(others["seconds"], sizes, strict=True)
    ]
    return replace(draft, law=replace(draft.law, curves=replace(curves, other_code=(min(ratios), max(ratios)))))


def with_fixed(draft: Draft, measured: pd.DataFrame, axes: tuple[str, ...]) -> Draft:
    """The draft with the axes that took one size only."""
    every = [a for a in size_columns(measured) if measured[a].notna().all() and a not in axes]
    fixed = {axis: int(measured[axis].iloc[0]) for axis in every} if len(measured) else {}
    return replace(draft, law=replace(draft.law, fixed=fixed))


def _saying(draft: Draft, left_out: tuple[str, ...]) -> Draft:
    """A draft that says which trials it does not rest on."""
    if not left_out:
        return draft
    law = replace(draft.law, regimes=(*left_out, *draft.law.regimes))
    return Draft(law if draft.case else replace(law, reason="; ".join([law.reason, *left_out])), draft.case)


def swept_axes(records: pd.DataFrame) -> tuple[str, ...]:
    """Axes that take more than one size."""
    return tuple(axis for axis in size_columns(records) if records[axis].nunique() > 1)


def size_columns(records: pd.DataFrame) -> list[str]:
    """Columns of sizes: those between the last choice and the status."""
    first, last = list(records.columns).index(CHOICES[-1]), list(records.columns).index("status")
    return list(map(str, records.columns[first + 1 : last]))
