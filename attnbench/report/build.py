"""A stored run → the values of its page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from attnbench import units
from attnbench.law import MARGIN, Verdict
from attnbench.record import MEASURED_METRICS, Status
from attnbench.report import figures, words
from attnbench.report.context import (
    CountedLayer,
    CountedRow,
    ExponentText,
    Fact,
    Gallery,
    IndexRow,
    PageContext,
    ShareText,
    TrialRow,
    VerdictRow,
)
from attnbench.report.data.slices import DRIFT_LIMIT, reference_times, subjects
from attnbench.report.markup import chip, law_found, math_text, picture
from attnbench.report.sections.crossovers import overtaking
from attnbench.report.sections.environment import environment, files
from attnbench.report.sections.layer.detail import detail, few_references
from attnbench.report.sections.layer.section import section
from attnbench.report.sections.notices import notices
from attnbench.report.sections.rooflines import rooflines
from attnbench.report.sections.side_by_side import beside
from attnbench.report.sections.structure.growth import structure
from attnbench.report.sections.structure.positions import positions
from attnbench.report.sections.structure.weights import weight_gallery
from attnbench.report.sections.table1 import table_one
from attnbench.report.sections.winners import territories
from attnbench.report.toml import as_toml
from attnbench.trial import describe, differences, ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from attnbench.law import Law
    from attnbench.store.overview import Overview
    from attnbench.store.run_folder import StoredRun
    from attnbench.trial import Subject, Trial

_UNSAFE_IN_NAMES = re.compile(r"[^\w.-]+")


def build_context(run: StoredRun, folder: Path | None = None) -> PageContext:
    """Everything the page of `run` says, as text, MathML and figures.

    Args:
        run: what the page is about.
        folder: where the page will lie; without it, the page has no links to the files of the run.
    """
    anchors = {subject: f"layer-{number}" for number, subject in enumerate(subjects(run), start=1)}
    references = reference_times(run)
    timed = bool(run.info.plan.trials) or run.info.plan.measures("time")
    return PageContext(
        title=title(run),
        question=run.info.plan.suite.question,
        answer=_answer(run) if timed else _counted_answer(run),
        counted_answer=_counted_answer(run) if timed else "",
        facts=_facts(run, timed),
        table_one=table_one(run),
        verdicts=tuple(_verdict_row(law, anchors, _anchor(law, anchors)) for law in _judged(run)),
        forest=_forest(run),
        beside=beside(run),
        positions=positions(run),
        weights=weight_gallery(run),
        overtaking=overtaking(run),
        structure=structure(run),
        territories=territories(run),
        rooflines=rooflines(run),
        counted=_counted(run),
        counted_limits=_counted_limits(run),
        timed=timed,
        sections=tuple(
            section(run, s, anchor, detail(run, place)) for place, (s, anchor) in enumerate(anchors.items())
        ),
        trials=tuple(map(_trial_row, run.info.plan.trials, run.records.to_dict("records"))),
        trials_summary=f"{words.plural(len(run.info.plan.trials), 'trial')}: {_trials_summary(run)}",
        notices=notices(run),
        steadiness=_steadiness(references) if len(references) > 1 else Gallery(),
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


def title(run: StoredRun) -> str:
    """The suite's title, or its name."""
    return run.info.plan.suite.title or run.info.plan.suite.name or run.info.name


def file_name(run: str) -> str:
    """``<run name>.html``; a name that could leave the folder or break a link is made harmless."""
    safe = _UNSAFE_IN_NAMES.sub("-", run).strip(".-")[:120]
    return f"{safe or 'run'}.html"


# ------------------------------------------------------------------------------------------------- the answer


def _measured(run: StoredRun) -> list[Law]:
    return [law for law in run.found_laws if law.metric in MEASURED_METRICS]


def _answer(run: StoredRun) -> str:
    laws = _measured(run)
    counts = words.tally(laws)
    if not counts:
        what = words.listing(metric for metric in MEASURED_METRICS if run.info.plan.measures(metric))
        return (
            f"Laws of {what} were inferred; none was claimed."
            if laws
            else f"No claim about {what} has been judged yet."
        )
    return f"{words.tally_text(counts)} on {_where(run, laws)}."


