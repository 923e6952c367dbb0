"""What a reader should know before believing a number: failures, lower bounds, drift, outliers, a busy machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnbench import units
from attnbench.fitting.verdict.kernels import SWITCH
from attnbench.record import Status
from attnbench.report import words
from attnbench.report.context import Notice
from attnbench.report.data.slices import DRIFT_LIMIT, reference_times
from attnbench.report.sections import conditions

if TYPE_CHECKING:
    import pandas as pd

    from attnbench.store.run_folder import StoredRun


def notices(run: StoredRun) -> tuple[Notice, ...]:
    """Every notice that applies to `run`, the gravest first."""
    kinds = (_failed, _unsupported, _skipped, _switches, _lower_bounds, _drift, *conditions.KINDS, _outliers, _load)
    found = (kind(run) for kind in kinds)
    return tuple(notice for notice in found if notice is not None)


def _failed(run: StoredRun) -> Notice | None:
    records = run.records
    failed = records[~records["status"].isin([Status.OK, Status.SKIPPED, Status.UNSUPPORTED])]
    lines = tuple((str(row["trial"]), f"{row['status']}: {row['reason']}") for row in failed.to_dict("records"))
    text = f"{words.plural(len(lines), 'trial')} ended without a time and took no part in any law."
    return Notice("Failed trials", text, lines) if lines else None


def _unsupported(run: StoredRun) -> Notice | None:
    records = run.records
    refused = records[records["status"] == Status.UNSUPPORTED]
    lines = tuple((str(row["trial"]), str(row["reason"])) for row in refused.to_dict("records"))
    text = "These layers cannot be run here in this way; none of their times took part in any law."
    return Notice("Not supported", text, lines) if lines else None


def _skipped(run: StoredRun) -> Notice | None:
    records = run.records
    skipped = records[records["status"] == Status.SKIPPED]
    lines = tuple((str(row["trial"]), str(row["reason"])) for row in skipped.to_dict("records"))
    text = f"{words.plural(len(lines), 'trial')} of the plan left out."
    return Notice("Skipped trials", text, lines) if lines else None


def _switches(run: StoredRun) -> Notice | None:
    lines = tuple(
        (f"{law.layer} ({law.choices!s})", words.sentence(regime))
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
