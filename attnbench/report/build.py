"""A stored run → the values of its page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from attnbench.report import words
from attnbench.report.context import IndexRow, PageContext
from attnbench.report.data.points import subjects
from attnbench.report.markup import chip
from attnbench.report.sections.answer import answer, counted_answer, facts, title
from attnbench.report.sections.counted import counted, counted_limits
from attnbench.report.sections.crossovers import crossovers
from attnbench.report.sections.environment import environment, files
from attnbench.report.sections.glance import glance
from attnbench.report.sections.layer.detail import detail
from attnbench.report.sections.layer.section import section
from attnbench.report.sections.notices import notices, steadiness
from attnbench.report.sections.rooflines import rooflines
from attnbench.report.sections.side_by_side import side_by_side
from attnbench.report.sections.structure.growth import structure
from attnbench.report.sections.structure.positions import positions
from attnbench.report.sections.structure.weights import weight_gallery
from attnbench.report.sections.table1 import table1
from attnbench.report.sections.trials import outcomes, trials
from attnbench.report.sections.verdicts import verdicts
from attnbench.report.sections.winners import winners
from attnbench.report.toml import as_toml
from attnbench.store.overview import Overview
from attnbench.store.run_folder import StoredRun

_UNSAFE_IN_NAMES = re.compile(r"[^\w.-]+")


def build_context(run: StoredRun, folder: Path | None = None) -> PageContext:
    """Everything the page of `run` says, as text, MathML and figures.

    Args:
        run: what the page is about.
        folder: where the page will lie; without it, the page has no links to the files of the run.
    """
    anchors = {subject: f"layer-{number}" for number, subject in enumerate(subjects(run), start=1)}
    timed = bool(run.info.plan.trials) or run.info.plan.measures("time")
    return PageContext(
        title=title(run),
        question=run.info.plan.suite.question,
        answer=answer(run) if timed else counted_answer(run),
        counted_answer=counted_answer(run) if timed else "",
        facts=facts(run, timed),
        table1=table1(run),
        verdicts=verdicts(run, anchors),
        glance=glance(run),
        side_by_side=side_by_side(run),
        positions=positions(run),
        weights=weight_gallery(run),
        crossovers=crossovers(run),
        structure=structure(run),
        winners=winners(run),
        rooflines=rooflines(run),
        counted=counted(run),
        counted_limits=counted_limits(run),
        timed=timed,
        sections=tuple(
            section(run, s, anchor, detail(run, place)) for place, (s, anchor) in enumerate(anchors.items())
        ),
        trials=trials(run),
        trials_summary=f"{words.plural(len(run.info.plan.trials), 'trial')}: {outcomes(run)}",
        notices=notices(run),
        steadiness=steadiness(run),
        environment=environment(run),
        command=run.info.command,
        files=files(run, folder),
        suite=as_toml(run.info.plan.suite.as_json()),
        version=run.info.version,
    )


def index_row(run: Overview) -> IndexRow:
    """One run in the list of runs."""
    planned, skipped, unsupported = run.trials
    counts = ((planned - skipped - unsupported, "planned"), (skipped, "skipped"), (unsupported, "unsupported"))
    return IndexRow(
        title=run.title or run.name,
        question=run.question,
        name=run.name,
        href="" if run.damage else quote(file_name(run.name)),
        started=run.started,
        when=words.moment(run.started) if run.started else "",
        host=run.host,
        trials=", ".join(f"{number} {word}" for number, word in counts if number) or "none planned",
        chips=tuple((chip(verdict), str(count)) for verdict, count in run.verdicts.items()),
        layers=run.layers,
        suite=run.suite,
        verdicts=words.tally_text(run.verdicts) if run.verdicts else "no claim judged",
        state=run.damage or ("" if run.finished else "Its laws are not fitted: it was cut off, or has not ended yet."),
    )


def file_name(run: str) -> str:
    """``<run name>.html``; a name that could leave the folder or break a link is made harmless."""
    safe = _UNSAFE_IN_NAMES.sub("-", run).strip(".-")[:120]
    return f"{safe or 'run'}.html"
