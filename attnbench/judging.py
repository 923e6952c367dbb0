"""Laws of time of a run, from its tables and from what was claimed and counted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, replace

from attnbench.fit.time_law import Question, time_laws
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.record import Status
from attnbench.spec import from_mapping
from attnbench.store import RunInfo, StoredRun
from attnbench.trial import Asked, Choices, counted_as


def fit_laws(stored: StoredRun, claims: Mapping[str, str] | None = None) -> list[Law]:
    """Laws of time of a run, from its tables alone; `claims` (layer → formula) replaces what the layers claim."""
    info, questions = stored.info, questions_of(stored.info, claims)
    records = stored.records[stored.records["status"] != Status.UNSUPPORTED]  # what cannot be run has no law to judge
    laws = time_laws(records, stored.samples, questions) if len(records) else []
    return laws + [_unread(layer, choices, info, questions) for layer, choices in _without_trials(info)]


def questions_of(info: RunInfo, claims: Mapping[str, str] | None = None) -> dict[Asked, Question]:
    """What is asked of the times of each layer and choice; `claims` (layer → formula) replaces what layers claim."""
    flops = {counted_as(law.layer, law.choices): law for law in info.counted_laws if law.metric == "flops"}
    subjects = [*((trial.layer, trial.choices) for trial in info.trials), *_without_trials(info)]
    questions = {}
    for layer, choices in subjects:
        text = (claims or {}).get(layer, claimed_time(info.claims.get(layer, {}), choices.mode))
        counted = flops.get(counted_as(layer, choices))
        questions[counted_as(layer, choices)] = Question(
            claim=Formula(text) if text else None,
            flops=Formula(counted.formula) if counted and counted.formula else None,
            scope=info.scopes[layer],
            uncounted=counted.uncounted if counted else (),
        )
    return questions


def _without_trials(info: RunInfo) -> list[tuple[str, Choices]]:
    """Layers and choices for which the plan found no window."""
    measured = {(trial.layer, trial.choices) for trial in info.trials}
    every = from_mapping(info.suite, info.suite_name, "run.json").choices if info.windows else ()
    subjects = itertools.product(info.scopes, every)
    return [one for one in subjects if one not in measured and info.window(*one)]


def _unread(layer: str, choices: Choices, info: RunInfo, questions: Mapping[Asked, Question]) -> Law:
    """The row of a layer for which the plan found no window."""
    question, reason = questions[counted_as(layer, choices)], info.window(layer, choices)
    claim = question.claim.text if question.claim else None
    law = Law(layer, "time", Verdict.OUT_OF_REGIME, reason, claim=claim, scope=question.scope)
    return replace(law, **asdict(choices))


def claimed_time(claims: Mapping[str, str], mode: str) -> str | None:
    """The growth class that a layer claims of its time: of training too, but not of one step."""
    return None if mode == "decode" else claims.get("time")