def _where(run: StoredRun, laws: Sequence[Law]) -> str:
    devices = dict.fromkeys(law.choices.device for law in laws)
    places = [run.info.host.cpu if device in ("", "cpu") else device for device in devices]
    threads = dict.fromkeys(law.choices.threads for law in laws)
    dtypes = dict.fromkeys(law.choices.dtype for law in laws if law.choices.dtype)
    modes = dict.fromkeys(law.choices.mode for law in laws)
    said = (words.listing(places), words.threads(threads), words.listing(dtypes))
    return ", ".join(filter(None, (*said, "" if list(modes) == ["forward"] else words.listing(modes))))


def _counted_answer(run: StoredRun) -> str:
    counts = words.tally(law for law in run.found_laws if law.metric not in MEASURED_METRICS)
    total, confirmed = sum(counts.values()), counts.get(Verdict.CONFIRMED, 0)
    if not total:
        return ""
    if confirmed == total:
        return "The counted claim holds." if total == 1 else f"All {total} counted claims hold."
    return f"{confirmed} of {words.plural(total, 'counted claim')} {'holds' if confirmed == 1 else 'hold'}."


def _facts(run: StoredRun, timed: bool) -> tuple[Fact, ...]:
    host = run.info.host
    machine = f"{host.cpu}, {words.plural(host.cores, 'core')}"
    return (
        Fact("Measured", words.moment(run.info.started)),
        Fact("Machine", machine),
        Fact("Suite", run.info.plan.suite.name),
        *([Fact("Trials", _trials_summary(run))] if timed else []),
    )


def _trials_summary(run: StoredRun) -> str:
    counts = run.records["status"].value_counts()
    shown = [f"{counts[status]} {status}" for status in map(str, Status) if status in counts]
    return ", ".join(shown) or "none planned"


# ------------------------------------------------------------------------------------------------- the tables


def _judged(run: StoredRun) -> list[Law]:
    """Laws for the first table: the measured ones, and counted ones that do not simply hold."""
    if measured := _measured(run):
        plain = (Verdict.CONFIRMED, Verdict.INFERRED)
        return measured + [
            law for law in run.found_laws if law.metric not in MEASURED_METRICS and law.verdict not in plain
        ]
    return [law for law in run.found_laws if law.claim is not None]


def _anchor(law: Law, anchors: dict[Subject, str]) -> str:
    return anchors.get(law.subject, "") if law.metric in MEASURED_METRICS else "counted"


