"""Where a formula is looked for: the sizes it is solved for at, and the sizes it must then predict."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from attnbench.trial import Sizes, ordered

#: Sizes of one axis.
Values = tuple[int, ...]

#: Sizes at which formulas are solved for; four of them reveal a degree up to two and prove it, and a degree of three
#: is left to the held-out sizes. Hidden sizes are multiples of 12 so that 2, 3, 4 or 6 heads divide them.
_SOLVING: dict[str, Values] = {
    "b": (2, 3, 4, 5),
    "n": (4, 6, 9, 11),
    "d": (12, 24, 36, 48),
    "h": (2, 3, 4, 6),
    "k": (3, 5, 7, 9),
    "l": (1, 2, 3, 4),
    "w": (1, 2, 3, 5),
}
#: For layers that refuse one of those: lengths that blocks of 2, 3, 4, 6 or 16 divide, and powers of two.
_ROUND: dict[str, Values] = {**_SOLVING, "n": (48, 96, 144, 240), "d": (48, 96, 144, 240)}
_POWERS: dict[str, Values] = {
    **_SOLVING,
    "n": (8, 16, 32, 64),
    "d": (16, 32, 64, 128),
    "h": (1, 2, 4, 8),
    "w": (1, 2, 4, 8),
}
#: With each, the sizes of all other axes: neighbourhoods, landmarks, blocks and whatever a plugin names.
_KINDS: tuple[tuple[dict[str, Values], Values], ...] = (
    (_SOLVING, (2, 3, 4, 6)),
    (_ROUND, (2, 3, 4, 6)),
    (_POWERS, (2, 3, 4, 6)),
    (_SOLVING, (3, 5, 7, 9)),
    (_ROUND, (3, 5, 7, 9)),
    (_POWERS, (1, 2, 4, 8)),
)
#: For counts made with real numbers, where every element costs.
_TINY = {**_SOLVING, "b": (1, 2, 3), "d": (4, 6, 8, 12), "h": (1, 2, 4), "k": (3, 5, 7), "w": (1, 2, 3), "l": (1, 2, 3)}
_TINY_HELD_OUT = {"b": (1, 2), "n": (8, 13, 15), "d": (6, 9, 10), "h": (1, 2, 3), "k": (3, 5), "w": (2, 4), "l": (1, 2)}
#: For layers that take nothing shorter.
_LONGER_TINY = (39, 51, 64, 66)
_HELD_OUT = {
    "b": (1, 2, 7),
    "n": (13, 31, 97, 120, 128, 129),
    "d": (15, 30, 77, 210, 512),
    "h": (1, 2, 3, 5, 7),
    "k": (3, 11, 13),
    "l": (5, 6),
    "w": (4, 7),
}
_OTHER_HELD_OUT = (1, 2, 5, 8, 11, 16)
_LARGE = (1009, 65_537, 2**20)
#: Where every position costs time, such as the steps of a recurrence; one point is long, because padding shows there.
_SHORT = (13, 16, 19, 24, 30, 31, 129)
_HELD_OUT_POINTS = 10
#: Points among which a possible one is looked for, where a size must be a certain one.
_TRIES = 20
#: Points among which some are drawn; of more combinations than these, a tenth as many are looked at.
_MAX_POINTS = 50_000


@dataclass(frozen=True)
class Domain:
    """Where a formula is looked for.

    Attributes:
        axes: the layer's axes.
        possible: whether the layer can be called at given sizes.
        large: whether n = 2²⁰ is as cheap to count as n = 64.
        tiny: whether even a few thousand numbers are too many.
        only: axis → the sizes allowed, for axes that are held back.
        constraints: whether sizes are allowed, which costs nothing to know; None where only a call tells.
        given: axis → sizes that the layer's author gave.
        longest: the largest n that is worth its counting.
    """

    axes: tuple[str, ...]
    possible: Callable[[Sizes], bool]
    large: bool
    tiny: bool = False
    only: dict[str, Values] = field(default_factory=dict)
    constraints: Callable[[Sizes], bool] | None = None
    given: Mapping[str, Values] = field(default_factory=dict)
    longest: int = 2**20

    def allows(self, sizes: Sizes) -> bool:
        """Whether constraints allow `sizes`."""
        return self.possible(sizes) if self.constraints is None else self.constraints(sizes)

    @cached_property
    def solving(self) -> dict[str, Values]:
        """Axis → sizes to solve at: the usual ones, or others where the layer refuses a usual one."""
        known = ((_TINY, (2, 3, 4)), *_KINDS) if self.tiny else _KINDS
        kinds = ({axis: self.allowed(axis, pools.get(axis, others)) for axis in self.axes} for pools, others in known)
        usual = next(kinds)
        candidates = itertools.chain([usual], kinds)
        return next((pools for pools in candidates if all(map(self.possible, _lines(pools)))), usual)

    @cached_property
    def held_out(self) -> list[Sizes]:
        """Sizes for the proof, odd and prime ones among them, the longest n first."""
        pools = self._held_out_pools()
        usual = self._held_out_of(pools)
        return usual or (self._held_out_of(pools | {"n": self.allowed("n", _LONGER_TINY)}) if self.tiny else usual)

    def _held_out_of(self, pools: dict[str, Values]) -> list[Sizes]:
        every = _shuffled(pools)
        every.sort(key=lambda sizes: sizes["n"] != max(pools["n"]))
        longest = itertools.islice(filter(self.possible, every), 1)
        others = filter(self.possible, sorted(every, key=lambda sizes: sizes["n"] == max(pools["n"])))
        return [*longest, *itertools.islice(others, _HELD_OUT_POINTS - 1)]

    def held_out_at(self, axis: str, sizes: Sequence[int], others: Collection[str]) -> Iterator[Sizes]:
        """One possible point for each of `sizes`, with held-out values of the other axes and any value of `others`."""
        pools = self._held_out_pools() | {other: self.allowed(other, range(1, 10)) for other in others}
        pools["n"] = tuple(n for n in pools["n"] if n <= max(_HELD_OUT["n"])) or pools["n"]
        for turn, size in enumerate(self.allowed(axis, sizes)):
            tried = itertools.islice(_shuffled(pools | {axis: (size,)}, seed=turn), _TRIES)
            yield from itertools.islice(filter(self.possible, tried), 1)

    def allowed(self, axis: str, pool: Sequence[int]) -> Values:
        """`pool` without the sizes at which `axis` is not to be looked at; what is left then, if that is nothing."""
        if axis not in self.only:
            return tuple(pool)
        return tuple(size for size in pool if size in self.only[axis]) or self.only[axis]

    def _held_out_pools(self) -> dict[str, Values]:
        known = _TINY_HELD_OUT if self.tiny else _HELD_OUT
        pools = {axis: self.allowed(axis, known.get(axis, _OTHER_HELD_OUT)) for axis in self.axes}
        if self.tiny:
            return pools
        if self.large:
            return pools | {"n": (*pools["n"], *_LARGE)}
        return pools | {"n": self.allowed("n", _SHORT)}


def grid(pools: Mapping[str, Sequence[int]]) -> Iterator[Sizes]:
    """Every combination of the sizes of each axis."""
    return (ordered(dict(zip(pools, point, strict=True))) for point in itertools.product(*pools.values()))


def _shuffled(pools: Mapping[str, Sequence[int]], seed: int = 0) -> list[Sizes]:
    generator = random.Random(seed)
    if math.prod(len(pool) for pool in pools.values()) <= _MAX_POINTS:
        every = list(grid(pools))
        generator.shuffle(every)
        return every
    drawn = ({axis: generator.choice(pool) for axis, pool in pools.items()} for _ in range(_MAX_POINTS // 10))
    return list({tuple(point.values()): ordered(point) for point in drawn}.values())


def _lines(pools: dict[str, Values]) -> Iterator[Sizes]:
    """The first size of every axis, and with it each size of each axis."""
    first = {axis: pool[0] for axis, pool in pools.items()}
    return (ordered(first | {axis: size}) for axis, pool in pools.items() for size in pool)
