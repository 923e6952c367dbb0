"""What a reader should know before believing a number: failures, lower bounds, drift, outliers, a busy machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attnbench import units
from attnbench.fitting.verdict.kernels import SWITCH
from attnbench.record import Status
from attnbench.report import figures, words
from attnbench.report.data.machine import DRIFT_LIMIT, reference_times
from attnbench.report.markup import picture
from attnbench.report.values import Gallery
from attnbench.store.run_folder import StoredRun

Places = np.ndarray[Any, np.dtype[np.intp]]

#: A visit from which others took more of the processor than this was not alone.
_STOLEN_LIMIT = 0.05
#: A clock that moved by more than this between visits moved their times likewise.
_CLOCK_LIMIT = 1.1
#: Dots of one kind in the figure of the reference kernel.
_MAX_REFERENCES = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader should know before believing a number: a heading, a sentence, and the cases."""

    title: str
    text: str
    lines: tuple[tuple[str, str], ...] = ()


def notices(run: StoredRun) -> tuple[Notice, ...]:
    """Every notice that applies to `run`, the gravest first."""
    trials = (_failed, _unsupported, _skipped, _switches, _lower_bounds)
    machine = (_drift, _throttled, _stolen, _moved, _outliers, _load)
    return tuple(notice for notice in (kind(run) for kind in (*trials, *machine)) if notice is not None)


def _failed(run: StoredRun) -> Notice | None:
    records = run.records
    failed = records[~records["status"].isin([Status.OK, Status.SKIPPED, Status.UNSUPPORTED])]
    lines = tuple((str(row["trial"]), f"{row['status']}: {row['reason']}") for row in failed.to_dict("records"))
    text = f"{words.plural(len(lines), 'trial')} ended without a time and took no part in any law."
    return Notice("Failed trials", text, lines) if lines else None


def _unsupported(run: StoredRun) -> Notice | None:
    text = "These layers cannot be run here in this way; none of their times took part in any law."
    lines = _reasons(run, Status.UNSUPPORTED)
    return Notice("Not supported", text, lines) if lines else None


def _skipped(run: StoredRun) -> Notice | None:
    lines = _reasons(run, Status.SKIPPED)
    text = f"{words.plural(len(lines), 'trial')} of the plan left out."
    return Notice("Skipped trials", text, lines) if lines else None


def _reasons(run: StoredRun, status: Status) -> tuple[tuple[str, str], ...]:
    rows = run.records[run.records["status"] == status]
    return tuple(zip(map(str, rows["trial"]), map(str, rows["reason"]), strict=True))


def _switches(run: StoredRun) -> Notice | None:
    lines = tuple(
        (words.subject(law.subject), words.sentence(regime))
        for law in run.found_laws
        for regime in law.regimes
        if regime.startswith(SWITCH)
    )
    text = "A library ran other kernels of these layers at some sizes; no law of time is fitted across such a switch."
    return Notice("Kernels changed", text, lines) if lines else None


def _lower_bounds(run: StoredRun) -> Notice | None:
    missing: dict[str, set[str]] = {}
    for trial in run.info.plan.trials:
        counted = run.info.plan.counted.get(trial.id)
        if counted and counted.uncounted:
            missing.setdefault(trial.layer, set()).update(counted.uncounted)
    lines = tuple((layer, ", ".join(sorted(names))) for layer, names in missing.items())
    text = "These layers ran operations that have no formula, so their counts are lower bounds, marked ≥."
    return Notice("Lower bounds", text, lines) if lines else None


def _drift(run: StoredRun) -> Notice | None:
    references = reference_times(run)
    late = references[references["ratio"] > DRIFT_LIMIT]
    lines = tuple(_slow_round(str(device), rows) for (_, device), rows in late.groupby(["round", "device"]))
    text = (
        f"The reference kernel, timed before each visit, was more than {words.exponent(DRIFT_LIMIT)} times slower than "
        "its median in these rounds. Laws rest on the faster visits of a trial, which such spells rarely touch."
    )
    return Notice("Drift of the machine", text, lines) if lines else None


