"""Laws on quiet machines: what a law holds, its sentence, where growth comes from, and why there may be no law."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.time_law import Question, law_of, time_law
from attnbench.formula import Formula
from attnbench.law import Verdict
from tests.fitting.worlds import (
    CORE,
    CORE_FLOPS,
    LAYER,
    LAYER_FLOPS,
    LAYER_SECONDS,
    WIDE,
    World,
    doubling,
    law_at,
    noisy,
    quiet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fitting.model.observations import Array

    Columns = Mapping[str, Array]


def test_a_law_of_one_term_has_exponents_a_coefficient_and_its_window() -> None:
    law = law_at(quiet("2e-9*n**2*d"), CORE, CORE_FLOPS, scope="core")

    assert law.verdict is Verdict.CONFIRMED
    assert law.reason == "time grows as n^2.00±0.00, d^1.00±0.00: every exponent lies within 0.1 of the claim"
    assert {axis: e.claimed for axis, e in law.exponents.items()} == {"n": 2.0, "d": 1.0}
    assert law.formula == "2e-09*n**2.000*d**1.000"
    assert Formula(law.formula).evaluate({"n": 512, "d": 64}) == pytest.approx(2e-9 * 512**2 * 64, rel=1e-3)
    [term] = law.terms
    assert (term.term, term.share) == ("n**2*d", 1.0)
    assert term.coefficient.value == pytest.approx(2e-9, rel=1e-9)
    assert law.window == {"n": (128, 1024), "d": (64, 256)}
    assert (law.trials, law.scope, law.claim) == (12, "core", CORE)
    assert len(law.specifications) == 5


def test_a_law_of_two_terms_has_coefficients_and_no_exponents() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes=WIDE), LAYER, LAYER_FLOPS)

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents == {}
    assert {term.term: term.coefficient.value for term in law.terms} == pytest.approx({"n*d**2": 8e-9, "n**2*d": 4e-9})
    assert {term.term: term.share for term in law.terms} == pytest.approx(
        {"n*d**2": 8 * 1024 / (8 * 1024 + 4 * 64), "n**2*d": 4 * 4096 / (8 * 64 + 4 * 4096)}
    )
    assert law.reason.startswith("every term is there (")


def test_a_claim_that_is_no_sum_of_terms_is_not_called_missing() -> None:
    law = law_at(quiet("2e-9*n**2*d"), "max(n**2*d, n*d**2)")

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == (
        "the claim max(n**2*d, n*d**2) is no sum of products of powers, so it has no exponents to compare"
    )


def test_a_claim_with_a_logarithm_is_judged_by_its_growth_in_the_window() -> None:
    law = law_at(quiet("1e-6*n*log2(n)*d"), "n*log2(n)*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents["n"].claimed == pytest.approx(1 + 1 / np.log(362), abs=0.01)  # 362 lies halfway
    assert law.exponents["d"].claimed == 1.0
    assert law.reason.endswith("every exponent lies within 0.1 of the claim")


def along(points: list[tuple[int, int]], seconds: Callable[[int, int], float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and samples at some (n, d), without noise."""
    sizes = {"n": tuple({n: 0 for n, _ in points}), "d": tuple({d: 0 for _, d in points})}
    world = World(lambda s: np.vectorize(seconds)(s["n"], s["d"]), sizes, process=0, noise=0, late=0)
    records, samples = world.tables(0)
    return records[[point in points for point in zip(records["n"], records["d"], strict=True)]], samples


EQUAL = [(2**power, 2**power) for power in range(6, 11)]


@pytest.mark.parametrize("points", [EQUAL, [(n, n + 1) for n, _ in EQUAL]], ids=["equal", "nearly"])
@pytest.mark.parametrize(
    ("seconds", "claim"),
    [(lambda n, _: 1e-9 * n**2, "n*d"), (lambda n, d: 1e-9 * n**2 * d, CORE), (lambda n, d: 1e-9 * n * d * d, LAYER)],
    ids=["false-confirmed", "false-refuted", "two-terms"],
)
def test_axes_that_vary_together_show_no_law(
    points: list[tuple[int, int]], seconds: Callable[[int, int], float], claim: str
) -> None:
    law = time_law(*along(points, seconds), Question(Formula(claim), None))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "n and d vary only together here, so nothing can tell their exponents apart"
    assert law.exponents == {}


def test_an_axis_that_rests_on_one_trial_shows_no_law() -> None:
    law = time_law(*along([*EQUAL, (1024, 64)], lambda n, _: 1e-9 * n**2), Question(Formula("n*d"), None))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "what is seen of n and d rests on a single configuration, which no other can check"


def test_the_clock_alone_does_not_confirm_what_the_count_contradicts() -> None:
    law = law_at(quiet("1e-9*n*d", sizes=WIDE), "n*d", CORE_FLOPS)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == (
        "the clock agrees with the claim (time grows as n^1.00±0.00, d^1.00±0.00), but the count of 4*n**2*d "
        "contradicts it: no counted operations grow that way"
    )


