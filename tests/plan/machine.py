"""A machine that never was: what it answers to a planner's probes is known, so a test knows the right window."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from attnbench.formula import Formula
from attnbench.layers.registry import Registry
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.decide import Probed, SubjectPlan, probe, share_out
from attnbench.spec import AxisValues
from attnbench.trial import Choices, Sizes, slug

RATE = 1e10
LIMITS = Limits(probing_seconds=6.0, round_seconds=20.0, memory_bytes=2.0**32, rate=RATE)

#: How much of the machine's rate a call reaches, from its sizes.
Efficiency = Callable[[Sizes], float]


@dataclass(frozen=True)
class Machine:
    """``seconds = overhead + work / (rate · efficiency)``, and noise in proportion, the same whenever it is asked."""

    costs: CostModel
    overhead: float = 0.0
    efficiency: Efficiency = lambda _: 1.0
    noise: float = 0.0
    seed: int = 0
    fails: Callable[[Sizes], bool] = field(default=lambda _: False)

    def seconds(self, sizes: Sizes) -> float:
        rng = np.random.default_rng((self.seed, zlib.crc32(slug(sizes).encode())))
        slower = 1 + self.noise * abs(float(rng.normal()))
        return slower * (self.overhead + self.costs.work(sizes) / (RATE * self.efficiency(sizes)))

    def probed(self, limits: Limits = LIMITS) -> Probed:
        """Answer a planner's questions until it has seen enough."""
        questions, answer = probe(self.costs, limits), None
        try:
            while True:
                sizes = questions.send(answer)
                answer = None if self.fails(sizes) else self.seconds(sizes)
        except StopIteration as stop:
            return stop.value

    def plan(self, limits: Limits = LIMITS) -> SubjectPlan:
        """The plan of this layer alone."""
        (planned,) = share_out([self.probed(limits)], limits.round_seconds)
        return planned


def subject(name: str, *, claim: str | None = None, peak: str = "4*b*n*d", **axes: AxisValues) -> CostModel:
    """A built-in layer as the planner sees it; `claim` replaces its own for time."""
    layer = Registry().get(name)
    claims = layer.claims
    formulas = {"flops": claims.flops, "parameters": claims.parameters, "peak_bytes": peak}
    return CostModel(
        layer,
        Choices(),
        axes,
        {metric: Formula(text) for metric, text in formulas.items() if text},
        Formula(claim or str(claims.time)),
    )


def planned_sizes(plan: SubjectPlan) -> list[Sizes]:
    """Sizes of the trials that will be measured."""
    return [planned.trial.sizes for planned in plan.trials if planned.trial.id not in plan.skipped]


def round_seconds(plan: SubjectPlan) -> float:
    """Clock that one visit of each trial takes, as planned."""
    return sum(planned.visit_seconds for planned in plan.trials if planned.trial.id not in plan.skipped)
