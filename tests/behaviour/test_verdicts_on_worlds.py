"""Verdicts on simulated machines: right laws confirmed, wrong ones never, and those that cannot be read kept out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.law import Verdict
from tests.fitting.worlds import (
    ALONG_N,
    CORE,
    CORE_FLOPS,
    LAYER,
    LAYER_FLOPS,
    LAYER_SECONDS,
    SHORT,
    WIDE,
    World,
    doubling,
    law_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fitting.model.observations import Array

    Columns = Mapping[str, Array]


def verdicts(world: World, claim: str, flops: str | None, worlds: int) -> Counter[Verdict]:
    return Counter(law_at(world, claim, flops, seed).verdict for seed in range(worlds))


@pytest.mark.parametrize("rounds", [3, 6])
@pytest.mark.parametrize(
    ("world", "claim", "flops"),
    [
        (World("1e-9*n**2*d"), CORE, CORE_FLOPS),
        (World("1e-9*n*d**2"), "n*d**2", None),
        (World(LAYER_SECONDS, sizes=WIDE), LAYER, LAYER_FLOPS),
    ],
    ids=["core", "recurrence", "layer-of-two-terms"],
)
def test_the_right_law_is_confirmed_on_a_machine_with_two_percent_of_noise(
    world: World, claim: str, flops: str | None, rounds: int
) -> None:
    found = verdicts(replace(world, rounds=rounds), claim, flops, worlds=12)

    assert found[Verdict.CONFIRMED] >= 10  # nine in ten, less one standard error


def with_overhead(seconds: Array, share: float) -> Array:
    """A constant cost that takes this share of the median time."""
    return seconds + share / (1 - share) * np.median(seconds)


def a_layer(s: Columns) -> Array:
    return 8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"]


WRONG: dict[str, tuple[Callable[[Columns], Array], dict[str, tuple[int, ...]], str, str | None, Verdict]] = {
    "n-for-n^1.25": (lambda s: 1e-6 * s["n"] ** 1.25 * s["d"], WIDE, "n*d", None, Verdict.REFUTED),
    "nd-for-n²d": (lambda s: 1e-9 * s["n"] ** 2 * s["d"], WIDE, "n*d", CORE_FLOPS, Verdict.REFUTED),
    "n²-for-n^1.5": (lambda s: 1e-6 * s["n"] ** 1.5 * s["d"], WIDE, CORE, None, Verdict.REFUTED),
    "n²-for-n": (lambda s: 1e-6 * s["n"], ALONG_N, "n**2", None, Verdict.REFUTED),
    "one-term-for-a-layer": (a_layer, SHORT, CORE, LAYER_FLOPS, Verdict.OUT_OF_REGIME),
    "one-term-for-a-layer-uncounted": (a_layer, SHORT, CORE, None, Verdict.REFUTED),
    "two-terms-for-one-power": (
        lambda s: 1e-8 * s["n"] ** 1.25 * s["d"] ** 1.25,  # of degree 2.5
        WIDE,
        LAYER,
        None,
        Verdict.INCONCLUSIVE,
    ),
    "overhead": (lambda s: with_overhead(1e-9 * s["n"] ** 2 * s["d"], 0.6), WIDE, CORE, None, Verdict.OUT_OF_REGIME),
    "overhead-counted": (
        lambda s: with_overhead(1e-9 * s["n"] ** 2 * s["d"], 0.6),
        WIDE,
        CORE,
        CORE_FLOPS,
        Verdict.OUT_OF_REGIME,
    ),
    "efficiency-drifts": (
        lambda s: 1e-9 * s["n"] ** 2 * s["d"] ** 0.8,
        WIDE,
        CORE,
        CORE_FLOPS,
        Verdict.OUT_OF_REGIME,
    ),
    "efficiency-of-a-layer-drifts": (
        lambda s: a_layer(s) * s["n"] ** -0.2 * s["d"] ** -0.2,
        WIDE,
        LAYER,
        LAYER_FLOPS,
        Verdict.OUT_OF_REGIME,
    ),
    "count-and-clock-disagree-with-the-claim": (
        lambda s: 4e-9 * s["n"] ** 2 * s["d"],
        WIDE,
        "n*d**2",
        CORE_FLOPS,
        Verdict.REFUTED,
    ),
    "threads-set-in": (
        lambda s: 1e-9 * s["n"] ** 2 * np.exp(-0.08 * np.log(s["n"] / 724) ** 2),
        ALONG_N,
        "n**2",
        "4*n**2",
        Verdict.OUT_OF_REGIME,
    ),
}


@pytest.mark.parametrize(("truth", "sizes", "claim", "flops", "verdict"), WRONG.values(), ids=WRONG)
def test_what_is_not_so_is_never_confirmed(
    truth: Callable[[Columns], Array],
    sizes: dict[str, tuple[int, ...]],
    claim: str,
    flops: str | None,
    verdict: Verdict,
) -> None:
    found = verdicts(World(truth, sizes=sizes, process=0.01), claim, flops, worlds=8)

    assert found[Verdict.CONFIRMED] == 0
    assert found[verdict] + found[Verdict.REFUTED] * (verdict is Verdict.INCONCLUSIVE) >= 7


@pytest.mark.parametrize(("truth", "claim"), [("1e-6*n*log2(n)*d", "n*d"), ("1e-6*n*d", "n*log2(n)*d")])
def test_a_law_and_the_same_with_a_logarithm_are_never_taken_for_one_another(truth: str, claim: str) -> None:
    for sizes in (WIDE, {"n": doubling(64, 5), "d": (64, 128, 256)}):
        assert verdicts(World(truth, sizes=sizes, process=0.01), claim, None, worlds=8)[Verdict.CONFIRMED] == 0


def test_the_count_tells_a_logarithm_that_a_clock_cannot() -> None:
    """At sizes where a logarithm adds 0.13, an exponent of 1.06±0.03 says neither; counted operations do."""
    world = World(lambda s: 1e-6 * s["n"] ** 1.06, {"n": doubling(512, 9)}, process=0.005, noise=0.01)

    alone, counted = law_at(world, "n"), law_at(world, "n", "2*n")

    assert alone.verdict is Verdict.INCONCLUSIVE
    assert "a factor log n would add only 0.1" in alone.reason
    assert alone.reason.endswith("too little for a clock to tell the two apart: count the operations")
    assert counted.verdict is Verdict.CONFIRMED


def test_a_claim_with_a_logarithm_must_be_told_from_the_same_without() -> None:
    """A logarithm adds 0.12 here: 1.04 lies nearer to n than to n·log n, though within the usual 0.1 of both."""
    world = World(lambda s: 1e-6 * s["n"] ** 1.04, {"n": doubling(512, 9)}, process=0.005, noise=0.01)

    assert law_at(world, "n").verdict is Verdict.CONFIRMED
    assert law_at(world, "n*log2(n)").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("claim", ["n*d", "n**2*d"])
def test_growth_on_the_border_of_the_margin_is_hardly_ever_confirmed(claim: str) -> None:
    power = 1.1 if claim == "n*d" else 1.9
    found = verdicts(World(lambda s: 1e-6 * s["n"] ** power * s["d"]), claim, None, worlds=20)

    assert found[Verdict.CONFIRMED] <= 3  # one is expected, with a standard error of one


def test_a_second_term_that_is_not_there_is_never_confirmed() -> None:
    found = verdicts(World("4e-9*n**2*d", sizes=WIDE), LAYER, CORE_FLOPS, worlds=8)

    assert found == {Verdict.INCONCLUSIVE: 8}


@pytest.mark.parametrize("claim", ["1", "n"])
def test_a_layer_that_does_nothing_shows_no_law(claim: str) -> None:
    law = law_at(World("1e-6"), claim)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.exponents["n"].estimate.low < 0 < law.exponents["n"].estimate.high
    assert law.reason.endswith("-fold, and 10-fold are needed")


def test_a_moderate_overhead_no_longer_hides_the_law() -> None:
    """A third of the median time: a plain regression of logarithms reads an exponent that is off by 0.3."""
    world = World(lambda s: with_overhead(1e-9 * s["n"] ** 2 * s["d"], 1 / 3), WIDE, process=0.01)
    laws = [law_at(world, CORE, CORE_FLOPS, seed) for seed in range(12)]
    logs = np.log(world.points.to_numpy())
    plain, *_ = np.linalg.lstsq(np.column_stack([np.ones(12), logs]), np.log(world.seconds), rcond=None)

    assert plain[1] < 2 - 0.15
    assert Counter(law.verdict for law in laws)[Verdict.CONFIRMED] >= 10
    assert np.median([law.parts["n"].overhead for law in laws]) == pytest.approx(1 / 3, abs=0.03)