def test_the_clock_does_not_confirm_a_term_of_several_that_the_count_lacks() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes=WIDE), LAYER, CORE_FLOPS)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason.endswith("but the count of 4*n**2*d contradicts it: no counted operations grow that way")


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("n*d/log2(n)", "n*d*log2(n)**-1 has no finite value of at least zero at n=1, d=64"),
        ("n*d/log2(n) + d", "n*d*log2(n)**-1 has no finite value of at least zero at n=1, d=64"),
        ("(n**8)**8*(n**8)**8*(n**8)**8", "n**192 has no finite value of at least zero at n=256"),
    ],
)
def test_a_claim_without_a_value_at_a_size_is_one_sentence(claim: str, reason: str) -> None:
    law = law_at(quiet("1e-9*n*d", sizes={"n": (1, 4, 16, 256), "d": (64, 128, 256)}), claim)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "nothing can be compared at these sizes: " + reason


def test_a_logarithm_of_one_is_zero_and_no_mistake() -> None:
    law = law_at(quiet("1e-9*n*d", sizes={"n": (1, 4, 16, 256), "d": (64, 128, 256)}), "n*log2(n)*d")

    (term,) = law.terms
    assert 0.99 < term.share <= 1


@pytest.mark.parametrize("claim", ["0", "n - n"])
def test_a_claim_of_nothing_has_no_term_to_compare(claim: str) -> None:
    law = law_at(quiet("2e-9*n**2*d"), claim)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == f"the claim {claim} is zero, so it has no term to compare"


def log_middle(*sizes: int) -> float:
    return math.exp(sum(map(math.log, sizes)) / len(sizes))


@pytest.mark.parametrize("overhead", [0.0, 0.2])
def test_the_growth_of_time_is_operations_less_efficiency_beside_the_overhead(overhead: float) -> None:
    """Seconds are operations over a rate that rises as n^0.05·d^0.1, and a constant."""
    growing = quiet("1e-9*n**1*d", WIDE)
    grown = growing.seconds**0 * np.array([n**1.95 * d**0.9 for n, d in itertools.product(*WIDE.values())])
    constant = overhead / (1 - overhead) * float(np.median(grown))

    law = law_at(quiet(lambda s: s["n"] ** 1.95 * s["d"] ** 0.9 + constant, WIDE), CORE, CORE_FLOPS)

    for axis, operations, efficiency in (("n", 2, 0.05), ("d", 1, 0.1)):
        parts = law.parts[axis]
        assert parts.operations == operations
        assert parts.overhead == pytest.approx(overhead, abs=1e-3)
        assert parts.efficiency == pytest.approx(efficiency, abs=1e-3)
        assert parts.local == pytest.approx((1 - overhead) * (operations - efficiency), abs=2e-3)


def test_the_exponents_of_the_operations_of_a_layer_add_up_to_three() -> None:
    """Of degree three; in the middle of the window n²d has the share n/(n + 2d), which is what n has beyond one."""
    law = law_at(quiet(LAYER_SECONDS, sizes=WIDE), LAYER, LAYER_FLOPS)
    n, d = law.parts["n"], law.parts["d"]
    middle_n, middle_d = log_middle(*WIDE["n"]), log_middle(*WIDE["d"])

    assert n.operations == pytest.approx(1 + middle_n / (middle_n + 2 * middle_d))
    assert (n.operations or 0) + (d.operations or 0) == pytest.approx(3)
    assert n.local + d.local == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize(("claim", "sizes"), [(CORE, None), (LAYER, WIDE)])
def test_parts_add_up_whatever_the_noise(claim: str, sizes: dict[str, tuple[int, ...]] | None) -> None:
    world = World(LAYER_SECONDS, **({"sizes": sizes} if sizes else {}), noise=0.05)
    for seed in range(3):
        for parts in law_at(world, claim, LAYER_FLOPS, seed).parts.values():
            assert parts.operations is not None
            assert parts.efficiency is not None
            assert parts.local == pytest.approx((1 - parts.overhead) * (parts.operations - parts.efficiency))


@pytest.mark.parametrize("fields", [{}, {"flops": LAYER_FLOPS, "uncounted": ("aten.sort.default",)}])
def test_without_a_whole_count_nothing_is_said_of_efficiency(fields: dict[str, object]) -> None:
    parts = law_at(quiet("2e-9*n**2*d"), CORE, **fields).parts["n"]  # type: ignore[arg-type]

    assert (parts.operations, parts.efficiency) == (None, None)
    assert parts.local == pytest.approx(2, abs=1e-4)


def test_a_law_foretells_what_was_not_measured() -> None:
    for truth, claim in (("1e-3 + 2e-9*n**2*d", CORE), (LAYER_SECONDS, LAYER), ("2e-9*n**2*d", None)):
        law = law_at(quiet(truth, sizes=WIDE), claim)
        expected = float(Formula(truth).evaluate({"n": 16384, "d": 128}))

        found = law.predict(n=16384, d=128)

        assert found.value == pytest.approx(expected, rel=1e-3)
        assert found.high / found.low < 1.01


