"""Counts of one layer at many sizes, each trace made once, and the formulas recovered from them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from attnbench.counting.effective_flops import effective_parts
from attnbench.counting.paths.lengths import PathLengths
from attnbench.counting.recover import Domain, Parts, Recovered, Values, recover, recover_parts, start
from attnbench.counting.trace import Kernel, Trace, Way, trace
from attnbench.errors import LayerError
from attnbench.layers.base import Layer
from attnbench.trial import AXES, INPUT_AXES, USUAL, Choices, Sizes, Subject


@dataclass(frozen=True, slots=True)
class TraceMetric:
    """How a metric is read: of which trace in which mode, and from which of its parts."""

    ways: dict[str, Way]
    parts: Callable[[Trace], Parts]


def _of_each(read: Callable[[Kernel], float]) -> Callable[[Trace], Parts]:
    """What all kernels add up to."""
    return lambda traced: Parts.added(map(read, traced.kernels))


def _live(traced: Trace) -> Parts:
    """Bytes of what is alive at each moment at which there may be most."""
    made, gone = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
    for place, one in enumerate(traced.stored):
        made[one.made].add(place)
        gone[one.gone].add(place)
    alive, most = set[int](), dict[frozenset[int], None]()
    for moment in range(len(traced.kernels)):
        alive = (alive | made[moment]) - gone[moment]
        if made[moment] and gone[moment + 1]:  # more than before, and more than after
            most[frozenset(alive)] = None
    return Parts(tuple(one.nbytes for one in traced.stored), tuple(most))


def _heaviest_chain(traced: Trace) -> Parts:
    """What each kernel adds to a chain, and which of them are the heaviest chain here."""
    kernels, chain = traced.kernels, list[int]()
    place = max(range(len(kernels)), key=lambda one: kernels[one].log_depth, default=-1)
    while place >= 0:
        chain.append(place)
        place = kernels[place].before
    return Parts(tuple(kernel.weight for kernel in kernels), (frozenset(chain),), only_largest=True)


_AS_WORKED = {"forward": Way.WHOLE, "train": Way.TRAIN, "decode": Way.DECODE}
_AS_RUN = _AS_WORKED | {"forward": Way.OPENED}
_AS_STEPPED = _AS_WORKED | {"forward": Way.STEPPED, "train": Way.TRAIN_STEPPED}
#: A way that shows every step, and the way that most layers, which hide none, were traced in already.
_SAME_BUT_FOR_HIDDEN_STEPS = {Way.STEPPED: Way.OPENED, Way.TRAIN_STEPPED: Way.TRAIN}
_PREFILL = {"decode": Way.PREFILL}
_SAVED = {"forward": Way.KEPT, "train": Way.KEPT}

#: Metrics read from traces, in the order in which people ask for them.
TRACE_METRICS = {
    "flops": TraceMetric(_AS_WORKED, _of_each(lambda kernel: kernel.flops or 0)),
    "elementwise": TraceMetric(_AS_STEPPED, _of_each(lambda kernel: kernel.elementwise)),
    "parameters": TraceMetric(_AS_WORKED, lambda traced: Parts.added(traced.weights)),
    "peak_bytes": TraceMetric(_AS_RUN, _live),
    "saved_bytes": TraceMetric(_SAVED, lambda traced: Parts.added(traced.saved)),
    "depth": TraceMetric(_AS_STEPPED, lambda traced: Parts.added([traced.depth])),
    "log_depth": TraceMetric(_AS_STEPPED, _heaviest_chain),
    "prefill_flops": TraceMetric(_PREFILL, _of_each(lambda kernel: kernel.flops or 0)),
    "prefill_bytes": TraceMetric(_PREFILL, _live),
}
#: The largest of their numbers is meant.
_OF_MOMENTS = ("peak_bytes", "prefill_bytes")
#: Metrics of the forward pass that are read from runs on small real tensors.
PATHS = ("hops", "hops_rf")
NEEDED = "flops_needed"

#: Axes of which a length holds a whole one, or does not.
_PARTS_OF_LENGTH = ("k", "w", "r", "m", "c", "s")
#: Numbers of the input, times the largest other size, up to which counting on real numbers is quick.
_MAX_NUMBERS = 20_000
#: Sizes along which a class is looked at: most of them powers of two, at which logarithms are whole.
_GROWING: dict[str, Values] = {"b": (2, 3, 5), "n": (4, 8, 16, 64), "d": (8, 16, 24), "h": (2, 4, 8), "k": (3, 5, 9)}
_GROWING_PARTS = (2, 4, 8)
#: Kernels of one trace that are worth writing down, where loops over positions make ever more.
_MAX_KERNELS, _STEADY_GROWTH = 1_500, 0.1
#: A layer's own kernels may change with the length: where is looked for up to this one.
_LONGEST_FOR_SWITCHES = 2**20


class Counter:
    """Everything that is counted of one layer in one mode."""

    def __init__(self, layer: Layer, choices: Choices = USUAL) -> None:
        self.layer, self._dtype, self._mode, self._sdpa = layer, choices.dtype, choices.mode, choices.sdpa
        self._traces: dict[tuple[Way, tuple[int, ...]], Trace | LayerError] = {}
        self._has_no_loops, self._paths = False, PathLengths(layer)
        self._needed_at: dict[tuple[int, ...], Parts] = {}
        self._unneeded: list[LayerError] = []
        self._longest: dict[Way, int] = {}
        self._starts: dict[Way, Sizes] = {}
        self._domains: dict[tuple[Way, tuple[tuple[str, Values], ...]], Domain] = {}

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
        return (*read, NEEDED, *PATHS) if self._mode == "forward" else read

    def recover(self, metric: str) -> Recovered:
        """The formula of a metric over all axes or, where a single head or sequence takes another path, over fewer.

        Raises:
            LayerError: the layer cannot be counted at any of the sizes tried.
        """
        if metric in PATHS:
            return self._paths.recover(metric)
        if metric == NEEDED:
            return self._needed()
        way = TRACE_METRICS[metric].ways[self._mode]
        *_, found = self._until_one_fits(metric, way)
        return found if self.switch is None else self._on_both_sides(metric, way, found, self.switch)

    def _until_one_fits(self, metric: str, way: Way) -> Iterator[Recovered]:
        """Part by part first, over ever fewer sizes; then as a whole, which takes hundreds of counts."""
        for attempt in self._attempts(metric, way):
            yield attempt
            if attempt.formula:
                return

    def _attempts(self, metric: str, way: Way) -> Iterator[Recovered]:
        restrictions = list(self._restrictions()) if way is not Way.WHOLE else []
        for only in itertools.chain([{}], restrictions, self._no_single_parts(way)):
            yield self._by_parts(metric, only, way)
        for only in (*restrictions[-1:], {}):
            yield self._attempt(metric, only, way)

    def _by_parts(self, metric: str, only: dict[str, Values], way: Way) -> Recovered:
        read, domain = TRACE_METRICS[metric].parts, self._domain(only, way)
        return _held(recover_parts(lambda sizes: read(self.trace(sizes, way)), domain), domain)

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

    @property
    def path_parts(self) -> list[str]:
        """Axes beside n that path lengths may depend on."""
        return self._paths.parts

    def missing(self, metric: str) -> tuple[str, ...]:
        """Operations that make a count a lower bound."""
        if metric in PATHS:
            return self._paths.unknown
        if metric not in ("flops", "elementwise", "saved_bytes"):
            return ()
        way = TRACE_METRICS[metric].ways[self._mode]
        ways = {way, Way.OPENED} if way is Way.WHOLE and self._has_no_loops else {way}
        traces = [found for (of, _), found in self._traces.items() if isinstance(found, Trace) and of in ways]
        named = [found.hidden if metric == "saved_bytes" else found.uncounted for found in traces]
        return tuple(dict.fromkeys(itertools.chain.from_iterable(named)))

    def counts(self, metric: str) -> Iterator[tuple[str, list[tuple[Sizes, float]]]]:
        """Counts at the sizes that formulas are proved at, without a search for one; for metrics read from traces.

        First over all sizes, then over those without single parts, and what to add to a sentence about them.

        Raises:
            LayerError: the layer cannot be counted at any of the sizes tried.
        """
        way = TRACE_METRICS[metric].ways[self._mode]
        for only in ({}, *self._no_single_parts(way)):
            held = " and ".join(f"{axis} ≥ {sizes[0]}" for axis, sizes in only.items())
            points = self._domain(only, way).held_out
            yield f", for {held}" if held else "", [(one, self._count(metric, one)) for one in points]

    def growing_counts(self, metric: str) -> list[tuple[Sizes, float]]:
        """Counts where one size after the other grows, at sizes that cost little; for metrics read from traces.

        Empty where the layer refuses too many of them to tell how a size that it has makes the count grow.
        """
        way = TRACE_METRICS[metric].ways[self._mode]
        pools = {axis: _GROWING.get(axis, _GROWING_PARTS) for axis in self.layer.axes}
        first = {axis: sizes[1] for axis, sizes in pools.items()}
        lines = {axis: [first | {axis: size} for size in sizes] for axis, sizes in pools.items()}
        possible = {axis: [sizes for sizes in line if self._possible(sizes, way)] for axis, line in lines.items()}
        if any(len(line) < len(pools[axis]) for axis, line in possible.items()):
            return []
        every = [*itertools.chain.from_iterable(possible.values()), {axis: sizes[2] for axis, sizes in pools.items()}]
        points = {tuple(sizes.items()): sizes for sizes in every if self._possible(sizes, way)}
        return [(sizes, self._count(metric, sizes)) for sizes in points.values()]

    def _count(self, metric: str, sizes: Sizes) -> float:
        reading = TRACE_METRICS[metric]
        return reading.parts(self.trace(sizes, reading.ways[self._mode])).total

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
        return self._first_length_unlike(self._start(way), way) if self._domain({}, way).large else None

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

    def _attempt(self, metric: str, only: dict[str, Values], way: Way, *, short: bool = False) -> Recovered:
        domain = self._domain(only, way)
        if short:
            domain = replace(domain, large=False)
        return _held(recover(lambda sizes: self._numbers(metric, sizes, way), domain), domain)

    def _numbers(self, metric: str, sizes: Sizes, way: Way) -> tuple[float, ...]:
        """The count, or the counts of which the largest is meant."""
        if metric in _OF_MOMENTS:
            return self.trace(sizes, way).live_bytes or (0,)
        return (self._count(metric, sizes),)

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
            if self._small(only, way).held_out:
                yield only

    def _small(self, only: dict[str, Values], way: Way) -> Domain:
        return Domain(
            tuple(self.layer.axes),
            lambda sizes: self._possible(sizes, way),
            large=False,
            only=only,
            constraints=lambda sizes: not self.layer.broken_constraint(sizes),
            bound=self.layer.constrained_axes,
            given=self._given,
        )

    def _domain(self, only: dict[str, Values], way: Way) -> Domain:
        key = (way, tuple(only.items()))
        if key not in self._domains:
            self._domains[key] = self._steady(self._small(only, way), way)
        return self._domains[key]

    def _steady(self, small: Domain, way: Way) -> Domain:
        """The domain, large where the same kernels run at twice the length."""
        short = self._start(way)
        longer = (self._try({**short, "n": n}, way) for n in (2 * short["n"] + 1, 2 * short["n"]))
        long = next((found for found in longer if isinstance(found, Trace)), None)
        kernels = len(self.trace(short, way).kernels), len(long.kernels) if long else 0
        self._longest[way] = _longest(short["n"], *kernels)
        return replace(small, large=kernels[0] == kernels[1])

    def _start(self, way: Way) -> Sizes:
        """A point at which the layer can be called.

        Raises:
            LayerError: there is none.
        """
        if way not in self._starts:
            found = start(self._small({}, way))
            if found is None:
                raise self._refusal()
            self._starts[way] = found.base
        return self._starts[way]

    def _possible(self, sizes: Sizes, way: Way) -> bool:
        if self.layer.broken_constraint(sizes) or sizes["n"] > self._longest.get(way, sizes["n"]):
            return False
        return isinstance(self._try(sizes, way), Trace)

    def _try(self, sizes: Sizes, way: Way) -> Trace | LayerError:
        key = (way, tuple(sizes.values()))
        if key not in self._traces:
            self._traces[key] = self._traced(sizes, way)
        return self._traces[key]

    def _traced(self, sizes: Sizes, way: Way) -> Trace | LayerError:
        if way is Way.WHOLE and self._has_no_loops:
            return self._try(sizes, Way.OPENED)
        if way in _SAME_BUT_FOR_HIDDEN_STEPS:
            found = self._try(sizes, _SAME_BUT_FOR_HIDDEN_STEPS[way])
            if not (isinstance(found, Trace) and found.hides_steps):
                return found
        try:
            found = trace(self.layer, sizes, dtype=self._dtype, way=way, sdpa=self._sdpa)
        except LayerError as error:  # a size that this layer refuses is not a size to count at
            return error
        if way is Way.WHOLE and not found.kept_whole:  # then the kernels that run tell the same, and more
            self._has_no_loops = True
            return self._try(sizes, Way.OPENED)
        return found

    def _refusal(self) -> LayerError:
        refused = (found for found in self._traces.values() if isinstance(found, LayerError))
        return next(refused, LayerError(f"layer {self.layer.name!r}: its constraints leave no size to count at"))

    # ------------------------------------------------------------------------------------ on small real tensors

    def _needed(self) -> Recovered:
        """Work as needed, at lengths that hold a whole kernel or window; of a stack, at its usual height.

        An axis of a plugin may be such a part of the length or not: that it is one is thought of last.
        """
        known = [axis for axis in self._parts if axis in _PARTS_OF_LENGTH]
        found = self._needed_where_n_holds(known)
        others = [axis for axis in self._parts if axis not in AXES]
        return self._needed_where_n_holds([*known, *others]) if others and not found.formula else found

    def _needed_where_n_holds(self, parts: Sequence[str]) -> Recovered:
        fixed: dict[str, Values] = {axis: (size or 1,) for axis, size in self.layer.axes.items() if axis == "l"}

        def allows(sizes: Sizes) -> bool:
            fits = all(sizes["n"] >= sizes[part] for part in parts)
            return fits and not self.layer.broken_constraint(sizes) and _numbers_in(sizes) <= _MAX_NUMBERS

        axes = tuple(self.layer.axes)
        possible = partial(self._needs, allows)
        domain = Domain(axes, possible, large=False, tiny=True, only=fixed, constraints=allows, given=self._given)
        found = recover_parts(self._needed_parts, domain)
        if not found.formula:
            found = recover(lambda sizes: (self._needed_parts(sizes).total,), domain)
        if self._unneeded and not self._needed_at:  # at no size; what some sizes raise is no reason for no formula
            raise self._unneeded[0]
        held = [f"{axis} = {size}" for axis, (size,) in fixed.items()]
        held += [f"n ≥ {part}" for part in parts if part in ("k", "w")]
        return replace(found, reason=", for ".join([found.reason, " and ".join(held)])) if held else found

    def _needs(self, allows: Callable[[Sizes], bool], sizes: Sizes) -> bool:
        try:
            return allows(sizes) and bool(self._needed_parts(sizes))
        except LayerError as error:  # it raises at lengths as short as these, say
            self._unneeded.append(error)
            return False

    def _needed_parts(self, sizes: Sizes) -> Parts:
        key = tuple(sizes.values())
        if key not in self._needed_at:
            self._needed_at[key] = Parts.added(effective_parts(self.layer, sizes))
        return self._needed_at[key]

    @property
    def _given(self) -> dict[str, Values]:
        return {axis: tuple(sizes) for axis, sizes in self.layer.sizes.items()}

    @property
    def _parts(self) -> list[str]:
        """Axes that are parts of the length, and those that a plugin names."""
        return [axis for axis in self.layer.axes if axis not in {*INPUT_AXES, "d", "h", "l"}]


def _longest(n: int, kernels: int, at_twice: int) -> int:
    """The longest call of which every kernel is worth its tracing, by how their number grows as n doubles."""
    growth = math.log2(at_twice / kernels) if at_twice > kernels > 0 else 0.0
    return int(n * (_MAX_KERNELS / kernels) ** (1 / growth)) if growth > _STEADY_GROWTH else _LONGEST_FOR_SWITCHES


def _numbers_in(sizes: Sizes) -> int:
    largest = max((size for axis, size in sizes.items() if axis not in {*INPUT_AXES, "d", "l"}), default=1)
    return sizes["b"] * sizes["n"] * sizes["d"] * largest


def _held(found: Recovered, domain: Domain) -> Recovered:
    """The same, saying at which sizes axes were held back."""
    held = [
        f"{axis} = {sizes[0]}" if len(sizes) == 1 else f"{axis} ≥ {sizes[0]}" for axis, sizes in domain.only.items()
    ]
    return replace(found, reason=f"{found.reason}, for {' and '.join(held)}") if held else found
