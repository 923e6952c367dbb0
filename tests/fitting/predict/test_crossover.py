"""Crossovers: closed forms for the place, the band and the share of pairs that cross, and "does not cross"."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from attnbench.fitting.predict.crossover import Crossover, crossover
from attnbench.fitting.predict.forecast import Footprint
from attnbench.fitting.predict.inputs import LayerInputs
from attnbench.formula import Formula
from attnbench.formula.crossing import crossing
from attnbench.law import Curves, Law, Verdict
from attnbench.trial import Subject

WINDOW = {"n": (256, 1024), "d": (256, 1024)}
#: Standard normal quantile of 95 %.
Z = 1.6448536


def layer(name: str, terms: dict[str, float], error: float = 0.0, seed: int = 0, **fields: Any) -> LayerInputs:
    """A layer whose time is a sum of terms, the constant being term "c0"; all of it is uncertain by one factor."""
    rng = np.random.default_rng(seed)
    known = {term: value for term, value in terms.items() if term != "c0"}
    evenly = stats.norm.ppf((np.arange(400) + 0.5) / 400)  # a normal distribution without the luck of the draw
    levels = np.exp([0.0, *(error * rng.permutation(evenly))])
    draws = tuple(tuple(float(level * c) for c in (terms.get("c0", 0.0), *known.values())) for level in levels)
    whole: dict[str, Any] = {"window": WINDOW, "fixed": {"b": 1}, "curves": Curves(tuple(known), (), draws, 0.02)}
    extra = {key: fields.pop(key) for key in ("flops", "footprint") if key in fields}
    return LayerInputs(Law(Subject(name), "time", Verdict.CONFIRMED, "as claimed", **whole | fields), **extra)


def clocks(found: Crossover) -> dict[int, float | None]:
    return {row.d: row.clock.value if row.clock else None for row in found.rows}


@pytest.mark.parametrize("ratio", [0.25, 1.0, 1.2, 3.0])
def test_n2d_against_nd2_cross_at_the_ratio_of_their_coefficients(ratio: float) -> None:
    one, other = layer("square", {"n**2*d": 4e-11}), layer("line", {"n*d**2": ratio * 4e-11})

    for found in (crossover(one, other), crossover(other, one)):
        assert clocks(found) == {d: pytest.approx(ratio * d) for d in (64, 128, 256, 512, 1024, 2048, 4096)}
        assert {row.faster for row in found.rows} == {"line"}
        assert {row.share for row in found.rows} == {1.0}


def test_a_crossover_says_how_far_beyond_a_window_it_is() -> None:
    found = crossover(layer("square", {"n**2*d": 1.0}), layer("line", {"n*d**2": 2.0}))

    factors = {row.d: row.extrapolation for row in found.rows}
    assert factors == pytest.approx({64: 4, 128: 2, 256: 1, 512: 1, 1024: 2, 2048: 4, 4096: 8})
    assert found.reason == "line is faster than square beyond n = 512 (512 to 512) at d = 256, inside both windows"


def test_layers_of_other_batch_sizes_are_compared_by_the_sequence() -> None:
    one = layer("square", {"n**2*d": 1.0})
    other = layer("line", {"n*d**2": 2.0 * 32}, fixed={"b": 32})

    found = crossover(one, other)

    assert found.per_sequence
    assert found.held == {"square": {"b": 1}, "line": {"b": 32}}
    assert clocks(found)[256] == pytest.approx(512)


def test_other_axes_are_held_at_what_was_measured_or_in_its_middle() -> None:
    other = layer("conv", {"k*n*d**2": 1.0}, window={**WINDOW, "k": (5, 20)})

    found = crossover(layer("square", {"n**2*d": 8.0}), other)

    assert found.held["conv"] == {"b": 1, "k": 10}
    assert clocks(found)[256] == pytest.approx(10 / 8 * 256)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_band_joins_the_uncertainty_of_both_also_where_they_were_drawn_alike(seed: int) -> None:
    one, other = layer("square", {"n**2*d": 1.0}, 0.03, seed=1), layer("line", {"n*d**2": 1.0}, 0.04, seed=seed)

    [clock] = [row.clock for row in crossover(one, other).rows if row.d == 512]

    assert clock is not None
    assert clock.value == pytest.approx(512)
    assert math.log(clock.high / 512) == pytest.approx(Z * 0.05, rel=0.15)
    assert math.log(512 / clock.low) == pytest.approx(Z * 0.05, rel=0.15)


@pytest.mark.parametrize("open_end", ["high", "low"])
def test_a_band_that_runs_out_of_reach_is_open_and_the_share_of_pairs_that_cross_is_said(open_end: str) -> None:
    """Curves are followed from n = 16 to 16384; the crossover lies 0.02 octaves, or 0.0139, before one of the ends."""
    place, error = 16384 * 2**-0.02 if open_end == "high" else 16 * 2**0.02, 0.02
    one = layer("square", {"n**2*d": 512 / place}, error, seed=1)
    found = crossover(one, layer("line", {"n*d**2": 1.0}))

    [row] = [row for row in found.rows if row.d == 512]

    assert row.clock is not None
    assert row.clock.value == pytest.approx(place)
    assert row.share == pytest.approx(stats.norm.cdf(0.02 * math.log(2) / error), abs=0.01)
    document = json.loads(json.dumps(row.as_json()))["clock"]
    assert document[open_end] is None
    assert document[{"high": "low", "low": "high"}[open_end]] is not None
    assert {"high": "beyond reach)", "low": "(below reach"}[open_end] in row.by_clock


def test_beyond_the_last_of_several_crossings_one_layer_stays_ahead() -> None:
    """n² + 10⁵ = 1100 n at n = 100 and at n = 1000."""
    one, other = layer("square", {"c0": 1e5, "n**2": 1.0}), layer("line", {"n": 1100.0})

    row = crossover(one, other).rows[0]

    assert (row.clock and row.clock.value, row.faster) == (pytest.approx(1000), "line")


@pytest.mark.parametrize(
    ("factor", "error", "doubt"),
    [(0.5, 0.0, ""), (0.97, 0.05, ", but up to ")],
)
def test_curves_that_do_not_cross_say_which_is_faster_and_how_sure_that_is(
    factor: float, error: float, doubt: str
) -> None:
    one = layer("gentle", {"n*d**2": factor}, error)
    steps = {"n*d**2": 1.0} if not error else {"n*d**2": 1.0 - 0.001, "n**2*d": 1e-3}

    found = crossover(one, layer("steep", steps, error, seed=5))

    assert {row.clock for row in found.rows} == {None}
    assert {row.faster for row in found.rows} == {"gentle"}
    said = (
        "the two do not cross at any length within reach: gentle is faster at d = 64, 128, 256, 512, 1024, 2048, 4096"
    )
    assert found.reason.startswith(said + doubt)
    assert (max(row.share for row in found.rows) > 0) is bool(error)


def test_lengths_beyond_an_edge_that_no_trial_crossed_are_not_asked_for() -> None:
    """Live tensors of 8n² bytes reach the 32 MiB of the cache at n = 2048."""
    trials = tuple({"b": 1, "n": n, "d": 256} for n in (256, 1024))
    held = Footprint(peak=Formula("8*n**2"), measured=trials, cache_bytes=2.0**25)
    one, other = layer("square", {"n**2*d": 1.0}, footprint=held), layer("line", {"n*d**2": 1.0})

    found = crossover(one, other)

    assert clocks(found)[1024] == pytest.approx(1024)
    assert clocks(found)[4096] is None
    assert {row.faster for row in found.rows if row.d == 4096} == {"square"}
    assert all(row.within and 1900 < row.within[1] <= 2048 for row in found.rows)
    assert found.reason.endswith("; at 2 of 7 widths they do not cross within reach")


FIXED = {"window": {"n": (256, 1024)}}
UNANSWERABLE = {
    "no curve": (
        {"curves": None},
        "no curve was fitted for line: as claimed",
    ),
    "one length": (
        {"window": {"d": (256, 1024)}, "fixed": {"n": 512}},
        "line was measured at one length only, so nothing is known of how its time grows with n",
    ),
    "widths apart": (
        {"window": {"n": (256, 1024), "d": (32768, 65536)}},
        (
            "square at d = 256 to 1024 and line at d = 32768 to 65536 were measured too far apart: "
            "a curve is followed 4 times beyond its window"
        ),
    ),
    "lengths apart": (
        {"window": {"n": (2**19, 2**20), "d": (256, 1024)}},
        (
            "square at n = 256 to 1024 and line at n = 524288 to 1048576 were measured too far apart: "
            "a curve is followed 16 times beyond its window"
        ),
    ),
}


@pytest.mark.parametrize(("fields", "reason"), UNANSWERABLE.values(), ids=UNANSWERABLE)
def test_what_the_clock_cannot_answer_has_a_reason(fields: dict[str, Any], reason: str) -> None:
    found = crossover(layer("square", {"n**2*d": 1.0}), layer("line", {"n*d**2": 1.0}, **fields))

    assert (found.rows, found.reason) == ((), reason)


def test_layers_of_one_and_the_same_width_are_compared_there() -> None:
    alike = {**FIXED, "fixed": {"d": 200}}

    found = crossover(layer("square", {"n**2": 1.0}, **alike), layer("line", {"n": 700.0}, **alike))

    assert clocks(found) == {200: pytest.approx(700)}


#: Counted laws for one sequence, and n*/d by hand: 8nd² + 4n²d < 16nd² while n < 2d, and so on.
COUNTED = {
    "core, rnn": ("4*n**2*d", "4*n*d**2", 1.0),
    "layer, lstm": ("8*n*d**2 + 4*n**2*d", "16*n*d**2", 2.0),
    "layer, gru": ("8*n*d**2 + 4*n**2*d", "12*n*d**2", 1.0),
    "layer, rnn": ("8*n*d**2 + 4*n**2*d", "4*n*d**2", None),
    "feed-forward, core": ("16*n*d**2", "4*n**2*d", 4.0),
}


@pytest.mark.parametrize(("first", "second", "ratio"), COUNTED.values(), ids=COUNTED)
def test_counted_operations_cross_where_the_formulas_do(first: str, second: str, ratio: float | None) -> None:
    one = layer("one", {"n*d": 1.0}, flops=Formula(f"b*({first})"), fixed={"b": 8})
    other = layer("other", {"n*d": 2.0}, flops=Formula(second))

    rows = crossover(one, other).rows

    assert [row.operations for row in rows] == [ratio and pytest.approx(ratio * row.d) for row in rows]
    exact = crossing(first, second)
    assert exact is not None
    assert {row.fewer for row in rows} == {"other" if exact.where in ("below", "never") else "one"}
    assert float(exact.ratio) == (ratio or 0)


@pytest.mark.parametrize("flops", [None, Formula("4*n*d**2"), Formula("0")])
def test_without_a_difference_in_counts_nothing_is_said_of_them(flops: Formula | None) -> None:
    one, other = layer("one", {"n": 1.0}, flops=flops), layer("other", {"n": 2.0}, flops=Formula("4*n*d**2"))

    assert {(row.operations, row.fewer) for row in crossover(one, other).rows} == {(None, "")}
