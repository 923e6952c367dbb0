"""What a subject costs at any size, as the planner sees it: what is swept, what was counted, what a probe found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from string import ascii_letters
from typing import Any, TypeVar, TypeVarTuple, Unpack

from attnbench.errors import SuiteError
from attnbench.formula import Formula, Monomial, for_a_batch
from attnbench.law import COUNTED_FOR
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.spec import AUTO, AxisValues
from attnbench.trial import Choices, Sizes, Subject, describe
from attnbench.units import nbytes

#: Random numbers drawn in a second while a layer is built; building is not timed, but the user waits for it.
_WEIGHTS_PER_SECOND = 2e8


def nbytes_of(dtype: str) -> int:
    """Bytes of one number, from the bits in the dtype's name."""
    return int(dtype.lstrip(ascii_letters)) // 8


Rest = TypeVarTuple("Rest")
Answer = TypeVar("Answer")


def _once(
    method: Callable[[CostModel, Sizes, Unpack[Rest]], Answer],
) -> Callable[[CostModel, Sizes, Unpack[Rest]], Answer]:
    """Work out each answer once: planning compares thousands of boxes over the same few sizes, on the user's clock."""

    @wraps(method)
    def answer(self: CostModel, sizes: Sizes, *rest: *Rest) -> Answer:
        key = (method.__name__, *sizes.items(), *rest)
        if key not in self.answers:
            self.answers[key] = method(self, sizes, *rest)
        found: Answer = self.answers[key]
        return found

    return answer


