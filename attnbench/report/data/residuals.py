"""How far each trial lies from the fitted law: where growth bends that the law holds straight, it shows here."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from attnbench.fitting import distributions
from attnbench.law import Law
from attnbench.report.data.columns import HIGH, INSIDE, LOW, RESIDUAL, TRIAL
from attnbench.report.data.curves import curves_of
from attnbench.store.run_folder import StoredRun
from attnbench.store.summary import median_interval

#: Part of all visits that the band of noise holds.
_LEVEL = 0.9


def residuals(run: StoredRun, points: pd.DataFrame, law: Law | None) -> pd.DataFrame:
    """The trials in the window of a law of time, with `RESIDUAL` and its interval: measured / fitted − 1.

    The interval is that of the median over visits of the fastest block, the number that is compared with the law.
    """
    found = _over_fitted(points, law)
    ends = [_located(run, trial) for trial in found[TRIAL]] if len(found) else []
    fitted = found["seconds"] / (1 + found[RESIDUAL])
    lows, highs = (np.array([pair[side] for pair in ends]) / fitted - 1 for side in (0, 1))
    return found.assign(**{LOW: np.minimum(lows, found[RESIDUAL]), HIGH: np.maximum(highs, found[RESIDUAL])})


def memory_residuals(points: pd.DataFrame, law: Law | None) -> pd.DataFrame:
    """The same for a law of memory, whose figures have no noise."""
    found = _over_fitted(points.assign(seconds=points["allocated_bytes"]), law)
    return found.assign(**{LOW: found[RESIDUAL], HIGH: found[RESIDUAL]})


def _over_fitted(points: pd.DataFrame, law: Law | None) -> pd.DataFrame:
    inside = points[points[INSIDE]]
    curves = curves_of(points, law) if law and len(inside) else {}
    if "" not in curves:
        return inside.iloc[:0].assign(**{RESIDUAL: 0.0})
    over = inside["seconds"].to_numpy(dtype=np.float64) / curves[""](inside) - 1
    return inside.assign(**{RESIDUAL: over})[np.isfinite(over)]


def _located(run: StoredRun, trial: str) -> tuple[float, float]:
    """The interval of the median over visits of their fastest blocks."""
    visits = run.visits_by_trial.get(trial, [])
    return median_interval([min(visit.block_seconds) for visit in visits if visit.block_seconds])


def band_of_noise(law: Law | None) -> tuple[float, float] | None:
    """Where `_LEVEL` of single visits lie about the law, relative to it; None where nobody knows."""
    if law is None or law.curves is None or not law.curves.scatter:
        return None
    reach = float(distributions.normal_quantile((1 + _LEVEL) / 2)) * law.curves.scatter
    return math.expm1(-reach), math.expm1(reach)
