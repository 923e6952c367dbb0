"""Which laws changed between two runs.

A counted law changed when its formula did. Growth and rate of a measured law are compared on the trials that both runs
measured, so that choices of window and model cancel; where there are too few of those, the two fitted laws are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from attnbench.fitting import distributions
from attnbench.fitting.compare.rates import FALSE, Rate, rates, ratio_text, witnesses
from attnbench.fitting.compare.ratios import Ratios, ratios
from attnbench.fitting.time_law import swept_axes
from attnbench.formula import Formula
from attnbench.law import COUNTED_METRICS, MARGIN, Estimate, Law
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject

#: Axes whose logarithms are closer to dependent than this cannot be told apart.
_MAX_CONDITION = 100.0


@dataclass(frozen=True)
class LawChange:
    """One law that both runs have.

    Attributes:
        subject, metric: what it is about.
        base, new: what each run found: formula and verdict.
        exponents: axis → exponent in NEW less exponent in BASE; intervals hold for all laws and axes together.
        rate: NEW/BASE of the layer's time, over the trials that both runs measured.
        beside: the same, divided by what all layers of its device share; a rate changed where this did.
        change: ``law changed``, ``rate changed``, ``same`` or ``unclear``.
        reason: one sentence.
    """

    subject: Subject
    metric: str
    base: dict[str, str]
    new: dict[str, str]
    change: str
    reason: str
    exponents: dict[str, Estimate] = field(default_factory=dict)
    rate: Estimate | None = None
    beside: Estimate | None = None

    @property
    def layer(self) -> str:
        """Name of the layer."""
        return self.subject.layer

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form, in which the subject is not nested."""
        content = asdict(self)
        subject = content.pop("subject")
        return {"layer": subject["layer"], **subject["choices"], **content}


class SharedTrials:
    """What two runs say about the trials that both measured.

    Attributes:
        least: smallest relative change that matters.
        records: those trials, by id.
        subjects: trial → id of its subject.
        trials: the ratio of each trial.
        rates: how each subject changed, over its trials, beside the others.
        reference: the ratio of each device's reference kernel.
    """

    def __init__(self, base: StoredRun, new: StoredRun, measured: list[str], least: float) -> None:
        before, after = (rows[rows["trial"].isin(measured)] for rows in (timed(base), timed(new)))
        self.least = least
        self.records = base.records.set_index("trial").loc[measured]
        subjects = {trial.id: trial.subject.id for trial in base.info.plan.trials}
        self.subjects = pd.Series({trial: subjects[trial] for trial in measured}, dtype="object")
        self.trials = ratios(before, after)
        self.rates = rates((base, new), self.records, self.subjects, least)
        self.reference = witnesses((base, new), self.records)


def timed(run: StoredRun) -> pd.DataFrame:
    """Samples with a time; a clock that did not move says nothing of a ratio."""
    return run.samples[run.samples["seconds"] > 0]


@dataclass(frozen=True)
class Judged:
    """One row of ratios, judged; without numbers where no run has a second process."""

    ratio: Estimate | None = None
    beside: Estimate | None = None
    chance: float | None = None
    change: str = "unclear"


def judge(of: Ratios, least: float) -> list[Judged]:
    """Each row of `of`, judged against the smallest change that matters."""
    if not of.judged:
        return [Judged()] * len(of.table)
    rows = zip(of.each(), of.beside(), of.chances(least).tolist(), strict=True)
    return [Judged(ratio, beside, chance, _word(ratio, chance, least)) for ratio, beside, chance in rows]


def _word(ratio: Estimate, chance: float, least: float) -> str:
    if chance <= FALSE:
        return "slower" if ratio.value > 1 else "faster"
    return "same" if ratio.within(1 / (1 + least), 1 + least) else "unclear"


def law_changes(pairs: list[tuple[Law, Law]], shared: SharedTrials, identical: bool) -> Iterator[LawChange]:
    """Every law that both runs have; intervals of exponents are corrected for all axes of all measured laws."""
    axes = sum(len(_axes(old, shared)) for old, _ in pairs if old.metric not in COUNTED_METRICS)
    level = 1 - FALSE / max(1, axes)
    for old, new in pairs:
        if identical:
            yield _changed(old, new, "same", "the same measurements")
        elif old.metric in COUNTED_METRICS:
            yield _counted_change(old, new)
        else:
            rate = shared.rates.get(old.subject.id, Rate()) if old.metric == "time" else Rate()
            yield _measured_change(old, new, shared, level, rate)


def _counted_change(old: Law, new: Law) -> LawChange:
    if not (old.formula and new.formula):
        return _changed(old, new, "unclear", "not every run has a formula")
    if _equal(old.formula, new.formula):
        return _changed(old, new, "same", "the same formula")
    return _changed(
        old, new, "law changed", f"counted {Formula(old.formula).pretty}, now {Formula(new.formula).pretty}"
    )