def _verdict_row(law: Law, anchors: dict[Subject, str], anchor: str) -> VerdictRow:
    several = sum(subject.layer == law.layer for subject in anchors) > 1
    return VerdictRow(
        layer=law.layer,
        anchor=anchor,
        conditions=str(law.choices) if several and law.metric in MEASURED_METRICS else "",
        metric=words.METRIC_WORDS.get(law.metric, law.metric),
        claim=math_text(law.claim),
        found=law_found(law),
        exponents=_exponents(law),
        shares=_shares(law) if law.metric in MEASURED_METRICS and not law.exponents else (),
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


def _shares(law: Law) -> tuple[ShareText, ...]:
    return tuple(ShareText(math_text(row.term), units.percent(row.share)) for row in law.terms)


def _counted(run: StoredRun) -> tuple[CountedLayer, ...]:
    laws: dict[str, list[Law]] = {}
    for law in run.found_laws:
        if law.metric not in MEASURED_METRICS:
            laws.setdefault(law.layer, []).append(law)
    return tuple(
        CountedLayer(layer, run.info.plan.scopes.get(layer, found[0].scope), tuple(_counted_rows(found)))
        for layer, found in laws.items()
    )


def _counted_limits(run: StoredRun) -> tuple[Fact, ...]:
    """What each counted number is, and what it does not see."""
    metrics = dict.fromkeys(law.metric for law in run.found_laws)
    return tuple(Fact(words.METRIC_WORDS[m], words.METRIC_LIMITS[m]) for m in metrics if m in words.METRIC_LIMITS)


def _counted_rows(laws: Sequence[Law]) -> Iterator[CountedRow]:
    """A row for each law of one layer, one metric after the other; several of one metric say what each is about."""
    by_metric: dict[str, list[Law]] = {}
    for law in laws:
        by_metric.setdefault(law.metric, []).append(law)
    for found in by_metric.values():
        told = differences(law.choices for law in found)
        yield from (_counted_row(law, told[law.choices]) for law in found)


def _counted_row(law: Law, about: str) -> CountedRow:
    return CountedRow(
        metric=" · ".join(filter(None, (words.METRIC_WORDS.get(law.metric, law.metric), about))),
        formula=math_text(law.formula),
        claim=math_text(law.claim),
        chip=chip(law.verdict),
        reason=words.sentence(law.reason),
        lower_bound=law.lower_bound,
    )


def _trial_row(trial: Trial, row: dict[Any, Any]) -> TrialRow:
    seconds, flops = _number(row["seconds"]), _number(row["flops"])
    low, high = _number(row["seconds_low"]), _number(row["seconds_high"])
    return TrialRow(
        trial=trial.id,
        status=str(row["status"]),
        sizes=describe(trial.sizes),
        seconds=_text(units.seconds, seconds),
        median=_text(units.seconds, _number(row["seconds_median"])),
        interval="—" if low is None or high is None else f"[{units.seconds(low)}, {units.seconds(high)}]",
        samples=units.count(row["samples"]),
        flops=("≥ " if _number(row["lower_bound"]) else "") + _text(units.flops, flops),
        rate=_text(units.flops_per_second, flops / seconds if seconds and flops else None),
        peak_bytes=_text(units.nbytes, _number(row["peak_bytes"])),
        allocated=_text(units.nbytes, _number(row["allocated_bytes"])),
        resident=_text(units.nbytes, _number(row["resident_bytes"])),
    )


def _number(value: Any) -> float | None:
    """A cell of a table, None where it is empty."""
    return None if pd.isna(value) else float(value)


def _text(written: Callable[[float], str], value: float | None) -> str:
    return "—" if value is None else written(value)


# ------------------------------------------------------------------------------------- figures of the whole run


def forest_rows(run: StoredRun) -> dict[str, list[figures.ForestRow]]:
    """Axis → the exponents of all measured laws along it."""
    rows: dict[str, list[figures.ForestRow]] = {}
    laws = _measured(run)
    told = {law.layer: differences(o.choices for o in laws if o.layer == law.layer) for law in laws}
    several = len({law.metric for law in laws}) > 1
    for law in laws:
        words_of_law = (law.layer, law.metric if several else "", told[law.layer][law.choices])
        label = " · ".join(filter(None, words_of_law))
        for axis, e in law.exponents.items():
            rows.setdefault(axis, []).append(figures.ForestRow(label, e.estimate, e.claimed, law.verdict))
    return {axis: rows[axis] for axis in ordered(dict.fromkeys(rows, 0))}


def _forest(run: StoredRun) -> Gallery:
    rows = forest_rows(run)
    pictures = tuple(
        picture(figures.forest(axis, found), f"Exponents of {words.axis_phrase(axis)}", _describe_forest(found))
        for axis, found in rows.items()
    )
    return Gallery(pictures, _FOREST_CAPTION, tuple(rows)) if pictures else Gallery()


_FOREST_CAPTION = (
    "Dot and bar are a fitted exponent and its interval, in the colour of its verdict; the upright stroke is the claim "
    f"and the box the margin of ±{words.power(MARGIN)} that the whole bar has to fit into. "
    "Laws of several terms have no single exponent and are shown in their own sections."
)


def _describe_forest(rows: Sequence[figures.ForestRow]) -> str:
    parts = []
    for row in rows:
        claim = "no claim" if row.claimed is None else f"claim {words.power(row.claimed)}"
        value = f"{words.exponent(row.estimate.value)} {words.interval(row.estimate)}"
        parts.append(f"{row.label}: {value}, {claim}, {words.VERDICT_WORDS[row.verdict].lower()}.")
    return " ".join(parts)


def _steadiness(references: pd.DataFrame) -> Gallery:
    late = int((references["ratio"] > DRIFT_LIMIT).sum())
    text = (
        f"{words.plural(len(references), 'timing')} of the reference kernel through the run; {late} of them above "
        f"{words.exponent(DRIFT_LIMIT)} times the median."
    )
    shown = few_references(references)
    drawn = picture(figures.steadiness(shown), "Steadiness of the machine through the run", text)
    caption = (
        "The same small matrix product, timed before every visit. Dots above the band are more than "
        f"{words.exponent(DRIFT_LIMIT)} times the median."
        + (f" Shown are {len(shown)} of {len(references)} timings." if len(shown) < len(references) else "")
    )
    return Gallery((drawn,), caption)
