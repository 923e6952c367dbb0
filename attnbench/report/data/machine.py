"""What the machine did: the rates that it reached before the plan, and its reference kernel through the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from attnbench.law import Law
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Sizes, Subject, ordered

#: A reference kernel this much slower than its median speaks of a disturbed machine.
DRIFT_LIMIT = 1.15


@dataclass(frozen=True)
class RateMap:
    """Achieved FLOP/s over n (columns) and d (rows), the sizes of the other axes, and the window."""

    rates: pd.DataFrame
    others: dict[str, int]
    window: Mapping[str, tuple[int, int]]


def rate_map(run: StoredRun, subject: Subject, law: Law | None) -> RateMap | None:
    """Rates that the pilot saw over n and d; of several slabs of the other axes, the one with the most points."""
    slabs: dict[tuple[tuple[str, int], ...], list[tuple[int, int, float]]] = {}
    for sizes, rate in _rates(run, subject):
        others = tuple((axis, size) for axis, size in ordered(sizes).items() if axis not in ("n", "d"))
        slabs.setdefault(others, []).append((sizes["n"], sizes["d"], rate))
    if not slabs:
        return None
    others = max(slabs, key=lambda key: len(slabs[key]))
    frame = pd.DataFrame(slabs[others], columns=["n", "d", "rate"])
    rates = frame.pivot_table(index="d", columns="n", values="rate", aggfunc="max").sort_index(ascending=False)
    return RateMap(rates, dict(others), law.window if law else {}) if rates.size > 1 else None


def _rates(run: StoredRun, subject: Subject) -> Iterator[tuple[Sizes, float]]:
    """Sizes and FLOP/s of what the pilot timed of `subject` over n and d; an early run did not tell every choice."""
    choices = asdict(subject.choices).items()
    for row in run.calibration_by_layer.get(subject.layer, ()):
        sizes, flops, seconds = row.get("sizes", {}), row.get("flops"), row.get("seconds")
        if (
            flops
            and seconds
            and {"n", "d"} <= set(sizes)
            and all(row.get(key, value) == value for key, value in choices)
        ):
            yield sizes, flops / seconds


def reference_times(run: StoredRun) -> pd.DataFrame:
    """The drift reference at each visit: ``device, round, started, seconds``, and ``ratio`` to the device's median."""
    devices = {trial.id: trial.choices.device for trial in run.info.plan.trials}
    rows = [
        (devices.get(v.trial, ""), v.round, v.started, v.reference_seconds)
        for v in run.visits
        if v.reference_seconds is not None
    ]
    frame = pd.DataFrame(rows, columns=["device", "round", "started", "seconds"]).astype({"seconds": "float64"})
    return frame.assign(ratio=frame["seconds"] / frame.groupby("device")["seconds"].transform("median"))
