"""Laws of measured time and memory of a run, from its tables and from what was claimed and counted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from attnbench.fitting.memory_law import memory_laws
from attnbench.fitting.time_law import Question, judged_together, unjudged_laws, unjudged_time_law
from attnbench.fitting.verdict.unjudged import UnjudgedLaw
from attnbench.formula import Formula
from attnbench.law import COUNTED_FOR, Law, Verdict
from attnbench.plan.plan import Plan
from attnbench.record import Status, tells_memory
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject


def fit_laws(stored: StoredRun, claims: Mapping[str, str] | None = None) -> list[Law]:
    """Laws of measured metrics of a run, from its tables alone.

    `claims` (layer → formula) replaces what the layers claim of time.
    """
    return fit_times(stored, claims) + fit_memory(stored)


def fit_times(stored: StoredRun, claims: Mapping[str, str] | None = None) -> list[Law]:
    """Laws of time; none where the suite does not ask for time."""
    return TimeFits(stored.info.plan, claims).of(stored)[1] if stored.info.plan.measures("time") else []


class TimeFits:
    """Laws of time of a run that grows: between two looks at it, only those are fitted again that got more visits.

    Args:
        plan: what was decided before the run began.
        claims: layer → formula, in place of what the layers claim.
    """

    def __init__(self, plan: Plan, claims: Mapping[str, str] | None = None) -> None:
        self._plan, self._questions = plan, questions_of(plan, claims)
        self._fitted: dict[tuple[tuple[str, int], ...], UnjudgedLaw] = {}

    def of(self, stored: StoredRun) -> tuple[list[UnjudgedLaw], list[Law]]:
        """The fits of time, and all laws of time with their verdicts, of the run with the visits that it has now."""
        records = stored.records[stored.records["status"] != Status.UNSUPPORTED]  # what cannot be run has no law

        def fit(group: pd.DataFrame, question: Question) -> UnjudgedLaw:
            # Visits are only ever added, so their number tells whether there is anything new.
            visits = tuple((trial, len(stored.visits_by_trial.get(trial, ()))) for trial in group["trial"])
            if visits not in self._fitted:
                self._fitted[visits] = unjudged_time_law(group, stored.samples, question)
            return self._fitted[visits]

        fitted = unjudged_laws(records, self._questions, fit) if len(records) else []
        return fitted, judged_together(fitted) + _unread(self._plan, self._questions, "time")


def fit_memory(stored: StoredRun) -> list[Law]:
    """Laws of memory; none where the suite does not ask for memory."""
    plan = stored.info.plan
    if not plan.measures("memory"):
        return []
    questions = questions_of(plan, metric="memory")
    records = stored.records[stored.records["status"] != Status.UNSUPPORTED]
    laws = memory_laws(records, questions) if len(records) else []
    return [*map(_told, laws), *_unread(plan, questions, "memory")]


def _told(law: Law) -> Law:
    """A law of memory, which says so where its device does not tell how much was in use."""
    device = law.choices.device
    if tells_memory(device):
        return law
    untold = f"device {device} does not tell how much of its memory was in use at most, so there is nothing to judge"
    return replace(law, reason=untold)


def questions_of(plan: Plan, claims: Mapping[str, str] | None = None, metric: str = "time") -> dict[Subject, Question]:
    """What is asked of the times, or of another measured `metric`, of each layer and choice.

    `claims` (layer → formula) replaces what the layers claim.
    """
    laws = [law for law in plan.counted_laws if law.metric == COUNTED_FOR[metric]]
    sizes = {law.layer: [trial.sizes for trial in plan.trials if trial.layer == law.layer] for law in laws}
    speak = [law for law in laws if metric != "memory" or all(map(law.speaks_of, sizes[law.layer]))]
    counts = {law.subject.count_key: law for law in speak}
    subjects = dict.fromkeys([*(trial.subject for trial in plan.trials), *_without_trials(plan)])
    questions = {}
    for subject in subjects:
        layer, mode = subject.layer, subject.choices.mode
        text = (claims or {}).get(layer, claimed(plan.claims.get(layer, {}), metric, mode))
        counted = counts.get(subject.count_key)
        questions[subject.count_key] = Question(
            claim=Formula(text) if text else None,
            counted=Formula(counted.formula) if counted and counted.formula else None,
            scope=plan.scopes[layer],
            uncounted=counted.uncounted if counted else (),
        )
    return questions


def _without_trials(plan: Plan) -> list[Subject]:
    """Subjects for which the plan found no window."""
    measured = {trial.subject for trial in plan.trials}
    subjects = itertools.starmap(Subject, itertools.product(plan.scopes, plan.suite.choices))
    return [one for one in subjects if one not in measured and plan.window(one)]


def _unread(plan: Plan, questions: Mapping[Subject, Question], metric: str) -> list[Law]:
    """The rows of layers for which the plan found no window."""
    rows = []
    for subject in _without_trials(plan):
        question, reason = questions[subject.count_key], plan.window(subject)
        claim = question.claim.text if question.claim else None
        rows.append(Law(subject, metric, Verdict.OUT_OF_REGIME, reason, claim=claim, scope=question.scope))
    return rows


def claimed(claims: Mapping[str, str], metric: str, mode: str) -> str | None:
    """The growth class that a layer claims of a measured metric.

    That of time holds of training too, which does the same three times, but not of one step of decoding. That of memory
    is about one forward pass: training keeps what a forward pass forgets.
    """
    holds = mode == "forward" or (metric == "time" and mode == "train")
    return claims.get(metric) if holds else None
