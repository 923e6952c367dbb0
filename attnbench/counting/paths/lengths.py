"""Path lengths of one layer at small sizes, the formulas behind them, and what stands beside those."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from attnbench.counting.paths.hops import Hops, hops_at
from attnbench.counting.paths.reach import evidence
from attnbench.counting.recover import Recovered, recover_ceiling
from attnbench.counting.recover.domain import Values
from attnbench.counting.recover.start import by_depth
from attnbench.errors import LayerError
from attnbench.layers.base import DEFAULT_SIZES, Layer
from attnbench.trial import INPUT_AXES, Sizes, describe

#: Lengths and structural sizes at which path lengths are looked at; longer ones where constraints allow too few.
_LENGTHS = (2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 17, 25, 27, 28)
_LONGER = range(2, 97)
_PARTS, _FEW_PARTS = (2, 3, 4, 5), (2, 3, 5)
_FEWEST_LENGTHS, _MOST_LENGTHS = 5, 10
#: Axes that say how far one layer looks; of others it is seen whether they matter, at a few lengths.
_REACHES = ("k", "w", "r", "m", "c", "s")
_TELLING_LENGTHS = (9, 16)
#: Widths, smallest first: every number is followed by itself.
_WIDTHS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_OTHERS = (3, 2, 4, 1, 6, 8, 12, 16)
#: Combinations of sizes that are held against the constraints.
_MAX_POINTS = 3_000

_Point = tuple[tuple[str, int], ...]


class PathLengths:
    """Path lengths of a layer.

    Args:
        layer: what is looked at.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._known: dict[_Point, Hops | LayerError] = {}

    def recover(self, metric: str) -> Recovered:
        """The formula of ``hops`` or ``hops_rf``, with what stands beside it in its reason.

        Raises:
            LayerError: no short sequence is possible, or the layer's paths cannot be followed.
        """
        found = self._formula(metric)
        return replace(found, reason="; ".join([found.reason, *self._evidence()]))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Operations without a rule."""
        return tuple(dict.fromkeys(name for hops in self._hops.values() for name in hops.unknown))

    def _formula(self, metric: str) -> Recovered:
        """Where two positions are a special case, from three on."""
        seen = [(dict(sizes), hops.io if metric == "hops" else hops.rf) for sizes, hops in self._hops.items()]
        held = {axis: seen[0][0][axis] for axis in self.parts if len({sizes[axis] for sizes, _ in seen}) == 1}
        axes = tuple(axis for axis in self._layer.axes if axis not in held)
        where = [f"{axis} = {size}" for axis, size in held.items()]
        found = recover_ceiling(seen, axes)
        if found.formula is None:
            longer = recover_ceiling([(sizes, hops) for sizes, hops in seen if sizes["n"] > 2], axes)
            found, where = (longer, ["n >= 3", *where]) if longer.formula else (found, where)
        reason = f"{found.reason}, for {' and '.join(where)}" if where else found.reason
        return replace(found, reason=reason, held=tuple(held))

    def _evidence(self) -> Iterator[str]:
        """What stands beside a path length: its direction or reach, and what gradients and NaNs say."""
        sizes, longest = list(self._hops.items())[-1]
        if longest.io == math.inf:
            yield f"at {describe(dict(sizes))} no stack connects more than {longest.reach:.0%} of the pairs"
        elif longest.direction != "both":
            yield f"{longest.direction} only"
        middle = dict(next((sizes for sizes in self._hops if dict(sizes)["n"] >= 16), sizes))
        yield from filter(None, [evidence(self._layer, middle)])

    # ------------------------------------------------------------------------------------------ where it is looked

    @cached_property
    def _hops(self) -> dict[_Point, Hops]:
        """Path lengths at small sizes."""
        parts, found = self.parts, dict[_Point, Hops]()
        for point in itertools.product(_PARTS if len(parts) < 2 else _FEW_PARTS, repeat=len(parts)):
            seen = self._at_lengths(dict(zip(parts, point, strict=True)))
            found |= seen if len(seen) >= _FEWEST_LENGTHS else {}
        if not found:
            raise self._refusal()
        return found

    def _refusal(self) -> LayerError:
        refused = (found for found in self._known.values() if isinstance(found, LayerError))
        none = f"layer {self._layer.name!r}: no short sequence is possible, so its paths cannot be seen"
        return next(refused, LayerError(none))

    @cached_property
    def parts(self) -> list[str]:
        """Axes that path lengths may depend on beside n: how far a layer looks, and whatever else matters."""
        others = [axis for axis in self._layer.axes if axis not in {*INPUT_AXES, "d", "h", "l"}]
        return [axis for axis in others if axis in _REACHES or self._matters(axis)]

    def _matters(self, axis: str) -> bool:
        """Whether another size of an axis gives another path length at one of a few lengths."""
        for n in _TELLING_LENGTHS:
            points = filter(None, (self._narrowest({"n": n, axis: size}) for size in _PARTS))
            found = [hops for hops in map(self._seen, points) if isinstance(hops, Hops)]
            if len({(hops.io, hops.rf) for hops in found}) > 1:
                return True
        return False

    def _at_lengths(self, fixed: Sizes) -> dict[_Point, Hops]:
        """Path lengths at several n: the usual ones, or what constraints and the layer leave of longer ones."""
        usual = list(filter(None, (self._narrowest(fixed | {"n": n}) for n in _LENGTHS)))
        if len(usual) < _FEWEST_LENGTHS or not isinstance(self._seen(usual[0]), Hops):
            usual = self._longer(fixed)
        seen = {tuple(sizes.items()): self._seen(sizes) for sizes in usual}
        return {sizes: hops for sizes, hops in seen.items() if isinstance(hops, Hops)}

    def _longer(self, fixed: Sizes) -> list[Sizes]:
        """Some lengths from the first on that the layer takes."""
        every = list(filter(None, (self._narrowest(fixed | {"n": n}) for n in _LONGER)))
        tried = list(itertools.takewhile(lambda place: place < len(every), (2**i - 1 for i in itertools.count())))
        taken = next((place for place in tried if isinstance(self._seen(every[place]), Hops)), None)
        if taken is None:
            return []
        first = next(place for place in range(taken // 2, taken + 1) if isinstance(self._seen(every[place]), Hops))
        return every[first :: max(1, (len(every) - first) // _MOST_LENGTHS)][:_MOST_LENGTHS]

    def _seen(self, sizes: Sizes) -> Hops | LayerError:
        key = tuple(sizes.items())
        if key not in self._known:
            try:
                self._known[key] = hops_at(self._layer, sizes)
            except LayerError as error:
                self._known[key] = error
        return self._known[key]

    def _narrowest(self, given: Sizes) -> Sizes | None:
        """`given` with the smallest widths that constraints allow; None when they allow none.

        Defaults come first where they are small, as authors know what their layer takes.
        """
        pools: dict[str, Values] = {"b": (1,)}
        for axis, default in self._layer.axes.items():
            usual = (default or DEFAULT_SIZES.get(axis),) if axis in ("h", "l") else (default,)
            small = tuple(size for size in usual if size and size <= _WIDTHS[-1])
            pools[axis] = pools.get(axis) or tuple(dict.fromkeys((*small, *_OTHERS)))
        pools |= {"d": _WIDTHS} | {axis: (size,) for axis, size in given.items()} | self._given(given)
        every = itertools.islice(by_depth(pools), _MAX_POINTS)
        return next((sizes for sizes in every if not self._layer.broken_constraint(sizes)), None)

    def _given(self, fixed: Sizes) -> dict[str, Values]:
        """Sizes of widths that the layer's author gave; lengths and what is fixed are chosen here."""
        return {axis: tuple(sizes) for axis, sizes in self._layer.sizes.items() if axis != "n" and axis not in fixed}
