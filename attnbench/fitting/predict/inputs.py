"""What crossovers, winners and forecasts need of a layer beside its law of time: its counted work and its memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from attnbench.fitting.model.observations import Array
from attnbench.fitting.predict.forecast import Footprint
from attnbench.formula import Formula
from attnbench.law import Law
from attnbench.record import Status
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Sizes, Subject, Trial

Ends = tuple[float, float]


@dataclass(frozen=True)
class LayerInputs:
    """One of the layers that are compared.

    Attributes:
        law: its law of time.
        flops: counted operations; None where they are not counted exactly.
        footprint: what is known of its memory.
    """

    law: Law
    flops: Formula | None = None
    footprint: Footprint = field(default_factory=Footprint)

    @cached_property
    def held(self) -> Sizes:
        """Sizes beside length and width: those that every trial had, or the middle of what was measured."""
        middles = {axis: round(math.sqrt(low * high)) for axis, (low, high) in self.law.window.items()}
        return {axis: size for axis, size in {**self.law.fixed, **middles}.items() if axis not in ("n", "d")}

    @property
    def batch(self) -> int:
        """Sequences in a batch."""
        return self.held.get("b", 1)

    def at(self, n: float, d: float) -> dict[str, float]:
        """All sizes at a length and a width."""
        return {**self.held, "n": n, "d": d}

    def reach(self, axis: str, factor: float) -> Ends:
        """Smallest and largest size of an axis, `factor` times beyond the window; the only size of a fixed axis."""
        if axis in self.law.window:
            low, high = self.law.window[axis]
            return max(1.0, low / factor), high * factor
        size = self.law.fixed.get(axis)
        return (1.0, math.inf) if size is None else (float(size), float(size))

    def work(self, n: float, d: float) -> float:
        """Counted operations for one sequence; not a number where they are not counted exactly."""
        return float(self.flops.evaluate(self.at(n, d))) / self.batch if self.flops else math.nan

    @cached_property
    def _terms(self) -> tuple[Formula, ...]:
        """The terms of the fitted curve."""
        return tuple(map(Formula, self.law.curves.terms)) if self.law.curves else ()

    @cached_property
    def _draws(self) -> Array:
        """The coefficients of every curve, one a row."""
        return np.array(self.law.curves.draws if self.law.curves else ())

    def log_seconds(self, lengths: Array, d: float) -> Array:
        """Logarithm of the seconds for one sequence: curve × length. It is `Curves.at` for many lengths at once."""
        curves, sizes = self.law.curves, [self.at(n, d) for n in map(float, lengths)]
        if curves is None:
            raise ValueError(f"{self.law.layer} has no curve")
        rows = self._draws
        terms = np.array([[float(term.evaluate(at)) for term in self._terms] for at in sizes])
        logs = np.log([[at[axis] for axis in curves.bends] for at in sizes])
        split = 1 + len(self._terms)
        whole = rows[:, :1] + (rows[:, 1:split] @ terms.T) * np.exp(rows[:, split:] @ logs.T)
        # A curve that was drawn far from the others may fall below zero outside its window.
        seconds: Array = np.log(np.maximum(whole / self.batch, np.finfo(float).tiny))
        return seconds


class RunInputs:
    """What a stored run knows of its layers: counted laws and visited sizes, found once for all of them."""

    def __init__(self, run: StoredRun) -> None:
        self._caches, self._visits = run.info.host.caches.values(), run.visits_by_trial
        self._counted: dict[Subject, dict[str, Law]] = {}
        for law in run.info.plan.counted_laws:
            self._counted.setdefault(law.subject.count_key, {})[law.metric] = law
        self._trials: dict[Subject, list[Trial]] = {}
        for trial in run.info.plan.trials:
            self._trials.setdefault(trial.subject, []).append(trial)

    def of(self, law: Law) -> LayerInputs:
        """What is known of the layer of a law of time."""
        flops = self._counted.get(law.subject.count_key, {}).get("flops")
        exact = flops is not None and flops.formula and not flops.lower_bound
        return LayerInputs(law, Formula(flops.formula) if flops and exact else None, self.footprint(law))

    def footprint(self, law: Law, available: float | None = None) -> Footprint:
        """What that layer holds in memory; `available` is what can be taken now, where that is known."""
        counted = self._counted.get(law.subject.count_key, {})
        texts = {metric: count.formula for metric, count in counted.items() if count.formula}
        bits = re.search(r"\d+$", law.choices.dtype)
        weights = f"{int(bits[0]) // 8}*({texts['parameters']})" if bits and "parameters" in texts else ""
        return Footprint(
            peak=Formula(texts["peak_bytes"]) if "peak_bytes" in texts else None,
            weights=Formula(weights) if weights else None,
            measured=tuple(trial.sizes for trial in self._trials.get(law.subject, ()) if self._is_measured(trial)),
            cache_bytes=max(self._caches, default=math.inf) if law.choices.device == "cpu" else math.inf,
            available=available,
        )

    def _is_measured(self, trial: Trial) -> bool:
        return any(visit.status is Status.OK for visit in self._visits.get(trial.id, ()))
