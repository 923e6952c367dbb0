"""Each claim, the law found, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from attnbench import units
from attnbench.law import Law, Verdict
from attnbench.record import MEASURED_METRICS
from attnbench.report import words
from attnbench.report.data.points import measured_laws
from attnbench.report.markup import chip, law_found, math_text
from attnbench.report.values import Chip, Fact
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject


@dataclass(frozen=True, slots=True)
class ExponentText:
    """One exponent beside its claim."""

    axis: str
    value: str
    interval: str
    claimed: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One claim and what became of it; `shares` are terms, with the largest part that each carries."""

    layer: str
    anchor: str
    conditions: str
    metric: str
    claim: Markup
    found: Markup
    exponents: tuple[ExponentText, ...]
    shares: tuple[Fact, ...]
    chip: Chip
    reason: str


def verdicts(run: StoredRun, anchors: Mapping[Subject, str]) -> tuple[VerdictRow, ...]:
    """A row for each law that was judged; `anchors` are those of the sections of subjects."""
    sections = Counter(subject.layer for subject in anchors)
    return tuple(_row(law, anchors.get(law.subject, ""), sections[law.layer] > 1) for law in _judged(run))


def _judged(run: StoredRun) -> list[Law]:
    """Laws for the first table: the measured ones, and counted ones that do not simply hold."""
    if measured := measured_laws(run):
        plain = (Verdict.CONFIRMED, Verdict.INFERRED)
        return measured + [
            law for law in run.found_laws if law.metric not in MEASURED_METRICS and law.verdict not in plain
        ]
    return [law for law in run.found_laws if law.claim is not None]


def _row(law: Law, anchor: str, several: bool) -> VerdictRow:
    measured = law.metric in MEASURED_METRICS
    return VerdictRow(
        layer=law.layer,
        anchor=anchor if measured else "counted",
        conditions=str(law.choices) if several and measured else "",
        metric=words.METRIC_WORDS.get(law.metric, law.metric),
        claim=math_text(law.claim),
        found=law_found(law),
        exponents=_exponents(law),
        shares=_shares(law) if measured and not law.exponents else (),
        chip=chip(law.verdict),
        reason=words.sentence(law.reason),
    )


def _exponents(law: Law) -> tuple[ExponentText, ...]:
    return tuple(
        ExponentText(
            axis,
            words.exponent(e.estimate.value),
            words.interval(e.estimate),
            "" if e.claimed is None else words.power(e.claimed),
        )
        for axis, e in law.exponents.items()
    )


def _shares(law: Law) -> tuple[Fact, ...]:
    return tuple(Fact(math_text(row.term), units.percent(row.share)) for row in law.terms)
