"""A forecast: what a visit at other sizes would measure and need, or why nobody can say.

The fitted curves carry their uncertainty with them, so the interval widens by itself where it leaves the window. What
they cannot know is a change of regime that no trial has met. One is known beforehand: once the live tensors or the
weights outgrow the last cache, a machine works at another rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from attnbench.formula import Formula
from attnbench.html_tables import card
from attnbench.law import Estimate, Law
from attnbench.trial import Sizes, describe
from attnbench.units import nbytes, seconds


@dataclass(frozen=True)
class Footprint:
    """What a layer holds in memory, counted, and the memories that it is held in.

    Attributes:
        peak: counted bytes of its live tensors; None where they are not known.
        weights: bytes of its weights, likewise.
        measured: sizes of the trials that the law rests on.
        cache_bytes: size of the last cache of the machine that was measured; infinite where there is none.
        available: bytes that can be taken now on the machine at hand; None where it has no such device.
    """

    peak: Formula | None = None
    weights: Formula | None = None
    measured: tuple[Sizes, ...] = ()
    cache_bytes: float = math.inf
    available: float | None = None

    def peak_bytes(self, sizes: Mapping[str, int]) -> int | None:
        """Counted bytes of the live tensors at `sizes`; None where they are not known."""
        return int(self.peak.evaluate(sizes)) if self.peak and self.peak.axes <= set(sizes) else None

    def fits(self, sizes: Mapping[str, int]) -> bool | None:
        """Whether live tensors and weights fit the memory at hand; None where nobody can say."""
        live = self.peak_bytes(sizes)
        if live is None or self.available is None:
            return None
        return live + (float(self.weights.evaluate(sizes)) if self.weights else 0.0) <= self.available

    def objection(self, sizes: Mapping[str, int | float]) -> str:
        """Why `sizes` lie beyond an edge that no trial has crossed; empty when they do not."""
        for name, (formula, least, most) in self._held.items():
            here = float(formula.evaluate(sizes))
            if here > self.cache_bytes >= most:
                return f"its {name} need {nbytes(here)} there, beyond {self._cache}, and every trial stayed within it"
            if here <= self.cache_bytes < least:
                return f"its {name} need {nbytes(here)} there, within {self._cache}, and every trial was beyond it"
        return ""

    @cached_property
    def _held(self) -> dict[str, tuple[Formula, float, float]]:
        """What has to be held: its formula, and the fewest and most bytes that a trial had of it."""
        by_name = {}
        for name, formula in (("live tensors", self.peak), ("weights", self.weights)):
            if formula is not None and self.measured:
                held = [float(formula.evaluate(sizes)) for sizes in self.measured]
                by_name[name] = (formula, min(held), max(held))
        return by_name

    @property
    def _cache(self) -> str:
        return f"the last cache of {nbytes(self.cache_bytes)}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a visit at some sizes would measure and need.

    Attributes:
        layer: which layer.
        at: the sizes, fixed axes included.
        seconds: what one visit would read; None where nothing honest can be said.
        extrapolation: how many times beyond its window the farthest axis is; 1 inside.
        peak_bytes: counted bytes of the live tensors; None where they are not known.
        fits: whether the machine at hand has the memory; None where nobody can say.
        reason: one sentence: how far to trust it, or why there is nothing to trust.
    """

    layer: str
    at: Sizes
    seconds: Estimate | None
    extrapolation: float
    peak_bytes: int | None
    fits: bool | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form."""
        return asdict(self)

    def __repr__(self) -> str:
        return f"<Forecast {self._title}: {self._time}; {self.reason}>"

    def _repr_html_(self) -> str:
        memory = "" if self.peak_bytes is None else f"{nbytes(self.peak_bytes)} of live tensors"
        fits = {True: "fits the memory of this machine", False: "does not fit the memory of this machine", None: ""}
        memory = "; ".join(filter(None, (memory, fits[self.fits])))
        rows = (("time", self._time), ("memory", memory), ("reason", self.reason))
        return str(card(self._title, [row for row in rows if row[1]]))

    @property
    def _title(self) -> str:
        return f"{self.layer} at {describe(self.at)}"

    @property
    def _time(self) -> str:
        if self.seconds is None:
            return "no forecast"
        return f"{seconds(self.seconds.value)} ({seconds(self.seconds.low)} to {seconds(self.seconds.high)})"


def forecast(law: Law, sizes: Mapping[str, int], footprint: Footprint | None = None) -> Forecast:
    """What a visit at `sizes` would measure; axes that every trial had alike need not be given.

    Raises:
        LayerError: an axis is missing, or the layer has no such axis.
    """
    held = footprint or Footprint()
    at = law.filled(sizes)
    objection = law.objection(at) or held.objection(at)
    visit = None if objection or law.curves is None else law.curves.visit(at)
    factor, far = law.extrapolation(at)
    return Forecast(
        layer=law.layer,
        at=at,
        seconds=visit,
        extrapolation=factor,
        peak_bytes=held.peak_bytes(at),
        fits=held.fits(at),
        reason=_trust(visit, far, law.regimes) if visit else objection,
    )


def _trust(visit: Estimate, far: str, regimes: tuple[str, ...]) -> str:
    """How far to trust a forecast."""
    interval = f"{100 * visit.level:.0f} % of visits would read between {seconds(visit.low)} and {seconds(visit.high)}"
    place = f"{far}: an extrapolation" if far else "the sizes lie within those measured"
    return "; ".join([f"{interval}; {place}", *regimes])
