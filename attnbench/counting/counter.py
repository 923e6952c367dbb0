"""Counts of one layer at many sizes, each trace made once, and the formulas recovered from them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from attnbench.counting.effective_flops import effective_flops
from attnbench.counting.paths.hops import Hops, hops_at
from attnbench.counting.paths.reach import bracket
from attnbench.counting.recover import Domain, Recovered, Values, recover, recover_ceiling
from attnbench.counting.trace import Trace, Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.trial import INPUT_AXES, USUAL, Choices, Sizes, Subject, describe


@dataclass(frozen=True, slots=True)
class TraceMetric:
    """How a metric is read: of which trace in which mode, and which of its numbers (the largest is meant)."""

    ways: dict[str, Way]
    read: Callable[[Trace], tuple[float, ...]]


_AS_WORKED = {"forward": Way.WHOLE, "train": Way.TRAIN, "decode": Way.DECODE}
_AS_RUN = _AS_WORKED | {"forward": Way.OPENED}
_AS_STEPPED = _AS_WORKED | {"forward": Way.STEPPED, "train": Way.TRAIN_STEPPED}
#: A way that shows every step, and the way that most layers, which hide none, were traced in already.
_SAME_BUT_FOR_HIDDEN_STEPS = {Way.STEPPED: Way.OPENED, Way.TRAIN_STEPPED: Way.TRAIN}
_PREFILL = {"decode": Way.PREFILL}
_SAVED = {"forward": Way.KEPT, "train": Way.KEPT}

#: Metrics read from traces, in the order in which people ask for them.
TRACE_METRICS = {
    "flops": TraceMetric(_AS_WORKED, lambda traced: (traced.flops,)),
    "elementwise": TraceMetric(_AS_STEPPED, lambda traced: (traced.elementwise,)),
    "parameters": TraceMetric(_AS_WORKED, lambda traced: (traced.parameters,)),
    "peak_bytes": TraceMetric(_AS_RUN, lambda traced: traced.live_bytes or (0,)),
    "saved_bytes": TraceMetric(_SAVED, lambda traced: (traced.saved_bytes,)),
    "depth": TraceMetric(_AS_STEPPED, lambda traced: (traced.depth,)),
    "log_depth": TraceMetric(_AS_STEPPED, lambda traced: (traced.log_depth,)),
    "prefill_flops": TraceMetric(_PREFILL, lambda traced: (traced.flops,)),
    "prefill_bytes": TraceMetric(_PREFILL, lambda traced: traced.live_bytes or (0,)),
}
#: Metrics of the forward pass that are read from runs on small real tensors.
_PATHS = ("hops", "hops_rf")
NEEDED = "flops_needed"

#: Lengths and structural sizes at which path lengths are looked at.
_PATH_LENGTHS = (2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 17, 25, 27, 28)
_PATH_PARTS = (2, 3, 4, 5)
_FEW_PATH_PARTS = (2, 3, 5)
_PATH_WIDTHS = (2, 4, 6, 12)
_FEWEST_LENGTHS = 5
#: Product of all sizes up to which counting on real numbers is quick.
_MAX_NUMBERS = 20_000
#: Sizes along which a class is looked at: most of them powers of two, at which logarithms are whole.
_GROWING: dict[str, Values] = {"b": (2, 3, 5), "n": (4, 8, 16, 64), "d": (8, 16, 24), "h": (2, 4, 8), "k": (3, 5, 9)}
_GROWING_PARTS = (2, 4, 8)
#: A layer's own kernels may change with the length: where is looked for up to this one.
_LONGEST_FOR_SWITCHES = 2**20


class Counter:
    """Everything that is counted of one layer in one mode."""

    def __init__(self, layer: Layer, choices: Choices = USUAL) -> None:
        self.layer, self._dtype, self._mode, self._sdpa = layer, choices.dtype, choices.mode, choices.sdpa
        self._traces: dict[tuple[Way, tuple[int, ...]], Trace | LayerError] = {}

    @property
    def subject(self) -> Subject:
        """What its laws are about: of no device, and of no number of threads in particular."""
        return Subject(self.layer.name, Choices("", self._dtype, self._mode, sdpa=self._sdpa))

    @property
    def is_plain(self) -> bool:
        """Whether it counts a forward pass with the kernels that torch chooses: what claims are about."""
        return (self._mode, self._sdpa) == ("forward", "default")

    def metrics(self) -> tuple[str, ...]:
        """What can be counted in this mode."""
        read = tuple(metric for metric, reading in TRACE_METRICS.items() if self._mode in reading.ways)
        return (*read, NEEDED, *_PATHS) if self._mode == "forward" else read

    def recover(self, metric: str) -> Recovered:
        """The formula of a metric over all axes or, where a single head or sequence takes another path, over fewer.

        Raises:
            LayerError: the layer cannot be counted at any of the sizes tried.
        """
        if metric in _PATHS:
            path = self._path(metric)
            return replace(path, reason="; ".join([path.reason, *self._evidence()]))
        if metric == NEEDED:
            return self._needed()
        way = TRACE_METRICS[metric].ways[self._mode]
        *_, found = self._until_one_fits(metric, way)
        return found if self.switch is None else self._on_both_sides(metric, way, found, self.switch)

    def _until_one_fits(self, metric: str, way: Way) -> Iterator[Recovered]:
        """Polynomials first, over ever fewer sizes; then all other formulas, which take hundreds of counts."""
        for attempt in self._attempts(metric, way):
            yield attempt
            if attempt.formula:
                return

    def _attempts(self, metric: str, way: Way) -> Iterator[Recovered]:
        restrictions = list(self._restrictions()) if way is not Way.WHOLE else []
        for only in ({}, *restrictions, *self._no_single_parts(way)):
            yield self._attempt(metric, only, way, only_polynomials=True)
        for only in (*restrictions[-1:], {}):
            yield self._attempt(metric, only, way)

    def _on_both_sides(self, metric: str, way: Way, found: Recovered, switch: int) -> Recovered:
        """Say where other kernels take over and, where no formula holds on both sides, give the one for longer."""
        said = f"other kernels run from n = {switch} on"
        if found.formula:
            return replace(found, reason=f"{found.reason}; {said}")
        few = tuple(dict.fromkeys(max(1, switch * part // 8 - 1) for part in range(1, 9)))
        try:
            longer = self._attempt(metric, {"n": tuple(switch + more for more in (0, 1, 3, 6, 13, 66))}, way)
            shorter = self._attempt(metric, {"n": few}, way, short=True)
        except LayerError:  # its constraints leave none of these lengths
            return replace(found, reason=f"{found.reason}; {said}")
        if longer.formula is None or shorter.formula is None:
            return replace(found, reason=f"{found.reason}; {said}")
        return replace(longer, reason=f"{longer.reason}; {said}, and below it is {shorter.formula}")

    def missing(self, metric: str) -> tuple[str, ...]:
        """Operations that make a count a lower bound."""
        if metric in _PATHS:
            return tuple(dict.fromkeys(name for hops in self._hops.values() for name in hops.unknown))
        if metric not in ("flops", "saved_bytes"):
            return ()
        way = TRACE_METRICS[metric].ways[self._mode]
        traces = [found for (of, _), found in self._traces.items() if isinstance(found, Trace) and of is way]
        named = [found.uncounted if metric == "flops" else found.hidden for found in traces]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(named)))

    def counts(self, metric: str) -> Iterator[tuple[str, list[tuple[Sizes, float]]]]:
        """Counts at the sizes that formulas are proved at, without a search for one; for metrics read from traces.

        First over all sizes, then over those without single parts, and what to add to a sentence about them.

        Raises:
            LayerError: the layer cannot be counted at any of the sizes tried.
        """
        way, read = TRACE_METRICS[metric].ways[self._mode], TRACE_METRICS[metric].read
        for only in ({}, *self._no_single_parts(way)):
            held = " and ".join(f"{axis} ≥ {sizes[0]}" for axis, sizes in only.items())
            points = self._domain(only, way).held_out()
            yield f", for {held}" if held else "", [(one, max(read(self.trace(one, way)))) for one in points]

    def growing_counts(self, metric: str) -> list[tuple[Sizes, float]]:
        """Counts where one size after the other grows, at sizes that cost little; for metrics read from traces.

        Empty where the layer refuses too many of them to tell how a size that it has makes the count grow.
        """
        way, read = TRACE_METRICS[metric].ways[self._mode], TRACE_METRICS[metric].read
        pools = {axis: _GROWING.get(axis, _GROWING_PARTS) for axis in self.layer.axes}
        first = {axis: sizes[1] for axis, sizes in pools.items()}
        lines = {axis: [first | {axis: size} for size in sizes] for axis, sizes in pools.items()}
        possible = {axis: [sizes for sizes in line if self._possible(sizes, way)] for axis, line in lines.items()}
        if any(len(line) < len(pools[axis]) for axis, line in possible.items()):
            return []
        every = [*itertools.chain.from_iterable(possible.values()), {axis: sizes[2] for axis, sizes in pools.items()}]
        points = {tuple(sizes.items()): sizes for sizes in every if self._possible(sizes, way)}
        return [(sizes, max(read(self.trace(sizes, way)))) for sizes in points.values()]

    def trace(self, sizes: Sizes, way: Way) -> Trace:
        """The trace at `sizes`.

        Raises:
            LayerError: there is none.
        """
        found = self._try(sizes, way)
        if isinstance(found, LayerError):
            raise found
        return found

    @cached_property
    def switch(self) -> int | None:
        """The length from which on the layer runs other kernels than at short ones; None when it never does."""
        way = _AS_WORKED[self._mode]
        domain = self._domain({}, way)
        start = next(iter(domain.held_out()), None)
        if start is None or not domain.large:
            return None
        return self._first_length_unlike(start, way)

    def _first_length_unlike(self, start: Sizes, way: Way) -> int | None:
        """By strides, then by halving; lengths that the layer refuses are passed over."""

        def kernels(n: int) -> set[str] | None:
            sizes = start | {"n": n}
            found = None if self.layer.broken_constraint(sizes) else self._try(sizes, way)
            return {kernel.name for kernel in found.kernels} if isinstance(found, Trace) else None

        strides = itertools.takewhile(lambda n: n <= _LONGEST_FOR_SWITCHES, (4**i for i in itertools.count(1)))
        lengths = [(n, found) for n in strides if (found := kernels(n)) is not None]
        for (low, before), (high, after) in itertools.pairwise(lengths):
            if before != after:
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (low, middle) if kernels(middle) == after else (middle, high)
                return int(high)
        return None

    # ---------------------------------------------------------------------------------------------- by traces

    def _attempt(
        self, metric: str, only: dict[str, Values], way: Way, *, only_polynomials: bool = False, short: bool = False
    ) -> Recovered:
        read, domain = TRACE_METRICS[metric].read, self._domain(only, way)
        if short:
            domain = replace(domain, large=False)
        found = recover(lambda sizes: read(self.trace(sizes, way)), domain, only_polynomials=only_polynomials)
        held = [
            f"{axis} = {sizes[0]}" if len(sizes) == 1 else f"{axis} ≥ {sizes[0]}" for axis, sizes in domain.only.items()
        ]
        return replace(found, reason=f"{found.reason}, for {' and '.join(held)}") if held else found

    def _restrictions(self) -> Iterator[dict[str, Values]]:
        """PyTorch copies where several heads or sequences interleave, and only views where there is one.

        The sizes of a stack's layers add up to no polynomial in their number: they are counted at one height.
        """
        fixed: dict[str, Values] = {axis: (size or 1,) for axis, size in self.layer.axes.items() if axis in ("h", "l")}
        batch: dict[str, Values] = {"b": (2, 3, 4, 5, 7)}
        yield from ([fixed] if fixed else [])
        yield batch
        yield from ([fixed | batch] if fixed else [])

    def _no_single_parts(self, way: Way) -> Iterator[dict[str, Values]]:
        """A product over a single number, head or sequence is an element-wise one to ``einsum``, and no matrix work."""
        several = (2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16)
        parts: dict[str, Values] = {a: several for a in self.layer.axes if a not in {*INPUT_AXES, "d", "l"}}
        for only in (parts, parts | {"b": (2, 3, 4, 5, 7)}) if parts else ():
            sizes = Domain(tuple(self.layer.axes), lambda sizes: self._possible(sizes, way), large=False, only=only)
            if sizes.held_out():
                yield only

    def _domain(self, only: dict[str, Values], way: Way) -> Domain:
        small = Domain(tuple(self.layer.axes), lambda sizes: self._possible(sizes, way), large=False, only=only)
        short = next(iter(small.held_out()), None)
        if short is None:
            raise self._refusal()
        longer = (self._try({**short, "n": n}, way) for n in (2 * short["n"] + 1, 2 * short["n"]))
        long = next((found for found in longer if isinstance(found, Trace)), None)
        steady = long is not None and len(long.kernels) == len(self.trace(short, way).kernels)
        return replace(small, large=steady)

    def _possible(self, sizes: Sizes, way: Way) -> bool:
        return not self.layer.broken_constraint(sizes) and isinstance(self._try(sizes, way), Trace)

    def _try(self, sizes: Sizes, way: Way) -> Trace | LayerError:
        key = (way, tuple(sizes.values()))
        if key not in self._traces:
            self._traces[key] = self._traced(sizes, way)
        return self._traces[key]

    def _traced(self, sizes: Sizes, way: Way) -> Trace | LayerError:
        if way in _SAME_BUT_FOR_HIDDEN_STEPS:
            found = self._try(sizes, _SAME_BUT_FOR_HIDDEN_STEPS[way])
            if not (isinstance(found, Trace) and found.hidden):
                return found
        try:
            return trace(self.layer, sizes, dtype=self._dtype, way=way, sdpa=self._sdpa)
        except LayerError as error:  # a size that this layer refuses is not a size to count at
            return error

    def _refusal(self) -> LayerError:
        refused = (found for found in self._traces.values() if isinstance(found, LayerError))
        return next(refused, LayerError(f"layer {self.layer.name!r}: its constraints leave no size to count at"))

    # ------------------------------------------------------------------------------------ on small real tensors

    def _needed(self) -> Recovered:
        """Work as needed, at lengths that hold a whole kernel or window; of a stack, at its usual height."""
        fixed: dict[str, Values] = {axis: (size or 1,) for axis, size in self.layer.axes.items() if axis == "l"}
        domain = Domain(tuple(self.layer.axes), self._is_long, large=False, tiny=True, only=fixed)
        found = recover(lambda sizes: (effective_flops(self.layer, sizes),), domain)
        held = [f"{axis} = {size}" for axis, (size,) in fixed.items()]
        held += [f"n ≥ {part}" for part in self._parts if part in ("k", "w")]
        return replace(found, reason=", for ".join([found.reason, " and ".join(held)])) if held else found

    @property
    def _parts(self) -> list[str]:
        """Axes that are parts of the length, and those that a plugin names."""
        return [axis for axis in self.layer.axes if axis not in {*INPUT_AXES, "d", "h", "l"}]

    def _is_long(self, sizes: Sizes) -> bool:
        fits = all(sizes["n"] >= sizes[part] for part in self._parts)
        return fits and math.prod(sizes.values()) <= _MAX_NUMBERS and not self.layer.broken_constraint(sizes)

    def _path(self, metric: str) -> Recovered:
        """The formula of a path length; where two positions are a special case, from three on."""
        values, axes = self._paths(metric), tuple(self.layer.axes)
        found = recover_ceiling(values, axes)
        if found.formula is None:
            longer = recover_ceiling([(sizes, hops) for sizes, hops in values if sizes["n"] > 2], axes)
            return replace(longer, reason=f"{longer.reason}, for n >= 3") if longer.formula else found
        return found

    def _paths(self, metric: str) -> list[tuple[Sizes, float]]:
        return [(dict(sizes), hops.io if metric == "hops" else hops.rf) for sizes, hops in self._hops.items()]

    @cached_property
    def _hops(self) -> dict[tuple[tuple[str, int], ...], Hops]:
        """Path lengths at small sizes."""
        parts = self._parts
        found: dict[tuple[tuple[str, int], ...], Hops] = {}
        pool = _PATH_PARTS if len(parts) < 2 else _FEW_PATH_PARTS
        for point in itertools.product(pool, repeat=len(parts)):
            fixed = dict(zip(parts, point, strict=True))
            possible = list(filter(None, (self._narrowest(fixed | {"n": n}) for n in _PATH_LENGTHS)))
            if len(possible) >= _FEWEST_LENGTHS:
                found |= {tuple(sizes.items()): hops_at(self.layer, sizes) for sizes in possible}
        if not found:
            raise LayerError(f"layer {self.layer.name!r}: no short sequence is possible, so its paths cannot be seen")
        return found

    def _evidence(self) -> Iterator[str]:
        """What stands beside a path length: its direction or reach, and what gradients and NaNs say."""
        sizes, longest = list(self._hops.items())[-1]
        if longest.io == math.inf:
            yield f"at {describe(dict(sizes))} no stack connects more than {longest.reach:.0%} of the pairs"
        elif longest.direction != "both":
            yield f"{longest.direction} only"
        middle = next((sizes for sizes in self._hops if dict(sizes)["n"] >= 16), list(self._hops)[-1])
        seen = bracket(self.layer, dict(middle))
        yield from (f"one layer {seen.finding} at {describe(dict(middle))}",) if seen.finding else ()
        yield from (seen.violation,) if seen.violation else ()

    def _narrowest(self, given: Sizes) -> Sizes | None:
        """`given` with the smallest width that the layer accepts; None when it accepts none."""
        for d in _PATH_WIDTHS:
            try:
                return self.layer.complete(given | {"b": 1, "d": d})
            except LayerError:
                continue
        return None
