"""How the variance of an exponent hangs on the visits of each configuration, and what more of them would take away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attnbench.fitting.model.averaging import Component
from attnbench.fitting.model.observations import Array, Mask

#: A batch takes about this share of the seconds of a whole round.
_BATCH = 1 / 3
#: Variance of the median of a few visits over that of their mean.
_MEDIAN = 4 / 3


@dataclass(frozen=True)
class Stake:
    """How one combination of exponents hangs on the visits.

    Attributes:
        reads: derivative of the combination by the logarithm of each configuration's value.
        shows: how the variance of each configuration enters the variance that the interval shows.
        visited: which configuration (row) was visited in which round (column).
        own: variance of a visit, of that configuration alone.
        shared: variance of what a round does to all that it visits.
        between: variance that processes cause by doing more to some sizes than to others.
        processes: how many processes visited everything.
    """

    reads: Array
    shows: Array
    visited: Mask
    own: float
    shared: float
    between: float = 0.0
    processes: int = 1

    @classmethod
    def of(cls, component: Component, direction: Array) -> Stake:
        """What a combination of the exponents of a fitted model hangs on."""
        curve = component.curve
        reads: Array = direction @ (curve.inverse @ curve.jacobian.T)[curve.exponent_slice]
        leverage = np.einsum("ij,jk,ik->i", curve.jacobian, curve.inverse, curve.jacobian)
        shows = (1 - leverage) * float(reads @ reads) / max(1, curve.degrees_of_freedom)
        own, shared = visit_variances(curve.observed.by_round)
        between, processes = component.between_rounds(direction), curve.observed.of_processes.shape[1]
        return cls(reads, shows, np.isfinite(curve.observed.by_round), own, shared, between, max(1, processes))

    @property
    def visits(self) -> Array:
        """How often each configuration was visited."""
        return np.asarray(self.visited.sum(axis=1), dtype=float)

    @property
    def noise(self) -> float:
        """Variance of the combination that comes from visits."""
        weights = self.reads / self.visits
        return float(self.own * self.reads @ weights + self.shared * np.square(weights @ self.visited).sum())

    @property
    def shown_noise(self) -> float:
        """The same as the interval shows it, which knows one variance for all residuals."""
        return float(self.own * self.shows @ (1 / self.visits))

    def with_round(self, batch: Mask) -> Stake:
        """The same after one more round."""
        return replace(self, visited=np.column_stack([self.visited, batch]))

    def gain(self, batch: Mask, *, fresh: bool = False) -> float:
        """Variance, and shown variance, that one more round takes away: the mean of both.

        A whole round in a fresh process averages processes too.
        """
        then = self.with_round(batch)
        averaged = self.between / (self.processes + 1) if fresh and batch.all() else 0.0
        return (self.noise - then.noise + self.shown_noise - then.shown_noise) / 2 + averaged

    def removable(self, rounds: int) -> float:
        """Shown variance that as many whole rounds more would take away."""
        have = float(self.visits.min())
        averaged = self.own * self.shows @ (1 / self.visits - 1 / (self.visits + rounds))
        return float(_MEDIAN * averaged + self.between * rounds / (have + rounds))

    def batch(self, means: Array, *, fresh: bool = False, least_seconds: float = 0.0) -> Mask:
        """Configurations to visit next, given the seconds of a visit of each.

        One after the other is added that gains most per second beside those before it. All of them are the answer
        where they gain more per second together.
        """
        enough = max(_BATCH * float(means.sum()), least_seconds)
        chosen = np.zeros(len(means), dtype=bool)
        while not chosen.all() and (not chosen.any() or means[chosen].sum() < enough):
            per_second = np.where(chosen, -np.inf, self._gains_beside(chosen) / means)
            chosen[int(np.argmax(per_second))] = True
        everything = np.ones_like(chosen)
        in_part = self.gain(chosen) / means[chosen].sum()
        return everything if self.gain(everything, fresh=fresh) / means.sum() >= in_part else chosen

    def _gains_beside(self, chosen: Mask) -> Array:
        """Variance that each configuration takes away when it joins `chosen` in the next round."""
        then = self.with_round(chosen)
        fewer = 1 / then.visits - 1 / (then.visits + 1)
        before, after = self.reads / then.visits, self.reads / (then.visits + 1)
        joint = before @ then.visited
        moved = then.visited * (after - before)[:, None]
        moved[:, -1] = after  # only asked of those that are not among the chosen
        shared = np.square(joint).sum() - np.square(joint + moved).sum(axis=1)
        return np.asarray((self.own * (np.square(self.reads) + self.shows) * fewer + self.shared * shared) / 2)


def visit_variances(by_round: Array) -> tuple[float, float]:
    """Variance of a visit of its own, and of what a round does to all that it visits, from the whole rounds."""
    logs = np.log(by_round)
    logs = logs[:, np.isfinite(logs).all(axis=0)]
    count, rounds = logs.shape
    if count < 2 or rounds < 2:
        return 0.0, 0.0
    of_rounds = logs.mean(axis=0)
    rest = logs - logs.mean(axis=1, keepdims=True) - of_rounds + logs.mean()
    own = float(np.square(rest).sum()) / ((count - 1) * (rounds - 1))
    return own, max(0.0, float(of_rounds.var(ddof=1)) - own / count)