def _measured_change(old: Law, new: Law, shared: SharedTrials, level: float, rate: Rate) -> LawChange:
    differences, source = _differences(old, new, shared, level)
    far = [axis for axis, e in differences.items() if e.outside(-MARGIN, MARGIN)]
    close = differences and all(e.within(-MARGIN, MARGIN) for e in differences.values())
    grows = ", ".join(f"{axis}^{e.value:+.2f}±{e.half_width:.2f}" for axis, e in differences.items())
    grows = f"the exponents differ by {grows} ({source})" if grows else "too few trials are shared to compare exponents"
    rates = _rate_text(rate)
    if far:
        word, reason = "law changed", f"{grows}, beyond {MARGIN} along {', '.join(far)}"
    elif rate.change in ("slower", "faster"):
        word, reason = "rate changed", f"{rate.change}: {rates}; {grows}"
    elif close and rate.change == "same":
        word, reason = "same", f"{grows}; {rates}"
    else:
        word, reason = "unclear", f"{rate.doubt or 'no change found'}: {grows}; {rates}"
    return _changed(old, new, word, reason, exponents=differences, rate=rate.ratio, beside=rate.beside)


def _rate_text(rate: Rate) -> str:
    if rate.ratio is None or rate.beside is None:
        return "no shared trials tell its rate"
    return f"its times are {ratio_text(rate.ratio)}, and {ratio_text(rate.beside)} beside all layers together"


def _differences(old: Law, new: Law, shared: SharedTrials, level: float) -> tuple[dict[str, Estimate], str]:
    """How much each exponent changed, from the trials that both runs measured, else from the two laws."""
    if old.metric == "time" and (slopes := _slopes(old, shared, level)):
        return slopes, "on the trials that both measured"
    axes = [axis for axis in old.exponents if axis in new.exponents]
    return {a: _less(new.exponents[a].estimate, old.exponents[a].estimate, level) for a in axes}, "as each was fitted"


def _slopes(law: Law, shared: SharedTrials, level: float) -> dict[str, Estimate]:
    """Growth of the ratio along each axis: what all trials share cancels, and so do window and model."""
    axes, mine = _axes(law, shared), shared.subjects[shared.subjects == law.subject.id].index
    logs = np.log(shared.records.loc[mine, axes].to_numpy(dtype=float))
    spare = len(mine) - len(axes) - 1
    if not axes or spare < 1 or not shared.trials.judged:
        return {}
    logs -= logs.mean(axis=0)
    if np.linalg.cond(logs / np.linalg.norm(logs, axis=0)) > _MAX_CONDITION:
        return {}
    table = shared.trials.table.loc[mine]
    change, own = table["change"].to_numpy(dtype=float), table["variance"].to_numpy(dtype=float)
    solve = np.linalg.pinv(logs)
    slopes = solve @ change
    left = change - change.mean() - logs @ slopes
    # What the processes predict, or what is really left over where that is more.
    spread = np.maximum(solve**2 @ own, (solve**2).sum(axis=1) * (left @ left) / spare)
    half = distributions.student_quantile((1 + level) / 2, spare) * np.sqrt(spread)
    return {
        a: Estimate(float(s), float(s - h), float(s + h), level) for a, s, h in zip(axes, slopes, half, strict=True)
    }


def _axes(law: Law, shared: SharedTrials) -> list[str]:
    """Axes along which the shared trials of a law differ."""
    mine = shared.records[shared.subjects.reindex(shared.records.index) == law.subject.id]
    return list(swept_axes(mine))


def _less(new: Estimate, old: Estimate, level: float) -> Estimate:
    """Difference of two independent estimates, at another level."""
    halves = [e.half_width / distributions.normal_quantile((1 + e.level) / 2) for e in (new, old)]
    half, value = float(distributions.normal_quantile((1 + level) / 2) * math.hypot(*halves)), new.value - old.value
    return Estimate(value, value - half, value + half, level)


def _changed(old: Law, new: Law, change: str, reason: str, **fields: Any) -> LawChange:
    return LawChange(old.subject, old.metric, base=_said(old), new=_said(new), change=change, reason=reason, **fields)


def _said(law: Law) -> dict[str, str]:
    return {"formula": law.formula, "verdict": str(law.verdict), "claim": law.claim or ""}


def pairs(old: Iterable[Law], new: Iterable[Law]) -> Iterator[tuple[Law, Law]]:
    """The laws that both runs have, in the order of the first."""
    known = {(law.subject, law.metric): law for law in new}
    return ((law, known[key]) for law in old if (key := (law.subject, law.metric)) in known)


def _equal(one: str, other: str) -> bool:
    formulas = Formula(one), Formula(other)
    if all(formula.is_sum_of_terms for formula in formulas):
        return formulas[0].terms == formulas[1].terms
    return formulas[0].text == formulas[1].text
