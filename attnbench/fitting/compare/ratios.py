"""How much slower each trial is in one run than in another, with intervals that hold when nothing changed.

A process is the unit that repeats. Its visits share its memory layout and its luck, so a trial's times within one
process say little about the next process, and samples within a visit nothing at all. The model of the logarithm of a
visit's median time is ``trial + what all trials share in this visit + what this process does to this trial + noise``:

* what all trials of a process share is found by medians over the trials, and its variance from the processes of both
  runs;
* what a process does to one trial leaves a variance for each trial, with as many degrees of freedom as there are
  processes beyond the first in each run. That is one or two, so it is shrunk towards what all trials show together: an
  inverse gamma prior whose two parameters are fitted to the variances themselves (Smyth 2004). A trial that is noisier
  than others stays noisier, and none is quiet by luck.

A change is tested against the smallest one that matters, not against zero (McCarthy and Smyth 2009), so a machine that
is a little slower in the second run is no finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special

from attnbench.fitting import distributions
from attnbench.law import Estimate

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Rows and columns with gaps settle in this many sweeps.
_SWEEPS = 5
#: Degrees of freedom that count as infinitely many.
_MANY = 1e6
#: No variance of a logarithm of seconds is smaller: no clock is this fine.
_FINEST = 1e-18
#: A variance below this part of the typical one is an accident of few processes.
_ACCIDENT = 1e-5


@dataclass(frozen=True)
class Ratios:
    """Logarithms of NEW/BASE, one row a trial (or a group of trials), and what all of them share.

    Attributes:
        table: columns ``base``, ``new`` (seconds), ``change`` (logarithm of their ratio), ``variance`` and
            ``degrees_of_freedom`` of what is this row's own in it.
        together: the median change.
        variance, degrees_of_freedom: of what all trials of a process share; none where every run has one process.
    """

    table: pd.DataFrame
    together: float
    variance: float
    degrees_of_freedom: int

    @property
    def judged(self) -> bool:
        """Whether any run has the second process without which there is no interval."""
        return self.degrees_of_freedom > 0

    def shared(self, level: float = 0.9) -> Estimate:
        """The ratio that all trials share."""
        return _ratio(self.together, math.sqrt(self.variance), self.degrees_of_freedom, level)

    def each(self, level: float = 0.9) -> list[Estimate]:
        """The ratio of each row."""
        return self._estimates(0.0, *self._errors(), level)

    def beside(self, level: float = 0.9) -> list[Estimate]:
        """The ratio of each row to what all of them share: what a process does to all its trials cancels."""
        return self._estimates(self.together, *self._errors_beside(), level)

    def chances(self, least: float) -> Array:
        """For each row: how likely so large a change is, at most, where the true one is within a factor 1 + `least`.

        A row is tested in itself and beside the others, and the better of the two tests counts, corrected for there
        being two. Beside the others a row counts only where it changed in itself too, and in the same direction: where
        most rows are slower, the rest is not faster.

        Corrected for the number of rows (Benjamini and Hochberg), so of the rows with a chance below 5 %, no more than
        5 % are expected to be false.
        """
        change, limit = self.table["change"].to_numpy(dtype=float), math.log1p(least)
        alone = change - self.together
        itself = _beyond(change, limit, *self._errors())
        agrees = (np.sign(alone) == np.sign(change)) & (np.abs(change) > limit)
        beside = np.where(agrees, _beyond(alone, limit, *self._errors_beside()), 1.0)
        return distributions.false_discovery(np.minimum(2 * np.minimum(itself, beside), 1.0))

    def chances_beside(self, least: float) -> Array:
        """For each row: how likely so large a change beside the others is, at most; not corrected for their number."""
        alone = self.table["change"].to_numpy(dtype=float) - self.together
        return _beyond(alone, math.log1p(least), *self._errors_beside())

    def _estimates(self, origin: float, errors: Array, degrees_of_freedom: Array, level: float) -> list[Estimate]:
        changes = self.table["change"].to_numpy(dtype=float) - origin
        rows = zip(changes.tolist(), errors.tolist(), degrees_of_freedom.tolist(), strict=True)
        return [_ratio(change, error, degrees_of_freedom, level) for change, error, degrees_of_freedom in rows]

    def _errors(self) -> tuple[Array, Array]:
        """Standard error of each change, and its degrees of freedom (Welch and Satterthwaite)."""
        own, of_own = self._own
        whole = own + self.variance
        parts = np.divide(own**2, of_own, out=np.zeros_like(own), where=of_own > 0)
        return np.sqrt(whole), whole**2 / (parts + self.variance**2 / self.degrees_of_freedom)

    def _errors_beside(self) -> tuple[Array, Array]:
        """The same for each change beside what all share; a median of few rows is uncertain itself."""
        own, of_own = self._own
        of_median = math.pi / 2 * float(own.mean()) / max(1, len(own))
        return np.sqrt(np.maximum(own + of_median, _FINEST)), np.maximum(of_own, 1.0)

    @property
    def _own(self) -> tuple[Array, Array]:
        """Variance of what is each row's own, and its degrees of freedom."""
        variance, degrees = (self.table[name].to_numpy(dtype=float) for name in ("variance", "degrees_of_freedom"))
        return variance, degrees


def _beyond(change: Array, limit: float, errors: Array, degrees_of_freedom: Array) -> Array:
    """How likely so large a change is, at most, where the true one is within `limit`."""
    size = np.abs(change)
    near, far = (distributions.student_beyond((size + side) / errors, degrees_of_freedom) for side in (-limit, limit))
    return np.asarray(near + far)


