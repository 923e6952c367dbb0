"""What was found: laws, their exponents and terms, each number with its interval, and the verdict on a claim.

These are values only; ``fitting/`` and ``counting/`` produce them, ``store/`` keeps them and ``report/`` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import msgspec

from attnbench.errors import InputError, LayerError, near_miss
from attnbench.formula import Formula
from attnbench.law import rows
from attnbench.law.estimate import Curves as Curves
from attnbench.law.estimate import Estimate as Estimate
from attnbench.law.estimate import told_interval
from attnbench.law.verdict import Verdict as Verdict
from attnbench.trial import Choices, Subject, ordered
from attnbench.units import percent

if TYPE_CHECKING:
    from markupsafe import Markup

#: A forecast goes this many times beyond the smallest and the largest measured size of an axis, and no further.
FARTHEST = 16.0
#: Half the width of the band around a claimed exponent that counts as equal.
MARGIN = 0.1
#: Metrics that are counted, never measured, in the order in which people ask for them.
COUNTED_METRICS = (
    "flops",
    "flops_needed",
    "elementwise",
    "parameters",
    "peak_bytes",
    "saved_bytes",
    "depth",
    "log_depth",
    "hops",
    "hops_rf",
)
#: Measured metric → what is counted of what it costs.
COUNTED_FOR = {"time": "flops", "memory": "peak_bytes"}
#: Counted in decoding beside them, for the planner: what a context costs before the first token.
PREFILL_METRICS = ("prefill_flops", "prefill_bytes")
#: A claim of one term is read only where that term carries this share of the counted work.
LEADING_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Exponent:
    """Growth along one axis: the estimate, and what the claim says (None without a claim)."""

    estimate: Estimate
    claimed: float | None = None


@dataclass(frozen=True, slots=True)
class FittedTerm:
    """One term of a law: its monomial as text, its coefficient, and its largest share of the whole in the window."""

    term: str
    coefficient: Estimate
    share: float


@dataclass(frozen=True, slots=True)
class Specification:
    """One admissible way to fit the same data: part of the window, or another model, and the exponents it gives."""

    name: str
    exponents: dict[str, float]


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the growth of time along one axis comes from: ``local = (1 - overhead) · (operations - efficiency)``.

    Attributes:
        operations: exponent of the counted operations in the window; None where they are not counted.
        overhead: share of the constant cost in the time in the middle of the window.
        efficiency: exponent by which the achieved rate rises; None where operations are not counted.
        local: exponent of the time itself in the middle of the window.
    """

    operations: float | None
    overhead: float
    efficiency: float | None
    local: float


