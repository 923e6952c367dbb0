"""The section of one layer: what is said of its law, the figures of it, and the tables below them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from attnbench import units
from attnbench.fitting.verdict.kernels import kernel_set
from attnbench.law import Law
from attnbench.record import Status
from attnbench.report import words
from attnbench.report.data.points import records_of, timed_points, varying_axes, weighed_points
from attnbench.report.data.residuals import residuals
from attnbench.report.data.samples import strips
from attnbench.report.data.shares import counted_formula
from attnbench.report.markup import chip, law_found, math_text
from attnbench.report.sections.layer.detail import Detail, left_out
from attnbench.report.sections.layer.growth import growth_gallery, local_exponent_gallery
from attnbench.report.sections.layer.memory import MemoryPart, memory_part
from attnbench.report.sections.layer.rates import rate_gallery
from attnbench.report.sections.layer.residuals import residual_gallery
from attnbench.report.sections.layer.samples import sample_gallery
from attnbench.report.sections.layer.shares import share_gallery
from attnbench.report.sections.layer.specifications import (
    SpecificationRow,
    specification_gallery,
    specification_rows,
    specified_axes,
)
from attnbench.report.sections.layer.terms import PartRow, TermRow, part_rows, term_rows
from attnbench.report.values import Chip, Gallery
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject


@dataclass(frozen=True, slots=True)
class Section:
    """Everything about one layer under one choice of device, dtype, mode and the like; `timed` where it has times."""

    layer: str
    anchor: str
    conditions: str
    timed: bool
    chip: Chip
    claim: Markup
    found: Markup
    reason: str
    window: str
    window_reason: str
    left_out: str
    evidence: str
    kernels: tuple[str, ...]
    level: str
    time: Gallery
    memory: MemoryPart
    residuals: Gallery
    local: Gallery
    shares: Gallery
    samples: Gallery
    samples_summary: str
    rates: Gallery
    specifications: Gallery
    terms: tuple[TermRow, ...]
    parts: tuple[PartRow, ...]
    specification_summary: str
    specification_axes: tuple[str, ...]
    specification_rows: tuple[SpecificationRow, ...]


def section(run: StoredRun, subject: Subject, anchor: str, drawn: Detail = Detail.ALL) -> Section:
    """Everything the page says about `subject`; `drawn` says which figures."""
    timed = run.info.plan.measures("time")
    metric, done = ("time", "timed") if timed else ("memory", "measured")
    law = run.laws_by_subject.get((subject, metric))
    points = timed_points(run, subject, law)
    axes = varying_axes(points, law)
    weighed = weighed_points(run, subject, law)
    shown = axes if drawn else []
    closely = axes if drawn is Detail.ALL else []
    specified, name = specified_axes(law), words.subject(subject)
    return Section(
        layer=subject.layer,
        anchor=anchor,
        conditions=str(subject.choices),
        timed=timed,
        chip=chip(law.verdict if law else None),
        claim=math_text(law.claim if law else run.info.plan.claims.get(subject.layer, {}).get(metric)),
        found=law_found(law),
        reason=words.sentence(law.reason if law else _why_none(run, subject)),
        window=words.window(law.window) if law else "",
        window_reason=words.sentence(run.info.plan.window(subject)),
        left_out=left_out(points if timed else weighed, axes, drawn),
        evidence=_evidence(points if timed else weighed, law, done),
        kernels=_kernels(run, subject),
        level=_level(law),
        time=growth_gallery(points, shown, law, name),
        memory=memory_part(run, subject, drawn),
        residuals=residual_gallery(residuals(run, points, law), closely, law, f"{name}, time")
        if timed and closely
        else Gallery(),
        local=local_exponent_gallery(points, closely, law, name),
        shares=share_gallery(points, closely, law, counted_formula(run, subject, "time"), name) if timed else Gallery(),
        samples=sample_gallery(strips(run, points), name) if closely else Gallery(),
        samples_summary=f"The timed blocks of {words.plural(len(points), 'trial')}",
        rates=rate_gallery(run, subject, law) if drawn is Detail.ALL else Gallery(),
        specifications=specification_gallery(law, specified if drawn is Detail.ALL else (), name),
        terms=term_rows(law),
        parts=part_rows(law) if timed else (),
        specification_summary=words.plural(len(law.specifications), "way") + " to fit" if law else "",
        specification_axes=specified,
        specification_rows=specification_rows(law, specified),
    )


def _why_none(run: StoredRun, subject: Subject) -> str:
    records = records_of(run, subject)
    reasons = records.loc[records["status"] == Status.UNSUPPORTED, "reason"]
    return next(
        (f"not supported: {reason}" for reason in reasons),
        f"no law of {'time' if run.info.plan.measures('time') else 'memory'} was fitted",
    )


def _evidence(points: pd.DataFrame, law: Law | None, done: str) -> str:
    if points.empty:
        return f"No trial of this layer was {done}."
    trials = f"{words.plural(len(points), 'trial')} {done}"
    return f"{trials}; the law rests on {law.trials}" if law else trials


def _kernels(run: StoredRun, subject: Subject) -> tuple[str, ...]:
    """What ran, in the order of first use; where it was not the same at all sizes, a line for each set of names."""
    cells = records_of(run, subject)["kernels"]
    cells = cells[cells != ""]
    sets = cells.map(kernel_set)
    numbers = [(cells[sets == names].iloc[0], int((sets == names).sum())) for names in dict.fromkeys(sets)]
    lines = [(", ".join(text.replace("aten::", "").split(";")), number) for text, number in numbers]
    if len(lines) < 2:
        return tuple(line for line, _ in lines)
    return tuple(f"{line} ({words.plural(number, 'trial')})" for line, number in sorted(lines, key=lambda one: -one[1]))


def _level(law: Law | None) -> str:
    estimates = [e.estimate for e in law.exponents.values()] if law else []
    estimates += [t.coefficient for t in law.terms] if law else []
    return words.shorter(units.percent(estimates[0].level)) if estimates else ""