def _slow_round(device: str, late: pd.DataFrame) -> tuple[str, str]:
    slowest = late.loc[[late["ratio"].idxmax()]].to_dict("records")[0]
    usual = units.seconds(slowest["seconds"] / slowest["ratio"])
    name = f"round {slowest['round']}" + (f" on {device}" if device else "")
    return name, f"reference kernel up to {words.exponent(slowest['ratio'])} times its median of {usual}"


def _outliers(run: StoredRun) -> Notice | None:
    labels = run.samples["outlier"]
    if not len(labels) or not (labels != "").any():
        return None
    shares = [f"{units.percent(float((labels == label).mean()))} {label}" for label in ("mild", "severe")]
    text = (
        f"Of {units.count(len(labels))} samples, {' and '.join(shares)} outliers by Tukey’s fences; "
        "labelled in the table of samples, never dropped."
    )
    return Notice("Outliers", text)


def _load(run: StoredRun) -> Notice | None:
    host = run.info.host
    if not host.load or host.load[0] < max(1.0, host.cores / 2):
        return None
    text = (
        f"The load average was {units.significant(host.load[0])} on {words.plural(host.cores, 'core')} when the run "
        "began: other programs were running beside it."
    )
    return Notice("A busy machine", text)


# ------------------------------------------------------------- what the machine did while it measured


def steadiness(run: StoredRun) -> Gallery:
    """The figure of the reference kernel through the run; empty where it was timed but once."""
    references = reference_times(run)
    if len(references) < 2:
        return Gallery()
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


def few_references(references: pd.DataFrame) -> pd.DataFrame:
    """Timings of the reference kernel that a figure can hold: so many late ones and so many others, evenly in time."""
    late = references["ratio"] > DRIFT_LIMIT
    kept = np.concatenate([_evenly(np.flatnonzero(part)) for part in (late, ~late)])
    return references.iloc[np.sort(kept)]


def _evenly(places: Places) -> Places:
    if len(places) <= _MAX_REFERENCES:
        return places
    kept: Places = places[np.linspace(0, len(places) - 1, _MAX_REFERENCES).round().astype(int)]
    return kept


def _throttled(run: StoredRun) -> Notice | None:
    rows = run.conditions
    held = rows[rows["throttle"] != ""]
    reasons = Counter(reason for text in held["throttle"] for reason in text.split("; "))
    lines = tuple((reason, words.plural(number, "visit")) for reason, number in reasons.most_common())
    hottest = held["temperature_c"].max()
    heat = f" It was at most {units.significant(hottest)} °C hot." if hottest == hottest else ""
    text = f"Something held the GPU’s clock down in {_of(len(held), len(rows))}, whose times are longer for it.{heat}"
    return Notice("A throttled GPU", text, lines) if lines else None


def _stolen(run: StoredRun) -> Notice | None:
    steal = run.conditions["steal"].dropna()
    much = steal[steal > _STOLEN_LIMIT]
    text = (
        f"In {_of(len(much), len(steal))}, other virtual machines took more than {units.percent(_STOLEN_LIMIT)} of the "
        f"processors’ time, at most {units.percent(float(much.max()))}. Laws rest on the faster visits of a trial."
    )
    return Notice("Stolen time", text) if len(much) else None


def _moved(run: StoredRun) -> Notice | None:
    named = {"frequency_mhz": "the processor’s cores", "sm_clock_mhz": "the GPU’s clock"}
    lines = []
    for column, name in named.items():
        known = run.conditions[column].dropna()
        low, high = (float(known.quantile(share)) for share in (0.05, 0.95)) if len(known) else (1.0, 1.0)
        if high > _CLOCK_LIMIT * low:
            lines.append((name, f"{low:.0f} to {high:.0f} MHz in nine of ten visits"))
    text = "A frequency was not the same in all visits, and what is timed follows it."
    return Notice("A clock that moved", text, tuple(lines)) if lines else None


def _of(some: int, all_: int) -> str:
    return f"{some} of {words.plural(all_, 'visit')}"
