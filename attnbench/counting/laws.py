"""Exact laws of a layer: what is counted of it, each as a formula, and whether its claim is true."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction

from attnbench.counting.counter import TRACE_METRICS, Counter
from attnbench.counting.paths.reach import effective_reach
from attnbench.counting.recover import Recovered
from attnbench.counting.recover.result import Miss, agree
from attnbench.counting.trace import trace
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
#: Sizes at which the effective reach is looked at: the first that the layer accepts.
_REACH_LENGTHS, _REACH_WIDTHS = (33, 32, 48, 64), (8, 12, 16)

#: Pairs of a distance and the mean gradient norm at it.
Reach = tuple[tuple[int, float], ...]


def count_at(
    layer: Layer,
    sizes: Sizes,
    choices: Choices = USUAL,
    laws: Sequence[Law] = (),
) -> Counted:
    """Exact counts of one call at `sizes`: from a trace there and, for what a trace would walk long for, from `laws`.

    The bytes of a recurrence are such: all its steps would be walked to see that none needs more than another.

    Raises:
        LayerError: the layer cannot be built, called or counted at these sizes.
    """
    worked, run = (TRACE_METRICS[metric].ways[choices.mode] for metric in ("flops", "peak_bytes"))
    whole = trace(layer, sizes, dtype=choices.dtype, way=worked, sdpa=choices.sdpa)
    known = [law for law in laws if law.formula and (law.metric != "peak_bytes" or law.speaks_of(sizes))]
    formulas = {law.metric: Formula(law.formula) for law in known}
    saved, depth, hops, peak = (
        _value(formulas.get(metric), sizes) for metric in ("saved_bytes", "depth", "hops", "peak_bytes")
    )
    return Counted(
        flops=round(whole.flops),
        parameters=whole.parameters,
        peak_bytes=(
            whole if run is worked else trace(layer, sizes, dtype=choices.dtype, way=run, sdpa=choices.sdpa)
        ).peak_bytes
        if peak is None
        else round(peak),
        uncounted=whole.uncounted,
        saved_bytes=None if saved is None else round(saved),
        depth=None if depth is None else round(depth),
        hops=hops,
    )


def count(layer: str | Layer, **sizes: int) -> Counted:
    """Exact counts of one call of a layer, at any size.

    Args:
        layer: the name of a layer, or a `Layer` of one's own.
        **sizes: such as ``n=4096, d=512``; axes left out take the layer's defaults.

    Raises:
        LayerError: the layer is unknown, or cannot be built, called or counted there.
    """
    found = Registry().get(layer) if isinstance(layer, str) else layer
    laws = count_laws(found, ("saved_bytes", "depth", "hops"))
    return count_at(found, found.complete(sizes), laws=laws)


def count_laws(
    layer: Layer,
    metrics: Collection[str] = COUNTED_METRICS,
    choices: Choices = USUAL,
) -> list[Law]:
    """One law for each counted metric, recovered without using the claim and then compared with it.

    Args:
        layer: what is counted.
        metrics: those wanted, of `COUNTED_METRICS` and `PREFILL_METRICS`; others, and those that the mode does not
            have, are passed over.
        choices: dtype, mode and backend of attention, of which ``math`` writes out the n×n matrix; the others change
            no count.

    Raises:
        LayerError: the layer cannot be built, called or counted at the sizes tried.
    """
    counter = Counter(layer, choices)
    possible = counter.metrics()
    wanted = [metric for metric in (*COUNTED_METRICS, *PREFILL_METRICS) if metric in metrics and metric in possible]
    return [_law(counter, metric) for metric in wanted]


def claimed_laws(layer: Layer) -> list[Law]:
    """One law for each counted metric that the layer makes a claim of, with the verdict that `count_laws` would give.

    A formula is looked for only where the claim is a class, or where it does not equal the count.

    Raises:
        LayerError: the layer cannot be built, called or counted at the sizes tried.
    """
    counter = Counter(layer)
    return [
        _if_it_holds(counter, metric) or _law(counter, metric)
        for metric in COUNTED_METRICS
        if metric in layer.claims.given
    ]


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


def _value(formula: Formula | None, sizes: Sizes) -> float | None:
    try:
        return None if formula is None else float(formula.evaluate(sizes))
    except FormulaError:
        return None


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
        window=found.window,
        trials=len(found.proof),
        uncounted=missing,
    )


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
