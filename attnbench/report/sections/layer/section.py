"""The section of one layer: its figures with their text alternatives, and the tables below them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from attnbench import units
from attnbench.fitting.verdict.kernels import kernel_set
from attnbench.record import Status
from attnbench.report import figures, words
from attnbench.report.context import Gallery, PartRow, Section, SpecificationRow, TermRow
from attnbench.report.data.slices import (
    INSIDE,
    LINE,
    PART,
    growth,
    local_exponents,
    memory_law,
    rate_map,
    time_law,
    timed_points,
    varying_axes,
    weighed_points,
)
from attnbench.report.markup import chip, law_found, math_text, picture
from attnbench.report.sections.layer.detail import Detail, left_out
from attnbench.report.sections.layer.memory import memory_part
from attnbench.report.sections.layer.residuals import residual_gallery, residuals
from attnbench.report.sections.layer.samples import sample_gallery, strips
from attnbench.report.sections.layer.shares import counted_formula, share_gallery

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from attnbench.law import Law
    from attnbench.report.data.slices import Growth, LocalExponents
    from attnbench.store.run_folder import StoredRun
    from attnbench.trial import Subject


def section(run: StoredRun, subject: Subject, anchor: str, drawn: Detail = Detail.ALL) -> Section:
    """Everything the page says about `subject`; `drawn` says which figures."""
    timed = run.info.plan.measures("time")
    metric, done = ("time", "timed") if timed else ("memory", "measured")
    law = time_law(run, subject) if timed else memory_law(run, subject)
    points = timed_points(run, subject, law)
    axes = varying_axes(points, law)
    weighed = weighed_points(run, subject, law)
    shown = axes if drawn else []
    closely = axes if drawn is Detail.ALL else []
    specified = _specification_axes(law)
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
        time=_time_gallery(points, shown, law, subject),
        memory=memory_part(run, subject, drawn),
        residuals=residual_gallery(residuals(run, points, law), closely, law, f"{name(subject)}, time")
        if timed and closely
        else Gallery(),
        local=_local_gallery(points, closely, law, subject),
        shares=share_gallery(points, closely, law, counted_formula(run, subject, "time"), name(subject))
        if timed
        else Gallery(),
        samples=sample_gallery(strips(run, points), name(subject)) if closely else Gallery(),
        samples_summary=f"The timed blocks of {words.plural(len(points), 'trial')}",
        rates=_rate_gallery(run, law, subject) if drawn is Detail.ALL else Gallery(),
        specifications=_specification_gallery(law, specified if drawn is Detail.ALL else (), subject),
        terms=_term_rows(law),
        parts=_part_rows(law) if timed else (),
        specification_summary=words.plural(len(law.specifications), "way") + " to fit" if law else "",
        specification_axes=specified,
        specification_rows=_specification_rows(law, specified),
    )


def _why_none(run: StoredRun, subject: Subject) -> str:
    records = run.records[run.records["layer"] == subject.layer].to_dict("records")
    reasons = (f"not supported: {row['reason']}" for row in records if _is_unsupported(row, subject))
    return next(reasons, f"no law of {'time' if run.info.plan.measures('time') else 'memory'} was fitted")


def _is_unsupported(row: dict[Any, Any], subject: Subject) -> bool:
    return row["status"] == Status.UNSUPPORTED and all(row[k] == v for k, v in asdict(subject.choices).items())


def name(subject: Subject) -> str:
    """How figures call a subject."""
    return f"{subject.layer} ({subject.choices!s})"


def _evidence(points: pd.DataFrame, law: Law | None, done: str) -> str:
    if points.empty:
        return f"No trial of this layer was {done}."
    said = f"{words.plural(len(points), 'trial')} {done}"
    return f"{said}; the law rests on {law.trials}" if law else said


def _kernels(run: StoredRun, subject: Subject) -> tuple[str, ...]:
    """What ran, in the order of first use; where it was not the same at all sizes, a line for each set of names."""
    trials = {trial.id for trial in run.info.plan.trials if trial.subject == subject}
    records = run.records
    cells = records.loc[records["trial"].isin(trials) & (records["kernels"] != ""), "kernels"]
    sets = cells.map(kernel_set)
    told = [(cells[sets == names].iloc[0], int((sets == names).sum())) for names in dict.fromkeys(sets)]
    lines = [(", ".join(text.replace("aten::", "").split(";")), number) for text, number in told]
    if len(lines) < 2:
        return tuple(line for line, _ in lines)
    return tuple(f"{line} ({words.plural(number, 'trial')})" for line, number in sorted(lines, key=lambda one: -one[1]))


def _level(law: Law | None) -> str:
    estimates = [e.estimate for e in law.exponents.values()] if law else []
    estimates += [t.coefficient for t in law.terms] if law else []
    return words.shorter(units.percent(estimates[0].level)) if estimates else ""


# --------------------------------------------------------------------------------------------------- figures


def _time_gallery(points: pd.DataFrame, axes: list[str], law: Law | None, subject: Subject) -> Gallery:
    slices = [growth(points, axis, law) for axis in axes]
    pictures = tuple(
        picture(figures.time_growth(data), f"{name(subject)}: time against {words.axis_phrase(data.axis)}", text)
        for data, text in zip(slices, map(_describe_growth, slices), strict=True)
    )
    return Gallery(pictures, _growth_caption(slices), tuple(axes)) if pictures else Gallery()


def _growth_caption(slices: list[Growth]) -> str:
    parts = [
        "Dots are the median over visits of their fastest blocks, which the law is read from",
        "bars the interval of the median block",
    ]
    curves = [set(data.curves[PART]) for data in slices]
    if any("" in parts_drawn for parts_drawn in curves):
        parts.append("solid lines the fitted law")
    if any(len(parts_drawn) > 1 for parts_drawn in curves):
        parts.append("dotted lines its terms at the largest sizes")
    if any(data.slope is not None for data in slices):
        parts.append("the dashed line the slope that was claimed")
    if any(not data.points[INSIDE].all() for data in slices):
        parts.append("hollow dots lie outside the window")
    return f"{', '.join(parts[:-1])}; {parts[-1]}. Both scales are logarithmic."


def _describe_growth(data: Growth) -> str:
    points = data.points
    by_time = points.sort_values("seconds").to_dict("records")
    low, high = by_time[0], by_time[-1]
    return " ".join(
        [
            f"{words.plural(len(points), 'trial')} on logarithmic scales,",
            f"{words.plural(points[LINE].nunique(), 'line')} for the other sizes.",
            f"Time goes from {units.seconds(low['seconds'])} at {data.axis}={round(low[data.axis])}",
            f"to {units.seconds(high['seconds'])} at {data.axis}={round(high[data.axis])}.",
            f"The claim grows as {data.axis} to the power {words.power(data.slope)}." if data.slope is not None else "",
        ]
    ).strip()


def _local_gallery(points: pd.DataFrame, axes: list[str], law: Law | None, subject: Subject) -> Gallery:
    slices = [data for data in (local_exponents(points, axis, law) for axis in axes) if len(data.points)]
    pictures = tuple(
        picture(figures.local_exponents(data), f"{name(subject)}: local exponent of {data.axis}", _describe_local(data))
        for data in slices
    )
    shown = tuple(data.axis for data in slices)
    return Gallery(pictures, _local_caption(slices), shown) if pictures else Gallery()


def _local_caption(slices: list[LocalExponents]) -> str:
    parts = ["Each dot is the slope between two neighbouring sizes, in the colours above"]
    if any(data.exponent for data in slices):
        parts.append("the band is the fitted exponent’s interval")
    if any(len(data.curves) for data in slices):
        parts.append("thin lines are the slope of the fitted law")
    if any(data.slope is not None for data in slices):
        parts.append("the dashed line is the claim")
    return f"{'; '.join(parts)}. A trend here is a law of more than one term."


def _describe_local(data: LocalExponents) -> str:
    values = data.points["exponent"]
    text = (
        f"{words.plural(len(values), 'slope')} between neighbouring sizes, from {words.exponent(values.min())} "
        f"to {words.exponent(values.max())}, middle {words.exponent(values.median())}."
    )
    if data.exponent:
        estimate = data.exponent.estimate
        text += f" Fitted: {words.exponent(estimate.value)} {words.interval(estimate)}."
    return text + (f" Claimed: {words.power(data.slope)}." if data.slope is not None else "")


def _rate_gallery(run: StoredRun, law: Law | None, subject: Subject) -> Gallery:
    data = rate_map(run, subject, law)
    if data is None:
        return Gallery()
    rates = data.rates.to_numpy(dtype="float64")
    rates = rates[np.isfinite(rates)]
    text = (
        f"{words.plural(len(rates), 'pilot measurement')} over n and d. The rate goes from "
        f"{units.flops_per_second(float(rates.min()))} to {units.flops_per_second(float(rates.max()))}."
    )
    drawn = picture(figures.rate_map(data), f"{name(subject)}: achieved rate over n and d", text)
    held = ", ".join(f"{axis} = {size}" for axis, size in data.others.items())
    return Gallery(
        (drawn,),
        "Achieved FLOP/s in the pilot"
        + (f" at {held}" if held else "")
        + (", with the window of the law outlined" if law and law.window else "")
        + ". Where the rate still climbs, time grows more slowly than the work.",
    )


def _specification_axes(law: Law | None) -> tuple[str, ...]:
    if law is None:
        return ()
    return tuple(dict.fromkeys(axis for row in law.specifications for axis in row.exponents))


def _specification_gallery(law: Law | None, axes: tuple[str, ...], subject: Subject) -> Gallery:
    if law is None or len(law.specifications) < 2:
        return Gallery()
    caption = (
        "Every admissible window and model, fitted to the same data: their spread is inside the interval (band)."
        if law.exponents
        else "What the terms leave over under every admissible window and model: a law that fits leaves nothing."
    )
    return Gallery(tuple(_specification_picture(law, axis, subject) for axis in axes), caption, axes)


def _specification_picture(law: Law, axis: str, subject: Subject) -> Markup:
    values = [row.exponents[axis] for row in law.specifications if axis in row.exponents]
    text = (
        f"{words.plural(len(values), 'way')} to fit give exponents of {axis} from {words.exponent(min(values))} "
        f"to {words.exponent(max(values))}."
    )
    exponent = law.exponents.get(axis)
    figure = figures.specification_curve(axis, values, exponent.estimate if exponent else None)
    return picture(figure, f"{name(subject)}: specification curve of {axis}", text)


# ---------------------------------------------------------------------------------------------------- tables


def _term_rows(law: Law | None) -> tuple[TermRow, ...]:
    written = units.nbytes if law and law.metric == "memory" else units.seconds
    return tuple(
        TermRow(
            math_text(row.term),
            written(row.coefficient.value),
            f"[{written(row.coefficient.low)}, {written(row.coefficient.high)}]",
            units.percent(row.share),
        )
        for row in (law.terms if law else ())
    )


def _part_rows(law: Law | None) -> tuple[PartRow, ...]:
    return tuple(
        PartRow(
            axis,
            words.exponent(row.local),
            units.percent(row.overhead),
            "—" if row.operations is None else words.exponent(row.operations),
            "—" if row.efficiency is None else words.exponent(row.efficiency),
        )
        for axis, row in (law.parts.items() if law else ())
    )


def _specification_rows(law: Law | None, axes: tuple[str, ...]) -> tuple[SpecificationRow, ...]:
    return tuple(
        SpecificationRow(
            row.name, tuple(words.exponent(row.exponents[axis]) if axis in row.exponents else "—" for axis in axes)
        )
        for row in (law.specifications if law else ())
    )