@dataclass(frozen=True, slots=True)
class Law:
    """One row of the table of laws.

    Attributes:
        subject: the layer and the choices that it is about.
        scope: whether it is about a core, a layer or a block.
        metric: one of `COUNTED_METRICS` (exact), or ``time`` or ``memory`` (measured).
        claim: the author's formula, or None.
        formula: the law found, as formula text; empty when none was found.
        exponents: axis → exponent; empty for a law of several terms and for counted metrics.
        terms: coefficients of the law in base units.
        window: axis → (smallest, largest) size that the law was read from.
        trials: how many trials (or counted points) it rests on.
        verdict, reason: the judgement and one sentence that a person can check.
        specifications: the specification curve behind the intervals' systematic part.
        uncounted: operations without a formula that were met; with any, counts are lower bounds.
        fixed: axis → the one size that every trial had.
        parts: axis → where the growth comes from.
        regimes: changes of regime that were found in the data, one sentence each.
        curves: the fitted curve with its uncertainty, for forecasts; None where nothing was fitted.
    """

    subject: Subject
    metric: str
    verdict: Verdict
    reason: str
    claim: str | None = None
    formula: str = ""
    scope: str = "layer"
    exponents: dict[str, Exponent] = field(default_factory=dict)
    terms: tuple[FittedTerm, ...] = ()
    window: dict[str, tuple[int, int]] = field(default_factory=dict)
    trials: int = 0
    specifications: tuple[Specification, ...] = ()
    uncounted: tuple[str, ...] = ()
    fixed: dict[str, int] = field(default_factory=dict)
    parts: dict[str, Parts] = field(default_factory=dict)
    regimes: tuple[str, ...] = ()
    curves: Curves | None = None

    @property
    def layer(self) -> str:
        """Name of the layer; empty for anyone's measurements."""
        return self.subject.layer

    @property
    def choices(self) -> Choices:
        """Device, dtype, mode and the like that it is about."""
        return self.subject.choices

    @property
    def is_counted(self) -> bool:
        """Whether it was counted, and not measured."""
        return self.metric in COUNTED_METRICS

    @property
    def lower_bound(self) -> bool:
        """Whether counts are lower bounds."""
        return bool(self.uncounted)

    def predict(self, **sizes: int) -> Estimate:
        """What a visit at `sizes` would measure, with the interval that holds it; fixed axes need not be given.

        A counted law is exact: its interval has no width. What a law alone does not know is the memory of a layer and
        of a machine: ``run.predict`` also refuses sizes beyond a cache that no trial has left.

        Raises:
            LayerError: an axis is missing, or the layer has no such axis.
            InputError: nothing honest can be said there; the message says why.
        """
        asked = self.filled(sizes)
        objection = self._exactness(asked) if self.is_counted else self.objection(asked)
        if objection:
            raise InputError(f"{self.layer or 'the law'}: {objection}")
        if self.curves is None:
            value = float(Formula(self.formula).evaluate(asked))
            return Estimate(value, value, value, level=1.0)
        return self.curves.visit(asked)

    def _exactness(self, sizes: Mapping[str, int]) -> str:
        """Why a counted law says nothing exact at `sizes`; empty when it does."""
        if self.lower_bound or not self.formula:
            return self.reason
        for axis, (low, high) in self.window.items():
            if low == high != sizes.get(axis, low):
                return f"every count had {axis} = {low}, so nothing is known of {axis} = {sizes[axis]}"
        return ""

    def filled(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """`sizes` with the fixed axes, in the order of the axes.

        Raises:
            LayerError: an axis is missing, the law knows no such axis, or a size is no positive number.
        """
        name = self.layer or "the law"
        known = ordered({**self.fixed, **dict.fromkeys(self.window, 1)})
        for axis, size in sizes.items():
            if not _is_size(size):
                raise LayerError(f"{axis} needs a positive number, not {size!r}")
        if known and (foreign := [axis for axis in sizes if axis not in known]):
            close = near_miss(foreign[0], known)
            how = "counted" if self.is_counted else "measured"
            raise LayerError(f"{name} was {how} over {', '.join(known)}, and not over {foreign[0]!r}.{close}")
        needed = Formula(self.formula or "0").axes if self.is_counted else known
        if missing := [axis for axis in known if axis in needed and axis not in {**self.fixed, **sizes}]:
            raise LayerError(f"{name} needs a size for {' and '.join(missing)}, such as {missing[0]}=1024")
        return ordered({**self.fixed, **sizes})

    def extrapolation(self, sizes: Mapping[str, int | float]) -> tuple[float, str]:
        """How many times beyond its window the farthest axis of `sizes` is, and that in words; 1 and "" inside."""
        above = [(sizes[a] / high, f"the largest measured, {high}", a) for a, (_, high) in self.window.items()]
        below = [(low / sizes[a], f"the smallest measured, {low}", a) for a, (low, _) in self.window.items()]
        factor, end, axis = max([*above, *below], default=(1.0, "", ""))
        if factor <= 1:
            return 1.0, ""
        times = f"{factor:.5g} times" if end.startswith("the largest") else f"1/{factor:.5g} of"
        return factor, f"{axis} = {sizes[axis]} is {times} {end}"

    def objection(self, sizes: Mapping[str, int | float]) -> str:
        """Why nothing can be forecast at `sizes`, which have every axis; empty when something can."""
        if self.curves is None:
            return f"no curve was fitted: {self.reason}"
        for axis, size in self.fixed.items():
            if sizes[axis] != size:
                return f"every trial had {axis} = {size}, so nothing is known of {axis} = {sizes[axis]}"
        factor, far = self.extrapolation(sizes)
        return f"{far}, and a forecast goes {FARTHEST:.0f} times beyond the window at most" if factor > FARTHEST else ""

    def speaks_of(self, sizes: Mapping[str, int]) -> bool:
        """Whether a counted formula holds at `sizes`.

        It does from the smallest size of each axis on that it was proved for; one that was proved for a single size of
        an axis holds there.
        """
        at = {axis: sizes.get(axis, low) for axis, (low, _) in self.window.items()}
        return all(low <= at[axis] and (low < high or at[axis] == low) for axis, (low, high) in self.window.items())

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a person wants to know of it: pairs of a label and a text."""
        claims = {a: "" if e.claimed is None else f"; claimed {e.claimed:.3g}" for a, e in self.exponents.items()}
        rows = (
            (str(self.verdict), self.reason),
            ("claim", self.claim or ""),
            ("formula", self.formula),
            *(
                (f"exponent of {axis}", told_interval(e.estimate, ".2f") + claims[axis])
                for axis, e in self.exponents.items()
            ),
            *((t.term, f"{told_interval(t.coefficient, '.3g')}; up to {t.share:.0%} of the whole") for t in self.terms),
            ("window", ", ".join(f"{axis} from {low} to {high}" for axis, (low, high) in self.window.items())),
            ("fixed", ", ".join(f"{axis} = {size}" for axis, size in self.fixed.items())),
            *(("regime", sentence) for sentence in self.regimes),
        )
        return tuple((label, text) for label, text in rows if text)

    @property
    def conditions(self) -> str:
        """What a measured law was measured under; nothing for one that is counted, or of somebody's table."""
        return "" if self.is_counted or not self.choices.device else str(self.choices)

    def __repr__(self) -> str:
        powers = (f"{a}^{e.estimate.value:.2f}±{e.estimate.half_width:.2f}" for a, e in self.exponents.items())
        formula = " ".join(powers) or self.formula or "no formula"
        claim = f"claim {self.claim} " if self.claim else ""
        return f"<Law {' '.join(filter(None, (self.layer, self.metric)))}: {formula}, {claim}{self.verdict}>"

    def _repr_html_(self) -> str:
        from attnbench.html_tables import card

        title = " · ".join(filter(None, (self.layer, self.metric, self.conditions)))
        return str(card(title, [(label, text) for label, text in self._card_rows() if text]))

    def _card_rows(self) -> Iterator[tuple[str | Markup, str | Markup | None]]:
        """Everything a person wants to know of it, one fact a row."""
        from attnbench.html_tables import math
        from attnbench.law import show

        yield "verdict", show.verdict_badge(self.verdict)
        yield "reason", self.reason
        yield "claim", self.claim and math(self.claim)
        yield "found", self.formula and math(self.formula)
        for axis, e in self.exponents.items():
            claimed = "" if e.claimed is None else f"; claimed {show.number(e.claimed, '.3g')}"
            yield show.exponent_of(axis), f"{show.interval(e.estimate, '.2f')}{claimed}"
        for t in self.terms:
            coefficient = show.coefficient(t.coefficient, self.metric, exact=self.is_counted)
            yield math(t.term), f"{coefficient}; up to {percent(t.share)} of the whole"
        yield "window", ", ".join(f"{axis} from {low} to {high}" for axis, (low, high) in self.window.items())
        yield "fixed", ", ".join(f"{axis} = {size}" for axis, size in self.fixed.items())
        yield "trials" if self.choices.device else "sizes", str(self.trials or "")
        yield from (("regime", sentence) for sentence in self.regimes)
        yield "lower bound", f"not counted: {', '.join(self.uncounted)}" if self.lower_bound else ""

    def as_json(self, *, curves: bool = True) -> dict[str, Any]:
        """The documented JSON form; `from_json` reads it back. Without `curves` it is short enough to print."""
        row = rows.flat(asdict(self))
        return row if curves else {key: value for key, value in row.items() if key != "curves"}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Law:
        """Inverse of `as_json`. Raises LookupError, TypeError, AttributeError or ValueError on a foreign mapping."""
        return msgspec.convert(rows.nested(row), cls)


def _is_size(value: Any) -> bool:
    return isinstance(value, Real) and bool(0 < float(value) < math.inf)


def unique_laws(laws: Iterable[Law]) -> tuple[Law, ...]:
    """Counted `laws`, those that repeat for another dtype the same formula left out.

    Bytes depend on the dtype, work does not. The number of parameters does not depend on the mode either.
    """
    unique: dict[tuple[str, ...], Law] = {}
    for law in laws:
        mode = "" if law.metric == "parameters" else law.choices.mode
        unique.setdefault((law.layer, law.metric, mode, law.formula, str(law.uncounted)), law)
    return tuple(unique.values())
