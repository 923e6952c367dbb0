"""Exact laws of a layer: what is counted of it, each as a formula, and whether its claim is true."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from attnbench.counting.counter import PATHS, TRACE_METRICS, Counter
from attnbench.counting.paths.reach import effective_reach
from attnbench.counting.recover import Recovered
from attnbench.counting.recover.result import Miss, agree
from attnbench.counting.trace import Trace, Way, trace
from attnbench.errors import FormulaError, LayerError
from attnbench.formula import Formula
from attnbench.formula.growth import same_growth
from attnbench.formula.monomial import Number
from attnbench.law import COUNTED_METRICS, PREFILL_METRICS, Estimate, FittedTerm, Law, Verdict
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from attnbench.record import Counted
from attnbench.trial import USUAL, Choices, Sizes

#: Claims of these are growth classes; claims of the others are exact.
CLASSES = frozenset({"depth", "hops"})
_CLOSE = 1e-9
#: What is counted at a point: work, bytes, bytes kept, and depth, each of a trace of its own where one does not do.
_AT_A_POINT = ("flops", "peak_bytes", "saved_bytes", "depth")
#: Steps of a recurrence that are walked to see what is alive.
_LONGEST_WALK = 2048
#: Sizes at which the effective reach is looked at: the first that the layer accepts.
_REACH_LENGTHS, _REACH_WIDTHS = (33, 32, 48, 64), (8, 12, 16)

#: Pairs of a distance and the mean gradient norm at it.
Reach = tuple[tuple[int, float], ...]


def count_at(layer: Layer, sizes: Sizes, choices: Choices = USUAL, laws: Sequence[Law] = ()) -> Counted:
    """Exact counts of one call at `sizes`: from traces there, and path lengths from a law that speaks of these sizes.

    Of a recurrence, whose steps would all be walked to see its bytes and its depth, laws say those, too; they are found
    where they are not given. A count that this layer does not have is None.

    Raises:
        LayerError: the layer cannot be built, called or counted at these sizes.
    """
    worked, run, kept, stepped = (TRACE_METRICS[metric].ways.get(choices.mode) for metric in _AT_A_POINT)
    whole = trace(layer, sizes, dtype=choices.dtype, way=_way(worked), sdpa=choices.sdpa)
    known = _Known(laws, sizes)
    if whole.kept_whole and sizes["n"] > _LONGEST_WALK:
        known = _Known([*laws, *count_laws(layer, _AT_A_POINT[1:], choices)], sizes)

    def at(way: Way) -> Trace:
        return whole if way is worked else trace(layer, sizes, dtype=choices.dtype, way=way, sdpa=choices.sdpa)

    return Counted(
        flops=round(whole.flops),
        parameters=whole.parameters,
        peak_bytes=known.value("peak_bytes", whole, lambda: at(_way(run)).peak_bytes) or 0,
        uncounted=whole.uncounted,
        saved_bytes=known.value("saved_bytes", whole, lambda: at(kept).saved_bytes) if kept else None,
        depth=known.value("depth", whole, lambda: at(_way(stepped)).depth),
        hops=known.of("hops"),
    )


@dataclass(frozen=True)
class _Known:
    """What laws say at some sizes."""

    laws: Sequence[Law]
    sizes: Sizes

    def of(self, metric: str) -> float | None:
        """The value of a law that speaks of these sizes."""
        law = next((law for law in self.laws if law.metric == metric and law.formula), None)
        try:
            return float(Formula(law.formula).evaluate(self.sizes)) if law and law.speaks_of(self.sizes) else None
        except FormulaError:
            return None

    def value(self, metric: str, whole: Trace, traced: Callable[[], int]) -> int | None:
        """The count from a trace; of what runs as a loop from a law, or from the trace of a short one."""
        said = self.of(metric) if whole.kept_whole else None
        if said is not None:
            return round(said)
        if whole.kept_whole and self.sizes["n"] > _LONGEST_WALK:
            return None
        try:
            return traced()
        except LayerError:  # it cannot be trained, say; what else was counted stands
            return None


def _way(way: Way | None) -> Way:
    """The way of a metric that every mode has."""
    if way is None:
        raise LayerError("cannot be counted in this mode")
    return way


def count(layer: str | Layer, **sizes: int) -> Counted:
    """Exact counts of one call of a layer, at any size.

    Args:
        layer: the name of a layer, or a `Layer` of one's own.
        **sizes: such as ``n=4096, d=512``; axes left out take the layer's defaults.

    Raises:
        LayerError: the layer is unknown, or cannot be built, called or counted there.
    """
    found = Registry().get(layer) if isinstance(layer, str) else layer
    laws = count_laws(found, ("hops",))
    return count_at(found, found.complete(sizes), laws=laws)


def count_laws(
    layer: Layer,
    metrics: Collection[str] = COUNTED_METRICS,
    choices: Choices = USUAL,
    show: Callable[[str | Law], None] = lambda _: None,
) -> list[Law]:
    """One law for each counted metric, recovered without using the claim and then compared with it.

    Args:
        layer: what is counted.
        metrics: those wanted, of `COUNTED_METRICS` and `PREFILL_METRICS`; others, and those that the mode does not
            have, are passed over.
        choices: dtype, mode and backend of attention, of which ``math`` writes out the n×n matrix; the others change
            no count.
        show: told of each metric before it is counted, and of its law afterwards.

    Raises:
        LayerError: the layer cannot be built, called or counted at the sizes tried.
    """
    counter = Counter(layer, choices)
    possible = counter.metrics()
    wanted = [metric for metric in (*COUNTED_METRICS, *PREFILL_METRICS) if metric in metrics and metric in possible]
    return _each(counter, wanted, _law, show)


def claimed_laws(layer: Layer) -> list[Law]:
    """One law for each counted metric that the layer makes a claim of, with the verdict that `count_laws` would give.

    A formula is looked for only where the claim is a class, or where it does not equal the count.

    Raises:
        LayerError: the layer cannot be built, called or counted at the sizes tried.
    """
    wanted = [metric for metric in COUNTED_METRICS if metric in layer.claims.given]
    return _each(Counter(layer), wanted, lambda counter, metric: _if_it_holds(counter, metric) or _law(counter, metric))


def _each(
    counter: Counter,
    metrics: Sequence[str],
    law: Callable[[Counter, str], Law],
    show: Callable[[str | Law], None] = lambda _: None,
) -> list[Law]:
    """One law for each metric; of one that cannot be counted, a law without a formula that says why.

    Raises:
        LayerError: none can be counted.
    """
    found, refused = list[Law](), list[LayerError]()
    for metric in metrics:
        show(metric)
        try:
            found.append(law(counter, metric))
        except LayerError as error:
            refused.append(error)
            found.append(_uncountable(counter, metric, error))
        show(found[-1])
    if refused and len(refused) == len(found):
        raise refused[0]
    return found


def _uncountable(counter: Counter, metric: str, why: LayerError) -> Law:
    layer = counter.layer
    claim = layer.claims.given.get(metric) if counter.is_plain else None
    return Law(counter.subject, metric, Verdict.INCONCLUSIVE, str(why), claim, scope=layer.scope)


def reach_of(layer: Layer) -> Reach:
    """Effective reach at a length that shows it: pairs of distance and mean gradient norm.

    Raises:
        LayerError: the layer accepts none of the lengths tried, or cannot be called there.
    """
    for n in _REACH_LENGTHS:
        for d in _REACH_WIDTHS:
            try:
                sizes = layer.complete({"b": 1, "n": n, "d": d})
            except LayerError:
                continue
            return effective_reach(layer, sizes)
    raise LayerError(f"layer {layer.name!r} accepts no length of {_REACH_LENGTHS}: its reach cannot be drawn")


def _if_it_holds(counter: Counter, metric: str) -> Law | None:
    """The law that says so, where an exact claim equals the count at every size that formulas are proved at."""
    claim = Formula(counter.layer.claims.given[metric])
    if metric in CLASSES:
        return _if_it_grows_so(counter, metric, claim)
    for held, counts in counter.counts(metric):
        if counts and not counter.missing(metric) and not _first_miss(claim, counts):
            proof = tuple(sizes for sizes, _ in counts)
            longest = max(sizes["n"] for sizes in proof)
            reason = f"equal to the count at {len(proof)} sizes, odd and prime ones among them, n up to {longest}{held}"
            return _written(counter, metric, Recovered(claim, proof, reason))
    return None


def _if_it_grows_so(counter: Counter, metric: str, claim: Formula) -> Law | None:
    """The same for a class: the count is a multiple of the claim and a constant, wherever a size grows."""
    counts = counter.growing_counts(metric) if metric in TRACE_METRICS else []
    try:
        points = [(claim.evaluate(sizes), Fraction(counted)) for sizes, counted in counts]
    except FormulaError:
        return None
    if not points or not all(isinstance(said, int | Fraction) for said, _ in points):
        return None
    (least, lowest), (most, highest) = min(points), max(points)
    slope = (highest - lowest) / (Fraction(most) - least) if most > least else Fraction(0)
    if (most > least and slope <= 0) or any(lowest + slope * (said - least) != counted for said, counted in points):
        return None
    proof = tuple(sizes for sizes, _ in counts)
    reason = f"the count is {slope}·({claim.pretty}) and a constant" if slope else f"the count is {lowest} everywhere"
    return _written(counter, metric, Recovered(claim, proof, f"{reason}, at {len(proof)} growing sizes"))


def _first_miss(claim: Formula, counts: Sequence[tuple[Sizes, float]]) -> str:
    """The first size at which a claim is not the count, as a sentence; empty where it always is."""
    for sizes, counted in counts:
        try:
            said = claim.evaluate(sizes)
        except FormulaError as error:
            return str(error)
        if not agree(said, counted):
            return Miss(claim, sizes, said, counted).sentence
    return ""


def _law(counter: Counter, metric: str) -> Law:
    found = counter.recover(metric)
    claim = counter.layer.claims.given.get(metric) if counter.is_plain else None
    if claim is None or found.formula or metric in CLASSES or counter.missing(metric):
        return _written(counter, metric, found)
    # Nobody finds every formula: a claim may be true all the same, and one size is enough to show that it is not.
    if held := _if_it_holds(counter, metric):
        return replace(held, reason=f"{held.reason}; without the claim no formula was found")
    *_, (_, counts) = counter.counts(metric)
    miss = _first_miss(Formula(claim), counts)
    law = _written(counter, metric, found)
    return replace(law, verdict=Verdict.REFUTED, reason=f"the claim is {claim}, but {miss}; {found.reason}")


def _written(counter: Counter, metric: str, found: Recovered) -> Law:
    layer = counter.layer
    claim = layer.claims.given.get(metric) if counter.is_plain else None
    missing = counter.missing(metric)
    verdict, reason = _judge(metric, claim, found, missing, layer)
    formula = found.formula
    return Law(
        subject=counter.subject,
        metric=metric,
        verdict=verdict,
        reason=reason,
        claim=claim,
        formula=formula.text if formula else "",
        scope=layer.scope,
        terms=_terms(formula, found.proof) if formula and formula.is_sum_of_terms else (),
        window=_window(counter, metric, found),
        trials=len(found.proof),
        uncounted=missing,
    )


def _window(counter: Counter, metric: str, found: Recovered) -> dict[str, tuple[int, int]]:
    """Axis → sizes it was proved at; of path lengths, which are looked at in narrow layers, what they may depend on."""
    told = ("n", *counter.path_parts) if metric in PATHS else tuple(found.window)
    return {axis: span for axis, span in found.window.items() if axis in told}


def _terms(formula: Formula, proof: Sequence[Sizes]) -> tuple[FittedTerm, ...]:
    """Exact coefficients: intervals of no width, and each term's largest share over the proof."""
    totals = [max(float(formula.evaluate(sizes)), 1.0) for sizes in proof]
    terms = []
    for term in formula.terms:
        value = float(term.coefficient)
        share = max(term.evaluate(sizes) / total for sizes, total in zip(proof, totals, strict=True))
        terms.append(FittedTerm(term.monomial.text, Estimate(value, value, value, level=1.0), share))
    return tuple(terms)


