"""What a run knows of its trials, samples, visits and laws, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from attnbench.law import Law
from attnbench.plan.plan import Plan
from attnbench.record import Conditions, Status, Visit
from attnbench.store.summary import TUKEY_LABELS, fence_labels, summarise
from attnbench.trial import AXES, CHOICES, Trial, ordered

#: Whole numbers that are counted for each trial, and those that are measured once.
_COUNTS = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth")
_PEAKS = ("allocated_bytes", "resident_bytes")
#: Columns of a record after those of its choices and sizes.
_COLUMNS = """
    status reason seconds seconds_low seconds_high seconds_median samples visits flops parameters peak_bytes saved_bytes
    allocated_bytes resident_bytes depth hops lower_bound first_call_seconds compile_seconds floor_seconds kernels host
""".split()


def records(plan: Plan, host: str, visits: Mapping[str, Sequence[Visit]]) -> pd.DataFrame:
    """One row a trial; `visits` are those of each trial, by its id."""
    axes = _axes(plan)
    rows = [_record(plan, host, trial, visits.get(trial.id, ())) for trial in plan.trials]
    frame = pd.DataFrame(rows, columns=["trial", "layer", *CHOICES, *axes, *_COLUMNS])
    return frame.astype(dict.fromkeys([*axes, *_COUNTS, *_PEAKS], "Int64"))


def samples(visits: Sequence[Visit]) -> pd.DataFrame:
    """One row a timed block."""
    rows = [
        (v.trial, v.process, v.round, block, v.iterations, seconds)
        for v in visits
        for block, seconds in enumerate(v.block_seconds)
    ]
    columns = ["trial", "process", "round", "block", "iterations", "seconds"]
    frame = pd.DataFrame(rows, columns=columns).astype({"trial": "str", "seconds": "float64"})
    by_trial = frame.groupby("trial")["seconds"]
    first, third = (by_trial.transform("quantile", share).to_numpy() for share in (0.25, 0.75))
    labels = fence_labels(frame["seconds"].to_numpy(), first, third)
    return frame.assign(outlier=np.array(TUKEY_LABELS)[labels])


def conditions(visits: Sequence[Visit]) -> pd.DataFrame:
    """One row a visit: when it was made, and under what."""
    known = [one.name for one in fields(Conditions)]
    rows = [
        (v.trial, v.process, v.round, v.started, *(getattr(v.conditions or Conditions(), name) for name in known))
        for v in visits
    ]
    frame = pd.DataFrame(rows, columns=["trial", "process", "round", "started", *known])
    return frame.astype({"trial": "str", **dict.fromkeys(known[:-1], "float64")}).assign(
        throttle=["; ".join(words) for words in frame["throttle"]]
    )


def laws(found: Sequence[Law]) -> pd.DataFrame:
    """One row a law, intervals as text."""
    rows = [
        {
            "layer": law.layer,
            "device": law.choices.device,
            "metric": law.metric,
            "claim": law.claim,
            "formula": law.formula,
            "verdict": str(law.verdict),
            **{f"{axis}_exponent": e.estimate.value for axis, e in law.exponents.items()},
            **{f"{axis}_half_width": e.estimate.half_width for axis, e in law.exponents.items()},
            "trials": law.trials,
            "reason": law.reason,
        }
        for law in found
    ]
    return pd.DataFrame(rows)


def _axes(plan: Plan) -> list[str]:
    present = {axis for trial in plan.trials for axis in trial.sizes}
    return list(ordered(dict.fromkeys({*AXES, *present}, 0)))


def _record(plan: Plan, host: str, trial: Trial, visits: Sequence[Visit]) -> dict[str, Any]:
    counted = plan.counted.get(trial.id)
    status, reason = _outcome(plan, trial.id, visits)
    summary = summarise([visit.block_seconds for visit in visits if visit.metric == "time"])
    memory = next((visit for visit in visits if visit.metric == "memory"), None)
    return {
        "trial": trial.id,
        "layer": trial.layer,
        **asdict(trial.choices),
        **trial.sizes,
        "status": str(status),
        "reason": reason,
        **summary,
        "visits": len(visits),
        **{count: _whole(getattr(counted, count, None)) for count in _COUNTS},
        **{peak: _whole(getattr(memory, peak, None)) for peak in _PEAKS},
        "hops": counted.hops if counted else None,
        "lower_bound": bool(counted.uncounted) if counted else None,
        "first_call_seconds": next((v.first_call_seconds for v in visits if v.first_call_seconds is not None), None),
        "compile_seconds": next((v.compile_seconds for v in visits if v.compile_seconds is not None), None),
        "floor_seconds": plan.floors.get(trial.subject.id),
        "kernels": ";".join(next((visit.kernels for visit in visits if visit.kernels), ())),
        "host": host,
    }


def _whole(value: int | None) -> Any:
    """A cell of whole numbers: None would make floats of its column, exact to 2**53 only."""
    return pd.NA if value is None else value


def _outcome(plan: Plan, trial: str, visits: Sequence[Visit]) -> tuple[Status, str]:
    if trial in plan.unsupported:
        return Status.UNSUPPORTED, plan.unsupported[trial]
    if trial in plan.skipped:
        return Status.SKIPPED, plan.skipped[trial]
    failed = next((visit for visit in visits if visit.status is not Status.OK), None)
    if failed is not None:
        return failed.status, failed.reason
    last = "time" if plan.measures("time") else "memory"
    reached = any(visit.metric == last for visit in visits)
    return (Status.OK, "") if reached else (Status.SKIPPED, "the run ended before this trial was visited")
