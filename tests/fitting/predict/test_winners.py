"""Maps of who wins where: the argmin of known functions, exact ties, and a boundary that solves its equation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attnbench.fitting.predict.forecast import Footprint
from attnbench.fitting.predict.inputs import LayerInputs
from attnbench.fitting.predict.winners import (
    Sizes,
    Winners,
    equal_work,
    fastest,
    leanest,
    sizes_within_reach,
    unanswerable,
)
from attnbench.formula import Formula
from tests.fitting.predict.test_crossover import layer as some_layer

#: 64 to 16384 and 16 to 4096 with two cells between powers of two.
MAP = Sizes(
    tuple(round(2 ** (step / 3)) for step in range(18, 43)), tuple(round(2 ** (step / 3)) for step in range(12, 37))
)
NO_REACH = {"window": {"n": (64, 16384), "d": (16, 4096)}}


def layer(
    name: str,
    terms: dict[str, float],
    error: float = 0.0,
    *,
    seed: int = 0,
    flops: str = "",
    peak: str = "",
    **fields: Any,
) -> LayerInputs:
    counted = {"flops": Formula(flops)} if flops else {}
    held = {"footprint": Footprint(Formula(peak))} if peak else {}
    return some_layer(name, terms, error, seed, **(NO_REACH | counted | held | fields))


def owners(found: Winners) -> list[list[str]]:
    return [[" = ".join(found.holders[o]) if o >= 0 else "" for o in row] for row in found.owner]


def test_the_fastest_is_the_least_of_the_true_functions_in_every_cell() -> None:
    laws = {
        "square": lambda n, d: 4e-11 * n**2 * d,
        "line": lambda n, d: 8.3e-11 * n * d**2,
        "flat": lambda n, d: 2e-4 + 1e-9 * n * d,
    }
    layers = [
        layer("square", {"n**2*d": 4e-11}),
        layer("line", {"n*d**2": 8.3e-11}),
        layer("flat", {"c0": 2e-4, "n*d": 1e-9}),
    ]

    found = fastest(layers, MAP)

    truth = [[min(laws, key=lambda name: laws[name](n, d)) for n in MAP.lengths] for d in MAP.widths]
    assert owners(found) == truth
    assert {name for row in truth for name in row} == set(laws)
    assert not found.close.any()
    assert (found.compared == 3).all()
    for row, d in enumerate(MAP.widths):
        for column, n in enumerate(MAP.lengths):
            first, second, _ = sorted(law(n, d) for law in laws.values())
            assert found.least[row, column] == pytest.approx(first)
            assert found.ratio[row, column] == pytest.approx(second / first)


def test_layers_of_other_batch_sizes_are_compared_by_the_sequence() -> None:
    one = layer("square", {"n**2*d": 1.0}, flops="4*b*n**2*d")
    # For one sequence twice the time at the same sizes, and not 64 times.
    other = layer("line", {"n*d**2": 2.1 * 32}, flops="4*b*n*d**2", fixed={"b": 32})

    found = fastest([one, other], MAP)

    assert owners(found) == [["square" if n < 2.1 * d else "line" for n in MAP.lengths] for d in MAP.widths]
    assert all(n == pytest.approx(d) for n, d in equal_work(one, other, MAP))


def test_equal_bytes_are_a_tie_of_all_that_have_them() -> None:
    found = leanest(
        [
            layer("square", {"n": 1.0}, peak="8*b*n**2"),
            layer("line", {"n": 1.0}, peak="max(4*b*n*d, 8*b*n)", fixed={"b": 8}),
            layer("other", {"n": 1.0}, peak="4*b*n*d"),
        ],
        MAP,
    )

    def holder(n: int, d: int) -> str:
        names = ("square", "line", "other")
        sizes = (8 * n**2, 4 * n * d, 4 * n * d)
        return " = ".join(name for name, size in zip(names, sizes, strict=True) if size == min(sizes))

    truth = [[holder(n, d) for n in MAP.lengths] for d in MAP.widths]
    assert owners(found) == truth
    assert {"square", "line = other", "square = line = other"} == {name for row in truth for name in row}


def test_a_winner_within_the_band_of_another_is_too_close_to_call_and_only_there() -> None:
    one = layer("square", {"n**2*d": 1.0}, 0.3, seed=1)
    other = layer("line", {"n*d**2": 1.0}, 0.4, seed=1)

    found = fastest([one, other], MAP)

    # 95 % of a normal distribution of standard deviation √(0.3² + 0.4²) lie below 1.645 of these.
    band = 1.6449 * 0.5
    for row, d in enumerate(MAP.widths):
        for column, n in enumerate(MAP.lengths):
            distance = abs(np.log(n / d))
            if not 0.7 * band < distance < 1.3 * band:
                assert found.close[row, column] == (distance < band), (n, d)


def test_where_fewer_than_two_curves_reach_nothing_is_said() -> None:
    near = layer("near", {"n*d": 1.0}, window={"n": (64, 128), "d": (64, 128)})  # 4 to 2048, 16 to 512
    far = layer("far", {"n*d": 2.0})

    found = fastest([near, far], MAP)
    cropped = found.cropped()

    reached = [[n <= 2048 and d <= 512 for n in MAP.lengths] for d in MAP.widths]
    assert (found.owner >= 0).tolist() == reached
    assert (found.compared == np.where(reached, 2, 0)).all()
    assert cropped.sizes == Sizes(tuple(n for n in MAP.lengths if n <= 2048), tuple(d for d in MAP.widths if d <= 512))
    assert sizes_within_reach([near, far]).lengths[-1] == 2048


def test_a_curve_is_not_followed_across_the_edge_of_the_cache() -> None:
    inside = Footprint(Formula("4*b*n*d"), measured=({"b": 1, "n": 64, "d": 64},), cache_bytes=2.0**20)
    layers = [layer("one", {"n*d": 1.0}, footprint=inside), layer("other", {"n*d": 2.0})]

    found = fastest(layers, MAP)

    assert (found.owner >= 0).tolist() == [[4 * n * d <= 2**20 for n in MAP.lengths] for d in MAP.widths]


@pytest.mark.parametrize(
    ("one", "other", "solved"),
    [
        ("4*b*n**2*d", "4*b*n*d**2", lambda n, d: n - d),
        ("8*b*n*d**2 + 4*b*n**2*d", "14*b*n*d**2", lambda n, d: n - 1.5 * d),
        ("4*b*n**2*d", "4*b*n*d*512", lambda n, _: n - 512),
        ("4*b*n*d**2", "4*b*n*d*128", lambda _, d: d - 128),
        ("4*b*n*d**2", "40*b*n*d*log2(n)", lambda n, d: d - 10 * np.log2(n)),
    ],
)
def test_the_boundary_solves_the_equation_of_equal_operations(one: str, other: str, solved: Any) -> None:
    line = equal_work(layer("one", {"n": 1.0}, flops=one), layer("other", {"n": 1.0}, flops=other), MAP)

    assert len(line) > 12
    assert [solved(n, d) for n, d in line] == pytest.approx([0.0] * len(line), abs=1e-6)


@pytest.mark.parametrize("other", ["4*b*n**2*d", "2*b*n**2*d", "", "b*n*(n - 100)"])
def test_there_is_no_boundary_where_counts_are_never_equal_always_equal_unknown_or_no_work(other: str) -> None:
    assert equal_work(layer("one", {"n": 1.0}, flops="4*b*n**2*d"), layer("other", {"n": 1.0}, flops=other), MAP) == ()


def test_leaders_are_those_with_most_cells_or_the_only_one_and_the_next_to_it() -> None:
    square, line = layer("square", {"n**2*d": 1.0}), layer("line", {"n*d**2": 1.0})
    slow, slower = layer("slow", {"n**2*d": 9.0}), layer("slower", {"n**2*d": 99.0})

    assert fastest([slower, square, slow, line], MAP).leaders == ("line", "square")
    assert fastest([slower, square, slow], MAP).leaders == ("square", "slow")


def test_without_two_curves_or_a_common_range_there_is_no_map() -> None:
    far = layer("far", {"n": 1.0}, window={"n": (2**30, 2**31), "d": (64, 128)})

    assert unanswerable([far]) == "a map compares layers, and fewer than two have a curve over length and width"
    assert unanswerable([far, layer("near", {"n": 1.0})]) == (
        "no two of the curves reach a common range of lengths and widths"
    )
    assert unanswerable([layer("near", {"n": 1.0}), layer("too", {"n": 1.0})]) == ""