def _judge(
    metric: str, claim: str | None, found: Recovered, missing: tuple[str, ...], layer: Layer
) -> tuple[Verdict, str]:
    if missing:
        return Verdict.INCONCLUSIVE, f"a lower bound: {_WHY_LOWER.get(metric, _NO_FORMULA)} {', '.join(missing)}"
    if found.formula is None:
        return Verdict.INCONCLUSIVE, found.reason
    if claim is None:
        return Verdict.INFERRED, found.reason
    if unseen := sorted(Formula(claim).axes & set(found.held)):
        where = " and ".join(f"{axis} = {found.proof[0][axis]}" for axis in unseen)
        return Verdict.INCONCLUSIVE, f"the claim {claim} speaks of more than {where}; {found.reason}"
    if _agrees(metric, Formula(claim), found, layer):
        words = f"of the class {claim}; " if metric in CLASSES else ""
        return Verdict.CONFIRMED, f"{words}{found.reason}"
    return Verdict.REFUTED, f"the claim is {claim}, but the count is {found.formula}, {found.reason}"


_NO_FORMULA = "no formula for"
_WHY_LOWER = {
    "saved_bytes": "fake tensors do not show the workspace of",
    "hops": "treated as mixing all positions:",
    "hops_rf": "treated as mixing all positions:",
}


def _agrees(metric: str, claim: Formula, found: Recovered, layer: Layer) -> bool:
    formula = found.formula
    if formula is None:
        return False
    if metric in CLASSES:
        return same_growth(claim, formula, layer.axes)
    values = ((claim.evaluate(sizes), formula.evaluate(sizes)) for sizes in found.proof)
    return all(claimed == counted or _close(claimed, counted) for claimed, counted in values)


def _close(one: Number, other: Number) -> bool:
    """Whether values that hold logarithms or roots agree; whole numbers have to be equal."""
    return isinstance(one + other, float) and math.isclose(one, other, rel_tol=_CLOSE)
