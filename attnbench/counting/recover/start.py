"""Where a search for a formula starts: one point from which every size can be changed alone.

Constraints such as ``d % (2*h) == 0`` with ``h % g == 0`` leave few points, and fewer with room on every side. They are
looked for among small whole numbers, by the constraints alone, which cost nothing; only then is the layer called.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attnbench.counting.recover.domain import Domain, Values
from attnbench.trial import Sizes, ordered

#: Sizes of each axis in the order in which they are tried: no special cases, and divisible by much.
_POOLS: dict[str, Values] = {
    "b": (3, 2, 4, 5, 7, 1),
    "n": (12, 9, 16, 24, 32, 48, 64, 96, 128, 144, 192, 256, 384, 512),
    "d": (24, 12, 48, 36, 32, 64, 96, 128, 144, 192, 256),
    "h": (2, 4, 6, 3, 8, 12, 24, 1, 16),
    "k": (5, 3, 7, 9, 11, 13, 15, 4, 2, 6),
    "l": (2, 1, 3, 4),
}
#: The same where counts are made with real numbers.
_TINY_POOLS: dict[str, Values] = {
    "b": (2, 1, 3),
    "n": (6, 8, 9, 10, 12, 16, 24, 32, 48, 64),
    "d": (8, 4, 6, 12, 16, 24, 32, 48, 64),
    "h": (2, 4, 6, 3, 8, 12, 1),
    "k": (3, 5, 7, 2),
    "l": (2, 1, 3),
}
_OTHER_POOL = (3, 2, 4, 6, 5, 8, 12, 1, 16, 7, 24, 32, 48)
#: Points that are looked at by their constraints.
_MAX_POINTS = 8_000
#: Other sizes that an axis has to have and should have: two tell a power, and some are special, such as 1.
_ENOUGH, _ROOM = 2, 4
#: What is tried where the layer raises at a point that its constraints allow: longer, then wider, then both.
_LONGER = (48, 128, 512, 1024)
_WIDER = (64, 96, 256)


@dataclass(frozen=True)
class Start:
    """One point, and what had to be done to find it.

    Attributes:
        base: sizes at which the layer can be called.
        least: the shortest n that it takes there, where it raises at shorter ones; 0 where nothing like that is known.
    """

    base: Sizes
    least: int = 0


def start(domain: Domain) -> Start | None:
    """A possible point with other sizes on every axis that has any; None where the layer can be called nowhere."""
    base = _roomiest(domain)
    if base is None:
        return None
    for longer in _bases(domain, base):
        if domain.possible(longer):
            return Start(longer, 0 if longer["n"] == base["n"] else _least(domain, longer, base["n"]))
    return None


def sizes_along(domain: Domain, axis: str, base: Sizes, more: Sequence[int] = ()) -> Iterator[Sizes]:
    """Points that differ from `base` in one size, as constraints allow, the simplest first; not yet called."""
    pool = dict.fromkeys((*more, *_pool(domain, axis)))
    for size in domain.allowed(axis, tuple(pool)):
        if size != base[axis] and domain.allows(point := base | {axis: size}):
            yield point


def _pool(domain: Domain, axis: str) -> Values:
    return domain.given.get(axis) or (_TINY_POOLS if domain.tiny else _POOLS).get(axis, _OTHER_POOL)


def _roomiest(domain: Domain) -> Sizes | None:
    """The first point that constraints allow with room along every axis, or with room along most."""
    pools = {axis: domain.allowed(axis, _pool(domain, axis)) for axis in domain.axes}
    if domain.bound is not None:
        pools = {axis: pool if axis in domain.bound else pool[:1] for axis, pool in pools.items()}
    best, most = None, (-1, -1)
    for point in itertools.islice(by_depth(pools), _MAX_POINTS):
        if domain.allows(point):
            rooms = [_room(domain, axis, point) for axis in pools]
            if (room := (sum(one >= _ENOUGH for one in rooms), sum(rooms))) > most:
                best, most = point, room
            if min(rooms) == _ROOM:
                break
    return best


def _room(domain: Domain, axis: str, point: Sizes) -> int:
    return len(list(itertools.islice(sizes_along(domain, axis, point), _ROOM)))


def by_depth(pools: Mapping[str, Sequence[int]]) -> Iterator[Sizes]:
    """Every combination, those first whose sizes stand first in their pools."""
    deepest = sum(len(pool) - 1 for pool in pools.values())
    for depth in range(deepest + 1):
        for places in _places([len(pool) for pool in pools.values()], depth):
            sizes = (pool[place] for pool, place in zip(pools.values(), places, strict=True))
            yield ordered(dict(zip(pools, sizes, strict=True)))


def _places(lengths: list[int], depth: int) -> Iterator[tuple[int, ...]]:
    """Every way to choose one place of each list such that the places add up to `depth`."""
    if not lengths:
        if depth == 0:
            yield ()
        return
    for place in range(min(lengths[0] - 1, depth) + 1):
        yield from ((place, *rest) for rest in _places(lengths[1:], depth - place))


def _bases(domain: Domain, base: Sizes) -> Iterator[Sizes]:
    """The point, and longer and wider ones for a layer that wants more than it says."""
    yield base
    tried = [{"n": n} for n in _LONGER] + [{"d": d} for d in _WIDER]
    tried += [{"n": n, "d": d} for n, d in itertools.product(_LONGER[:3], _WIDER)]
    for larger in tried:
        point = base | larger
        if all(domain.allowed(axis, (size,)) == (size,) for axis, size in larger.items()) and domain.allows(point):
            yield point


def _least(domain: Domain, base: Sizes, refused: int) -> int:
    """The shortest length between one that is refused and one that is possible, by halving."""
    low, high = refused, base["n"]
    while high - low > 1:
        middle = (low + high) // 2
        point = base | {"n": middle}
        if domain.allows(point) and domain.possible(point):
            high = middle
        else:
            low = middle
    return high
