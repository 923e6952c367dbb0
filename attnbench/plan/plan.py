"""The plan of a run, as a value: what a dry run prints, the rounds carry out, and ``run.json`` keeps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from attnbench.law import Law, unique_laws
from attnbench.plan.decide import PlannedTrial
from attnbench.record import Counted, Observations, Peaks
from attnbench.spec import Suite
from attnbench.trial import Subject, Trial


@dataclass(frozen=True)
class Plan:
    """Everything decided, counted and probed before the first round.

    Attributes:
        suite: the suite as it is run, overrides applied.
        trials: what is measured, in order; then one trial of each layer and choice that cannot be run at all.
        visit_seconds: trial id → clock that one visit aims for.
        skipped: trial id → reason, for trials that are left out before measuring.
        unsupported: trial id → reason, for those that cannot be run at all.
        windows: layer and choices (as in trial ids) → one sentence on the window its time law is read from, and why.
        sentences: the same for each sweep by itself, for who asked for the plan; no run keeps them.
        claims: layer → metric → claimed formula.
        scopes: layer → scope.
        counted: trial id → exact counts.
        counted_laws: laws of all counted metrics; judging needs them, `shown_laws` are those that were asked for.
        observations: what was seen of the layers beside their counts.
        calibration: what the pilot saw: rows of layer, device, sizes, seconds, flops.
        calibration_seconds: clock that the pilot took, the peaks included.
        timer_overhead_seconds: cost of reading the clock twice.
        floors: layer and its choices, as in ids → seconds of a call at tiny sizes: no constant cost is larger.
        peaks: what each device was seen to do at best, for each dtype and number of threads that is timed.
    """

    suite: Suite
    trials: tuple[Trial, ...] = ()
    visit_seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)
    sentences: tuple[tuple[Subject, str], ...] = field(default=(), compare=False)
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)
    counted_laws: tuple[Law, ...] = ()
    observations: Observations = field(default_factory=Observations)
    calibration: tuple[dict[str, Any], ...] = ()
    calibration_seconds: float = 0.0
    timer_overhead_seconds: float = 0.0
    floors: dict[str, float] = field(default_factory=dict)
    peaks: tuple[Peaks, ...] = ()

    @property
    def shown_laws(self) -> tuple[Law, ...]:
        """Laws of the counted metrics that the suite asks for; planning and judging need the others too."""
        return unique_laws(law for law in self.counted_laws if law.metric in self.suite.metrics)

    def measures(self, metric: str) -> bool:
        """Whether the suite asks for a measured metric."""
        return metric in self.suite.metrics

    def window(self, subject: Subject) -> str:
        """Why a law is read where it is; empty without a window. Early runs tell one for all choices of a layer."""
        return self.windows.get(subject.id) or self.windows.get(subject.layer, "")

    def left(self, visited: Collection[str]) -> list[PlannedTrial]:
        """The trials that can be run, without those that were `visited` (trial ids)."""
        out = {*self.skipped, *self.unsupported, *visited}
        return [PlannedTrial(trial, self.visit_seconds[trial.id]) for trial in self.trials if trial.id not in out]

    def as_json(self) -> dict[str, Any]:
        """Suite, counted laws, windows and trials, for ``--dry-run --json``."""
        return {
            "suite": self.suite.as_json(),
            "laws": [law.as_json() for law in self.shown_laws],
            "windows": self.windows,
            "trials": [{"trial": trial.id, **trial.sizes, **self._outlook(trial.id)} for trial in self.trials],
        }

    def _outlook(self, trial: str) -> dict[str, Any]:
        if trial in self.unsupported:
            return {"unsupported": self.unsupported[trial]}
        return {"visit_seconds": self.visit_seconds[trial], "skipped": self.skipped.get(trial)}
