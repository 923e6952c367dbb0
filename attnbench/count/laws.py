"""Exact laws of a layer: FLOPs, parameters and peak live bytes, each as a formula, and whether its claim is true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.count.recover import Domain, Recovered, Values, recover
from attnbench.count.trace import Trace, trace
from attnbench.errors import LayerError
from attnbench.formula import Formula
from attnbench.law import Estimate, FittedTerm, Law, Verdict
from attnbench.layers.registry import Registry
from attnbench.record import Counted

if TYPE_CHECKING:
    from attnbench.layers.base import Layer
    from attnbench.trial import Sizes

#: Metrics that are counted, never measured.
COUNTED_METRICS = ("flops", "parameters", "peak_bytes")


def count_at(layer: Layer, sizes: Sizes, dtype: str = "float32") -> Counted:
    """Exact counts of one call at `sizes`, on fake tensors.

    Raises:
        LayerError: the layer cannot be built, called or counted at these sizes.
    """
    whole = trace(layer, sizes, dtype=dtype)
    return Counted(
        flops=whole.flops,
        parameters=whole.parameters,
        peak_bytes=trace(layer, sizes, dtype=dtype, opened=True).peak_bytes,
        uncounted=whole.uncounted,
    )


def count_layer(layer: str | Layer, **sizes: int) -> Counted:
    """Exact counts of one call of a layer at `sizes`; axes left out take the layer's defaults.

    Raises:
        LayerError: the layer is unknown, or cannot be built, called or counted there.
    """
    found = Registry().get(layer) if isinstance(layer, str) else layer
    return count_at(found, found.sizes(sizes))


def count_laws(layer: Layer, metrics: Sequence[str] = COUNTED_METRICS, dtype: str = "float32") -> list[Law]:
    """One law for each counted metric, recovered without using the claim and then compared with it.

    Raises:
        LayerError: the layer cannot be built, called or counted at the sizes tried.
    """
    counter = _Counter(layer, dtype)
    return [_law(layer, metric, dtype, counter) for metric in metrics if metric in COUNTED_METRICS]


class _Counter:
    """Traces of one layer, each made once."""

    def __init__(self, layer: Layer, dtype: str) -> None:
        self._layer, self._dtype = layer, dtype
        self._traces: dict[tuple[bool, tuple[int, ...]], Trace | LayerError] = {}

    def trace(self, sizes: Sizes, *, opened: bool = False) -> Trace:
        found = self._try(sizes, opened=opened)
        if isinstance(found, LayerError):
            raise found
        return found

    def recover(self, metric: str) -> Recovered:
        """The formula over all axes or, where a single head or sequence takes another path, over fewer."""
        opened = metric == "peak_bytes"
        first, *others = self._restrictions(opened)
        found = self._attempt(metric, self._domain(first, opened=opened))
        if found.formula:
            return found
        attempts = (self._attempt(metric, self._domain(only, opened=opened)) for only in others)
        return next((narrower for narrower in attempts if narrower.formula), found)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operations without a formula in the traces that work is counted in."""
        traces = (t for (opened, _), t in self._traces.items() if isinstance(t, Trace) and not opened)
        return tuple(dict.fromkeys(name for found in traces for name in found.uncounted))

    def _attempt(self, metric: str, domain: Domain) -> Recovered:
        if metric != "peak_bytes":
            return recover(lambda sizes: (getattr(self.trace(sizes), metric),), domain)
        found = recover(lambda sizes: self.trace(sizes, opened=True).live_bytes or (0,), domain)
        held = [
            f"{axis} = {sizes[0]}" if len(sizes) == 1 else f"{axis} ≥ {sizes[0]}" for axis, sizes in domain.only.items()
        ]
        return replace(found, reason=f"{found.reason}, for {' and '.join(held)}") if held else found

    def _restrictions(self, opened: bool) -> Iterator[dict[str, Values]]:
        yield {}
        if opened:  # torch copies where several heads or sequences interleave, and only views where there is one
            heads: dict[str, Values] = {"h": (self._layer.axes["h"] or 1,)} if "h" in self._layer.axes else {}
            batch: dict[str, Values] = {"b": (2, 3, 4, 5, 7)}
            yield from ([heads] if heads else [])
            yield batch
            yield from ([heads | batch] if heads else [])

    def _domain(self, only: dict[str, Values], *, opened: bool) -> Domain:
        small = Domain(
            tuple(self._layer.axes), lambda sizes: self._possible(sizes, opened=opened), large=False, only=only
        )
        short = next(iter(small.held_out()), None)
        if short is None:
            raise self._refusal()
        longer = (self._try({**short, "n": n}, opened=opened) for n in (2 * short["n"] + 1, 2 * short["n"]))
        long = next((found for found in longer if isinstance(found, Trace)), None)
        steady = long is not None and len(long.kernels) == len(self.trace(short, opened=opened).kernels)
        return replace(small, large=steady)

    def _possible(self, sizes: Sizes, *, opened: bool) -> bool:
        return not self._layer.broken_constraint(sizes) and isinstance(self._try(sizes, opened=opened), Trace)

    def _try(self, sizes: Sizes, *, opened: bool) -> Trace | LayerError:
        key = (opened, tuple(sizes.values()))
        if key not in self._traces:
            try:
                self._traces[key] = trace(self._layer, sizes, dtype=self._dtype, opened=opened)
            except LayerError as error:  # a size that this layer refuses is not a size to count at
                self._traces[key] = error
        return self._traces[key]

    def _refusal(self) -> LayerError:
        refused = (found for found in self._traces.values() if isinstance(found, LayerError))
        return next(refused, LayerError(f"layer {self._layer.name!r}: its constraints leave no size to count at"))


def _law(layer: Layer, metric: str, dtype: str, counter: _Counter) -> Law:
    found = counter.recover(metric)
    claim = layer.claims.given.get(metric)
    missing = counter.uncounted if metric == "flops" else ()
    verdict, reason = _judge(claim, found, missing)
    formula = found.formula
    return Law(
        layer=layer.name,
        metric=metric,
        verdict=verdict,
        reason=reason,
        claim=claim,
        formula=formula.text if formula else "",
        dtype=dtype,
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


def _judge(claim: str | None, found: Recovered, missing: tuple[str, ...]) -> tuple[Verdict, str]:
    if missing:
        return Verdict.INCONCLUSIVE, f"a lower bound: no formula for {', '.join(missing)}"
    if found.formula is None:
        return Verdict.INCONCLUSIVE, found.reason
    if claim is None:
        return Verdict.INFERRED, found.reason
    if all(Formula(claim).evaluate(sizes) == found.formula.evaluate(sizes) for sizes in found.proof):
        return Verdict.CONFIRMED, found.reason
    return Verdict.REFUTED, f"the claim is {claim}, but the count is {found.formula}, {found.reason}"
