"""Windows: boxes of sizes in which a clock can read a law.

The counted formula says where the claimed term carries the work. A few short probes say how fast this machine does
that work at the points of a lattice. The best window is a box in which the achieved rate is flat, and which is cheap
enough to be visited often. There the time has to follow the count, and if it does not, that is a finding. Probes only
choose the window; the law is read from measurements made afterwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from attnbench.law import LEADING_SHARE
from attnbench.plan.cost_model import CostModel, Limits, Probe, expected_seconds
from attnbench.trial import Sizes, ordered, slug
from attnbench.units import flops_per_second, percent

#: What ``auto`` may choose from: octaves, so that every box has a geometric middle.
LATTICE: dict[str, tuple[int, ...]] = {
    "b": (1, 2, 4, 8, 16, 32, 64),
    "n": tuple(2**power for power in range(3, 15)),
    "d": tuple(2**power for power in range(6, 13)),
    "h": (1, 2, 4, 8, 16),
    "k": (3, 5, 9, 17, 33),
}
#: The same for axes that only plugins have.
OTHER_SIZES = (4, 8, 16, 32, 64)

#: A claim of several terms is read where each of them carries this share somewhere in the window.
MIXED_SHARE = 0.75
#: What a term's missing share costs a window for several terms, in units of a drift exponent: terms that never lead
#: cannot be told from a bend of the others.
_UNSEEN = 0.5
#: Windows with an expected error below this are flat: short probes cannot rank them any better.
FLAT = 0.03
#: Rounds that windows make room for; more are run while the budget lasts and laws are unsettled.
PLANNED_ROUNDS = 4
#: Scatter of short probes on a machine that does other things too.
_PROBE_NOISE = 0.05
#: Scatter to expect of what one visit reads, and of sizes about any law however often they are visited.
_VISIT_NOISE, _SIZE_NOISE = 0.06, 0.02
#: A window so cheap that it could be visited more often is not preferred for that.
_MAX_ROUNDS = 3 * PLANNED_ROUNDS
#: Part of a box's sizes that must have been probed.
_MIN_PROBED = 0.75
#: Points from which a window can be made at all.
_FEWEST_POINTS = 9
#: Operations a byte from which arithmetic sets the pace on today's machines; a layer that never gets there is read
#: where it comes closest.
_RIDGE = 16.0
#: Calls that one visit makes at the least: the first and two timed blocks.
CALLS_PER_VISIT = 3
#: Likewise for a probe: the first and one block.
CALLS_PER_PROBE = 2
#: Shortest call worth probing, in seconds: below, the fixed cost of a call is no longer negligible.
SHORTEST_CALL = 4e-4
#: The dearest of a box's geometric sizes is about this part of all of them together.
_DEAREST_PART = 1 / 2.2

Price = Callable[[Sizes], float]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Window:
    """The box that was chosen, and why.

    Attributes:
        sizes: axis → sizes, for every axis.
        slopes: axis → how fast the achieved rate drifts along it (0 = flat).
        scatter: standard deviation of log rates about that drift.
        rates: lowest and highest achieved rate of the probes inside.
        share: share of the counted work that the claimed term carries, where it carries least.
        round_seconds: what one visit of each trial costs at the least.
        candidates: how many boxes were compared.
    """

    sizes: dict[str, tuple[int, ...]]
    slopes: dict[str, float] = field(default_factory=dict)
    scatter: float = 0.0
    rates: tuple[float, float] = (0.0, 0.0)
    share: float = math.nan
    round_seconds: float = 0.0
    candidates: int = 0

    @property
    def unflatness(self) -> float:
        """Expected error of the worst exponent: drift of the rate, and its scatter over the length of the axis.

        Of a drift only what exceeds what short probes show by chance: else the window with the luckiest would win.
        """
        chance = {
            axis: self.scatter / (math.sqrt(len(self.design)) * _spread(self.sizes[axis])) for axis in self.slopes
        }
        return max(
            (
                math.sqrt(max(0.0, slope**2 - chance[axis] ** 2))
                + self.scatter / math.log(self.sizes[axis][-1] / self.sizes[axis][0])
                for axis, slope in self.slopes.items()
            ),
            default=0.0,
        )

    def noise(self, rounds: float) -> float:
        """Half the width to expect of the worst exponent's interval after so many rounds."""
        spread = min((_spread(self.sizes[axis]) for axis in self.slopes), default=math.inf)
        scatter = math.hypot(_SIZE_NOISE, _VISIT_NOISE / math.sqrt(rounds))
        freedom = max(1, len(self.design) - len(self.slopes) - 1)
        student = 1.645 + 1.8 / freedom  # close to Student's 95 % quantile
        return student * scatter / (math.sqrt(len(self.design)) * spread)

    @property
    def sentence(self) -> str:
        """Why this window, in words."""
        span = ", ".join(
            f"{axis} {v[0]}–{v[-1]}" if len(v) > 1 else f"{axis} = {v[0]}" for axis, v in self.sizes.items()
        )
        if not self.candidates:
            return f"{span}: sizes as given."
        carried = "" if math.isnan(self.share) else f" The claimed work is {percent(self.share)} of the counted work"
        where = " where it is least." if self.share < 1 else "."
        drift = ", ".join(f"{slope:+.3f} in {axis}" for axis, slope in self.slopes.items())
        low, high = (flops_per_second(rate) for rate in self.rates)
        return (
            f"{span}: the best of {self.candidates} windows within the budget, for its flat rate and its price. "
            f"The probes ran at {low} to {high} "
            f"there, and the rate drifts with exponents {drift}.{carried}{where if carried else ''}"
        )

    @cached_property
    def design(self) -> list[Sizes]:
        """Sizes to measure.

        Up to three swept axes: the full grid, of which any part without one size is a full grid again. More: corners,
        centre and face centres.
        """
        grid = [dict(zip(self.sizes, point, strict=True)) for point in itertools.product(*self.sizes.values())]
        swept = [axis for axis, values in self.sizes.items() if len(values) > 1]
        if len(swept) <= 3:
            return grid
        return [sizes for sizes in grid if self._is_corner_or_axial(sizes, swept)]

    def _is_corner_or_axial(self, sizes: Sizes, swept: Sequence[str]) -> bool:
        at_end = [sizes[axis] in (self.sizes[axis][0], self.sizes[axis][-1]) for axis in swept]
        off_centre = [sizes[axis] != self.sizes[axis][len(self.sizes[axis]) // 2] for axis in swept]
        axial = sum(off_centre) <= 1 and all(end for end, off in zip(at_end, off_centre, strict=True) if off)
        return all(at_end) or axial


def tiny(costs: CostModel) -> Sizes | None:
    """Sizes at which a call does next to nothing but be called; None where the layer does not allow them."""
    pools = {axis: LATTICE.get(axis) or costs.given.get(axis) or OTHER_SIZES for axis in costs.layer.axes}
    sizes = ordered({axis: pool[0] for axis, pool in pools.items()})
    return None if costs.layer.broken_constraint(sizes) else sizes


@cache
def _spread(sizes: tuple[int, ...]) -> float:
    """Standard deviation of the logarithms."""
    return float(np.std(np.log(sizes)))


def lattice(costs: CostModel, limits: Limits, batch: int) -> list[Sizes]:
    """Points worth probing, least work first.

    They are `candidates` that do enough work for each byte for arithmetic, and not memory, to set the pace, and whose
    weights stay within the last cache: a window across its edge would mix two rates. A layer that never gets there is
    probed where it comes closest.
    """
    points = candidates(costs, limits, batch)
    cached = [point for point in points if costs.weight_bytes(point) <= limits.cache_bytes]
    points = cached if len(cached) >= _FEWEST_POINTS else points
    best = max(map(costs.intensity, points), default=0.0)
    busy = [point for point in points if costs.intensity(point) >= min(_RIDGE, best / 2)]
    return sorted(busy, key=costs.work)


def candidates(costs: CostModel, limits: Limits, batch: int) -> list[Sizes]:
    """Points that can be probed.

    They are long enough that a call's fixed cost hides, short enough for the budget, they fit the memory, and the
    claimed term can lead there. With three or more automatic axes every other point is left out, like on a chess board,
    because a box needs its corners and not its whole inside.
    """
    pools = {axis: LATTICE.get(axis, OTHER_SIZES) for axis in costs.auto}
    base = {axis: values[len(values) // 2] for axis, values in costs.given.items()} | {"b": batch}
    chess = len(pools) > 2
    points = []
    for indices in itertools.product(*(range(len(pool)) for pool in pools.values())):
        point = ordered(base | {axis: pools[axis][i] for axis, i in zip(pools, indices, strict=True)})
        if not (chess and sum(indices) % 2) and _worth_probing(costs, point, limits):
            points.append(point)
    return points


def choose_window(
    costs: CostModel, probes: Sequence[Probe], batch: tuple[int, ...], limits: Limits, round_seconds: float
) -> Window | None:
    """The box among those that fit `round_seconds` that promises the narrowest answer; None when there is none.

    A drift of the rate is weighed against the noise that would be left: a cheaper box can be visited in more rounds.
    Among flat boxes noise alone decides.
    """
    # The comparison of batches may have met a size of the lattice: the later look counts.
    at_batch = {slug(probe.sizes): probe for probe in probes if probe.sizes["b"] == batch[0]}
    seen = [probe for probe in at_batch.values() if probe.seconds]
    failed = [probe.sizes for probe in at_batch.values() if not probe.seconds]
    pools = {axis: sorted({probe.sizes[axis] for probe in seen}) for axis in costs.auto}
    price = _prices(costs, seen, limits)
    boxes = ({**costs.given, "b": batch, **box} for box in boxes_of(pools, costs))
    assessed = (_assess(costs, box, seen, limits, price) for box in boxes)
    fitting = [
        window
        for window in assessed
        if window is not None
        and window.round_seconds <= round_seconds
        and not any(sizes in window.design for sizes in failed)
    ]
    if not fitting:
        return None

    def width(window: Window) -> float:
        rounds = min(_MAX_ROUNDS, PLANNED_ROUNDS * round_seconds / max(window.round_seconds, 1e-9))
        return max(FLAT, expected_error(window, costs)) + window.noise(rounds)

    return replace(min(fitting, key=width), candidates=len(fitting))


def expected_error(window: Window, costs: CostModel) -> float:
    """Unflatness of a window, and what it costs a claim of several terms that one of them never leads."""
    unseen = 1 - window.share if len(costs.claimed) > 1 else 0.0
    return window.unflatness + _UNSEEN * unseen


def boxes_of(pools: Mapping[str, Sequence[int]], costs: CostModel) -> Iterator[dict[str, tuple[int, ...]]]:
    """Boxes of three to five neighbouring sizes an axis; with three axes and one term to read, of three or four."""
    lengths = (3, 4, 5) if len(pools) < 3 or len(costs.claimed) > 1 else (3, 4)
    runs = [
        [(axis, tuple(pool[i : i + length])) for length in lengths for i in range(len(pool) - length + 1)]
        for axis, pool in pools.items()
    ]
    return (dict(combination) for combination in itertools.product(*runs))


def _prices(costs: CostModel, seen: Sequence[Probe], limits: Limits) -> Price:
    """Seconds of a call at some sizes, each worked out once."""
    known: dict[tuple[tuple[str, int], ...], float] = {}

    def price(sizes: Sizes) -> float:
        key = tuple(sizes.items())
        if key not in known:
            known[key] = expected_seconds(costs, sizes, seen, limits)
        return known[key]

    return price


def _assess(
    costs: CostModel, sizes: dict[str, tuple[int, ...]], seen: Sequence[Probe], limits: Limits, price: Price
) -> Window | None:
    """The window over `sizes`, or None when it cannot be run, or the probes inside cannot speak for it."""
    auto = {axis: sizes[axis] for axis in costs.auto}
    inside = [probe for probe in seen if all(probe.sizes[axis] in values for axis, values in auto.items())]
    if not _speak_for(inside, auto):
        return None
    window = Window({axis: sizes[axis] for axis in ordered(dict.fromkeys(sizes, 0))})
    share = claimed_share(costs, window.design)
    if share < (MIXED_SHARE if len(costs.claimed) > 1 else LEADING_SHARE):
        return None
    if any(costs.unfit(point, limits.memory_bytes) for point in window.design):
        return None
    if len({costs.weight_bytes(point) <= limits.cache_bytes for point in window.design}) > 1:
        return None  # weights within the last cache on one side, beyond it on the other: two rates in one window
    calls = [price(point) for point in window.design]
    if costs.counts_work and min(calls) < SHORTEST_CALL:
        return None
    rates = np.array([costs.work(probe.sizes) / (probe.seconds or math.nan) for probe in inside])
    slopes, scatter = _log_plane(inside, tuple(auto), rates)
    waiting = sum(costs.building_seconds(point) + costs.prefill_seconds(point, limits.rate) for point in window.design)
    cost = CALLS_PER_VISIT * sum(calls) + waiting
    return Window(window.sizes, slopes, scatter, (float(rates.min()), float(rates.max())), share, cost)


def _speak_for(inside: Sequence[Probe], box: Mapping[str, Sequence[int]]) -> bool:
    """Whether the probes inside a box are enough to judge it: most of its sizes (of three axes, the chess board's).

    On a small budget the dearest corners stay unprobed; their times are then read off their neighbours.
    """
    complete = math.prod(len(values) for values in box.values())
    seen = {(axis, probe.sizes[axis]) for probe in inside for axis in box}
    everywhere = all((axis, size) in seen for axis, values in box.items() for size in values)
    return everywhere and len(inside) >= complete * (_MIN_PROBED if len(box) <= 2 else 1 / 3)


def claimed_share(costs: CostModel, points: Sequence[Sizes]) -> float:
    """Smallest share of a single claimed term; of several, the largest share that the weakest of them reaches."""
    columns: list[tuple[float, ...]] = list(zip(*(costs.shares(sizes) for sizes in points), strict=True))
    if len(columns) > 1:
        return min(max(column) for column in columns)
    # A claim that the count knows nothing of cannot choose its own window: the clock decides anywhere.
    return min(columns[0]) if columns and max(columns[0]) > 0 else math.nan


def _log_plane(inside: Sequence[Probe], axes: tuple[str, ...], values: Floats) -> tuple[dict[str, float], float]:
    """Slopes of log(values) along each log axis, and the scatter about the plane."""
    logs = np.log([[probe.sizes[axis] for axis in axes] for probe in inside])
    matrix = np.column_stack([np.ones(len(inside)), logs])
    solution, *_ = np.linalg.lstsq(matrix, np.log(values), rcond=None)
    scatter = float(np.std(np.log(values) - matrix @ solution))
    return dict(zip(axes, map(float, solution[1:]), strict=True)), scatter


def _worth_probing(costs: CostModel, sizes: Sizes, limits: Limits) -> bool:
    if costs.unfit(sizes, limits.memory_bytes):
        return False
    seconds = costs.work(sizes) / limits.rate
    if costs.counts_work and not SHORTEST_CALL < seconds < limits.round_seconds * _DEAREST_PART / CALLS_PER_VISIT:
        return False
    carried = costs.shares(sizes)
    return len(carried) != 1 or carried[0] == 0 or carried[0] >= LEADING_SHARE