@dataclass(frozen=True)
class _Seen:
    """One run: the mean level of each row, and how its processes scatter around it."""

    level: pd.Series
    processes: pd.Series
    residual_sums: pd.Series
    shared_residual_sum: float
    shared_processes: int


def ratios(base: pd.DataFrame, new: pd.DataFrame, groups: pd.Series | None = None) -> Ratios:
    """Compare the trials that two tables of samples have in common.

    Args:
        base: samples with the columns ``trial, process, round, seconds``.
        new: the same, of the other run.
        groups: trial → group; then each row is a group of trials, which all weigh the same.
    """
    trials = sorted(set(base["trial"]) & set(new["trial"]))
    if groups is None:
        groups = pd.Series(trials, index=trials, dtype="object")
    groups = groups[groups.index.isin(trials)]
    before, after = _see(base, groups), _see(new, groups)
    change = after.level - before.level
    ways = 1 / before.processes + 1 / after.processes
    degrees_of_freedom = before.processes + after.processes - 2
    variance, degrees_of_freedom = _moderated(before.residual_sums + after.residual_sums, degrees_of_freedom)
    shared_degrees = before.shared_processes + after.shared_processes - 2
    shared_ways = 1 / before.shared_processes + 1 / after.shared_processes if len(groups) else 0.0
    shared = (before.shared_residual_sum + after.shared_residual_sum) / max(1, shared_degrees) * shared_ways
    columns = {"base": np.exp(before.level), "new": np.exp(after.level), "change": change}
    table = pd.DataFrame({**columns, "variance": variance * ways, "degrees_of_freedom": degrees_of_freedom})
    together = float(change.median()) if len(change) else 0.0
    return Ratios(table, together, max(shared, _FINEST), max(0, shared_degrees))


def _see(samples: pd.DataFrame, groups: pd.Series) -> _Seen:
    known = samples[samples["trial"].isin(groups.index)]
    visits = np.log(known.groupby(["trial", "process", "round"])["seconds"].median()).unstack(["process", "round"])
    shared = _polish(visits)
    by_process = (visits - shared).T.groupby(level="process").mean().T
    levels = by_process.mean(axis=1)
    names = groups.reindex(by_process.index)
    scatter = by_process.sub(levels, axis=0).groupby(names).mean()
    processes = by_process.notna().groupby(names).any().sum(axis=1)
    # What all rows share was taken from these rows, and with it a part of what is their own.
    taken = len(scatter) / (len(scatter) - 1) if len(scatter) > 1 else 0.0
    each = shared.groupby(level="process").mean()
    return _Seen(
        levels.groupby(names).mean() + each.mean(),
        processes,
        taken * scatter.sub(scatter.mean(axis=1), axis=0).pow(2).sum(axis=1),
        float((each - each.mean()).pow(2).sum()),
        len(each),
    )


def _polish(visits: pd.DataFrame) -> pd.Series:
    """What all trials share in each visit: medians of columns, with the means of rows taken out.

    Means, as the median of a few visits is one of them, and would pull what all share towards zero.
    """
    shared = pd.Series(0.0, index=visits.columns)
    for _ in range(_SWEEPS):
        rows = (visits - shared).mean(axis=1)
        shared = visits.sub(rows, axis=0).median()
    return shared


def _moderated(residual_sums: pd.Series, degrees_of_freedom: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Variance of each row and its degrees of freedom, shrunk towards what all rows show together."""
    seen = degrees_of_freedom > 0
    own = residual_sums[seen] / degrees_of_freedom[seen]
    if own.empty:
        return residual_sums, degrees_of_freedom
    own = own.clip(lower=max(_ACCIDENT * float(own.median()), _FINEST))
    typical, weight = _prior(own.to_numpy(dtype=float), degrees_of_freedom[seen].to_numpy(dtype=float))
    sums = own.mul(degrees_of_freedom[seen]).reindex(residual_sums.index, fill_value=0.0)
    return (sums + weight * typical) / (degrees_of_freedom + weight), degrees_of_freedom + weight


def _prior(variances: Array, degrees_of_freedom: Array) -> tuple[float, float]:
    """The typical variance, and how many degrees of freedom that knowledge is worth.

    The logarithm of a variance has a known mean and spread for its degrees of freedom; what spread there is beyond
    that are differences between the rows.
    """
    if len(variances) < 2:
        return float(variances[0]), float(degrees_of_freedom[0])
    logs = np.log(variances) - special.digamma(degrees_of_freedom / 2) + np.log(degrees_of_freedom / 2)
    beyond = float(logs.var(ddof=1) - special.polygamma(1, degrees_of_freedom / 2).mean())
    if beyond <= special.polygamma(1, _MANY / 2):
        return math.exp(float(logs.mean())), _MANY
    half = optimize.brentq(lambda x: float(special.polygamma(1, x)) - beyond, 1e-6, _MANY)
    typical = math.exp(float(logs.mean()) + float(special.digamma(half)) - math.log(half))
    return typical, 2 * float(half)


def _ratio(change: float, error: float, degrees_of_freedom: float, level: float) -> Estimate:
    half = float(distributions.student_quantile((1 + level) / 2, degrees_of_freedom)) * error
    value = math.exp(change)
    return Estimate(value, min(value, math.exp(change - half)), max(value, math.exp(change + half)), level)