@dataclass(frozen=True)
class CostModel:
    """What a layer under one choice costs.

    Attributes:
        layer: the layer.
        choices: device, dtype, mode, threads and the like.
        axes: what the suite says of some axes; the others keep the layer's defaults.
        formulas: metric → counted formula, for the metrics that have one.
        claim: the claimed formula, or None.
        uncounted: why the layer cannot be counted; empty when it can.
        metric: what the claim is about, and the sizes are chosen for: time, or memory.
    """

    layer: Layer
    choices: Choices
    axes: Mapping[str, AxisValues] = field(default_factory=dict)
    formulas: Mapping[str, Formula] = field(default_factory=dict)
    claim: Formula | None = None
    uncounted: str = ""
    metric: str = "time"

    @property
    def subject(self) -> Subject:
        """Whose costs these are."""
        return Subject(self.layer.name, self.choices)

    @cached_property
    def answers(self) -> dict[tuple[Any, ...], Any]:
        """What was worked out for some sizes."""
        return {}

    @cached_property
    def auto(self) -> tuple[str, ...]:
        """Axes whose sizes the planner chooses, the batch apart."""
        return tuple(axis for axis in self.layer.axes if self.axes.get(axis) == AUTO and axis != "b")

    @cached_property
    def given(self) -> dict[str, tuple[int, ...]]:
        """Axis → sizes, for axes that the suite or the layer's defaults settle.

        Raises:
            SuiteError: an axis has no size at all.
        """
        settled = {}
        for axis, default in self.layer.axes.items():
            values = self.axes.get(axis, (default or DEFAULT_SIZES.get(axis, 0),))
            if values == (0,):
                raise SuiteError(
                    f"layer {self.layer.name!r} needs sizes for axis {axis!r}; give some with --set {axis}=…"
                )
            if not isinstance(values, str):
                settled[axis] = values
        return settled

    @cached_property
    def swept(self) -> tuple[str, ...]:
        """Axes that take more than one size."""
        return tuple(axis for axis in self.layer.axes if axis in self.auto or len(self.given.get(axis, ())) > 1)

    @property
    def counted(self) -> Formula | None:
        """The counted formula of what the metric costs."""
        return self.formulas.get(COUNTED_FOR[self.metric])

    @cached_property
    def claimed(self) -> tuple[Monomial, ...]:
        """Terms of the claim; without one, the leading terms of the count."""
        source = self.claim or self.counted
        if source is None or not source.is_sum_of_terms:
            return ()
        return for_a_batch(source) if self.claim else tuple(term.monomial for term in source.leading)

    @_once
    def shares(self, sizes: Sizes) -> tuple[float, ...]:
        """Share of what is counted that each claimed term carries at `sizes`; empty where it is unknown."""
        return self.counted.shares(self.claimed, self.swept, sizes) if self.counted else ()

    @property
    def counts_work(self) -> bool:
        """Whether the layer does work that was counted."""
        return self.formulas.get("flops", Formula("0")).text != "0"

    @_once
    def work(self, sizes: Sizes) -> float:
        """Counted operations; where nothing was counted, the size of the input stands in for them."""
        return self._value("flops", sizes) if self.counts_work else float(sizes["b"] * sizes["n"] * sizes.get("d", 1))

    def intensity(self, sizes: Sizes) -> float:
        """Operations for each byte of weights and live tensors: what a roofline has on its horizontal axis."""
        touched = self.peak_bytes(sizes) + self.weight_bytes(sizes)
        return self.work(sizes) / max(touched, 1.0)

    @_once
    def peak_bytes(self, sizes: Sizes) -> float:
        """Counted peak of the live tensors."""
        return self._value("peak_bytes", sizes)

    @_once
    def weight_bytes(self, sizes: Sizes) -> float:
        """Bytes of the weights."""
        return nbytes_of(self.choices.dtype) * self._value("parameters", sizes)

    @_once
    def building_seconds(self, sizes: Sizes) -> float:
        """Seconds to draw the weights."""
        return self._value("parameters", sizes) / _WEIGHTS_PER_SECOND

    @_once
    def prefill_seconds(self, sizes: Sizes, rate: float) -> float:
        """Seconds that a context costs before its first token, at so many operations a second; they are not timed."""
        return self._value("prefill_flops", sizes) / rate

    @_once
    def unfit(self, sizes: Sizes, memory_bytes: float) -> str:
        """Why the layer cannot be measured at `sizes`; empty when it can."""
        if broken := self.layer.broken_constraint(sizes):
            return f"the layer needs {broken}, which {describe(sizes)} does not satisfy"
        peak = max(self.peak_bytes(sizes), self._value("prefill_bytes", sizes))
        need = peak + self.weight_bytes(sizes)
        if need > memory_bytes:
            return f"its counted memory of {nbytes(need)} exceeds the {nbytes(memory_bytes)} that a trial may take here"
        return ""

    def _value(self, metric: str, sizes: Sizes) -> float:
        formula = self.formulas.get(metric)
        return float(formula.evaluate(sizes)) if formula else 0.0


@dataclass(frozen=True)
class Probe:
    """One short look at the machine: seconds of one call, None where it failed."""

    sizes: Sizes
    seconds: float | None


@dataclass(frozen=True)
class Limits:
    """What one subject may spend.

    Attributes:
        probing_seconds: clock for its probes.
        round_seconds: clock for one visit of each of its trials.
        memory_bytes: memory that a trial may take.
        rate: floating-point operations per second of a plain matrix product here.
        cache_bytes: size of the last cache; infinite where it is unknown.
    """

    probing_seconds: float
    round_seconds: float
    memory_bytes: float
    rate: float
    cache_bytes: float = math.inf


def expected_seconds(costs: CostModel, sizes: Sizes, probes: Sequence[Probe], limits: Limits) -> float:
    """From the nearest probe, scaled by work; from the machine's rate when there is none."""
    seen = [(probe.sizes, probe.seconds) for probe in probes if probe.seconds]
    if not seen:
        return costs.work(sizes) / limits.rate
    near, seconds = min(seen, key=lambda one: sum(abs(math.log(one[0][axis] / sizes[axis])) for axis in sizes))
    return seconds * costs.work(sizes) / costs.work(near)