def test_the_curves_of_a_law_give_its_values_at_the_measured_sizes() -> None:
    world = World("1e-3 + 2e-9*n**2*d", WIDE)
    law = law_at(world, CORE, seed=1)
    assert law.curves is not None
    rows = world.points.to_dict("records")
    best = [law.curves.at({str(axis): size for axis, size in row.items()})[0] for row in rows]

    np.testing.assert_allclose(best, world.seconds, rtol=0.1)
    assert len(law.curves.draws) == 201


def test_a_change_of_regime_stands_behind_the_reason() -> None:
    world = quiet(lambda s: 1e-9 * s["n"] ** 2 * np.where(s["n"] > 700, 1.5, 1.0), {"n": doubling(64, 10)})
    records, samples = world.tables()
    noise = np.exp(1e-4 * np.random.default_rng(0).standard_normal(len(samples)))

    law = time_law(records, samples.assign(seconds=samples["seconds"] * noise), Question(Formula("n**2")))

    said = "values jump by a factor of 1.50 past n = 724 (probability 100%)"
    assert law.verdict is Verdict.CONFIRMED
    assert law.regimes == (said,)
    assert law.reason == f"time grows as n^2.00±0.00: every exponent lies within 0.072 of the claim; {said}"
    assert law.specifications[-1].name == "with a break at n = 724"
    assert law.specifications[-1].exponents["n"] == pytest.approx(2, abs=0.01)


def test_a_layer_is_confirmed_by_its_degree_where_noise_blurs_its_axes() -> None:
    """How two terms divide the growth of one axis is blurred; what all axes together leave over is not."""
    sizes = {"n": doubling(64, 4), "d": doubling(64, 4)}
    reasons = [
        law.reason
        for seed in range(12)
        if (law := law_of(noisy(LAYER_SECONDS, sizes, 0.04, seed), Formula(LAYER))).verdict is Verdict.CONFIRMED
    ]

    assert len(reasons) >= 9
    by_degree = [reason for reason in reasons if " along all axes together, with " in reason]
    assert len(by_degree) >= 3


def test_an_axis_of_two_terms_that_does_not_hold_what_is_claimed_is_told_by_the_count_as_drift() -> None:
    law = law_at(quiet(lambda s: a_layer(s) * (s["n"] * s["d"]) ** -0.2, WIDE), LAYER, LAYER_FLOPS)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason.startswith("the terms leave n^-0.20±0.00, d^-0.20±0.00 of the growth unexplained (shares: ")
    assert law.reason.endswith(
        "but the counted operations do grow as claimed: the achieved rate drifts along n, d, "
        "so this window does not show the law"
    )


def a_layer(s: Columns) -> Array:
    return np.asarray(8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"])


def test_a_single_size_of_everything_has_no_law() -> None:
    law = law_at(World("1e-9*n**2*d", sizes={"n": (64,), "d": (64,)}), CORE)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "1 configuration along 0 swept axes: too few to read a law from"
    assert law.claim == CORE
    assert law.window == {}


def test_two_sizes_of_one_axis_have_no_law() -> None:
    law = law_at(World("1e-9*n**2", sizes={"n": (64, 640)}), "n**2")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "2 configurations along 1 swept axis: too few to read a law from"


@pytest.mark.parametrize(
    ("count", "claim", "said"), [(4, "n + n**2", "a law of 2 terms"), (5, "n + n**2 + n**3", "a law of 3 terms")]
)
def test_terms_need_more_configurations_than_there_are_parameters(count: int, claim: str, said: str) -> None:
    sizes = {"n": doubling(64, count)}

    law = law_of(noisy("1e-6*n + 1e-9*n**2", sizes, 0.02, 1), Formula(claim))
    enough = law_of(noisy("1e-6*n + 1e-9*n**2", {"n": doubling(64, count + 1)}, 0.02, 1), Formula(claim))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == f"{count} configurations along 1 swept axis: too few to read {said} from"
    assert enough.terms


@pytest.mark.parametrize(("truth", "claim"), [("1e-9*n**2*d", CORE), (LAYER_SECONDS, LAYER)])
def test_one_round_is_enough_where_configurations_check_each_other(truth: str, claim: str) -> None:
    law = law_at(World(truth, {"n": doubling(64, 6), "d": doubling(32, 5)}, rounds=1, noise=0.01, late=0), claim)

    assert law.verdict is Verdict.CONFIRMED


def test_a_small_range_of_times_is_out_of_regime() -> None:
    law = law_at(quiet("1e-9*n**2", sizes={"n": (64, 80, 96, 128)}), "n**2")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "the values change only 4.00-fold, and 10-fold are needed"


def test_two_terms_need_a_range_too() -> None:
    law = law_at(quiet(LAYER_SECONDS, sizes={"n": (64, 96, 128), "d": (64, 96, 128)}), LAYER)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "the values change only 8.00-fold, and 10-fold are needed"
