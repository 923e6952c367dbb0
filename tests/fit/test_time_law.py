"""Laws of time from tables: right claims confirmed, wrong ones never, and the reasons why nothing can be read."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench.count.laws import count_laws
from attnbench.fit.time_law import Question, swept_axes, time_law, time_laws
from attnbench.formula import Formula
from attnbench.law import Estimate, Exponent, FittedTerm, Law, Specification, Verdict
from attnbench.layers.registry import Registry
from tests.fit.worlds import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from attnbench.fit.estimate import Array

    Columns = Mapping[str, Array]

CORE, CORE_FLOPS = "n**2*d", "4*n**2*d"
LAYER, LAYER_FLOPS = "n*d**2 + n**2*d", "8*n*d**2 + 4*n**2*d"
LAYER_SECONDS = "8e-9*n*d**2 + 4e-9*n**2*d"
WIDE = {"n": (64, 256, 1024, 4096), "d": (64, 256, 1024)}
SHORT = {"n": (64, 128, 256), "d": (128, 256, 512)}


def law_of(world: World, claim: str | None, flops: str | None = None, seed: int = 0, **fields: object) -> Law:
    question = Question(Formula(claim) if claim else None, Formula(flops) if flops else None, **fields)  # type: ignore[arg-type]
    return time_law(*world.tables(seed), question)


def verdicts(world: World, claim: str, flops: str | None, worlds: int) -> Counter[Verdict]:
    return Counter(law_of(world, claim, flops, seed).verdict for seed in range(worlds))


# ------------------------------------------------------------------------------------------------------------- worlds


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
    found = verdicts(replace(world, rounds=rounds), claim, flops, worlds=15)

    assert found[Verdict.CONFIRMED] >= 0.9 * 15


def overhead(seconds: Array) -> Array:
    """A constant cost that takes a third of the median time."""
    return seconds + np.median(seconds) / 2


WRONG: dict[str, tuple[Callable[[Columns], Array], dict[str, tuple[int, ...]], str, str | None, Verdict]] = {
    "n-for-n^1.25": (lambda s: 1e-6 * s["n"] ** 1.25 * s["d"], WIDE, "n*d", None, Verdict.REFUTED),
    "nd-for-n²d": (lambda s: 1e-9 * s["n"] ** 2 * s["d"], WIDE, "n*d", CORE_FLOPS, Verdict.REFUTED),
    "n²-for-n^1.5": (lambda s: 1e-6 * s["n"] ** 1.5 * s["d"], WIDE, CORE, None, Verdict.REFUTED),
    "n-for-n·log-n": (lambda s: 1e-6 * s["n"] * np.log2(s["n"]) * s["d"], WIDE, "n*d", None, Verdict.REFUTED),
    "n·log-n-for-n": (lambda s: 1e-6 * s["n"] * s["d"], WIDE, "n*log2(n)*d", None, Verdict.REFUTED),
    "one-term-for-a-layer": (
        lambda s: 8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"],
        SHORT,
        CORE,
        LAYER_FLOPS,
        Verdict.OUT_OF_REGIME,
    ),
    "one-term-for-a-layer-uncounted": (
        lambda s: 8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"],
        SHORT,
        CORE,
        None,
        Verdict.REFUTED,
    ),
    "two-terms-for-one-power": (
        lambda s: 1e-8 * s["n"] ** 1.25 * s["d"] ** 1.5,
        WIDE,
        LAYER,
        None,
        Verdict.REFUTED,
    ),
    "overhead": (lambda s: overhead(1e-9 * s["n"] ** 2 * s["d"]), WIDE, CORE, None, Verdict.OUT_OF_REGIME),
    "overhead-counted": (
        lambda s: overhead(1e-9 * s["n"] ** 2 * s["d"]),
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
        lambda s: (8e-9 * s["n"] * s["d"] ** 2 + 4e-9 * s["n"] ** 2 * s["d"]) * s["d"] ** -0.3,
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
}


@pytest.mark.parametrize(("truth", "sizes", "claim", "flops", "verdict"), WRONG.values(), ids=WRONG)
def test_what_is_not_so_is_never_confirmed(
    truth: Callable[[Columns], Array],
    sizes: dict[str, tuple[int, ...]],
    claim: str,
    flops: str | None,
    verdict: Verdict,
) -> None:
    found = verdicts(World(truth, sizes=sizes, process=0.01), claim, flops, worlds=12)

    assert found[Verdict.CONFIRMED] == 0
    assert found[verdict] >= 10


@pytest.mark.parametrize("claim", ["n*d", "n**2*d"])
def test_growth_on_the_border_of_the_margin_is_hardly_ever_confirmed(claim: str) -> None:
    power = 1.1 if claim == "n*d" else 1.9
    found = verdicts(World(lambda s: 1e-6 * s["n"] ** power * s["d"]), claim, None, worlds=20)

    assert found[Verdict.CONFIRMED] <= 1


def test_a_second_term_that_is_not_there_is_never_confirmed() -> None:
    found = verdicts(World("4e-9*n**2*d", sizes=WIDE), LAYER, CORE_FLOPS, worlds=8)

    assert found == {Verdict.INCONCLUSIVE: 8}


@pytest.mark.parametrize("claim", ["1", "n"])
def test_a_layer_that_does_nothing_shows_no_law(claim: str) -> None:
    law = law_of(World("1e-6"), claim)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.exponents["n"].estimate.low < 0 < law.exponents["n"].estimate.high
    assert law.reason.endswith("-fold, and 10-fold are needed")


# ------------------------------------------------------------------------------------------------------ the law itself


def quiet(truth: str, **fields: object) -> World:
    return World(truth, process=0, noise=0, late=0, **fields)  # type: ignore[arg-type]


def test_a_law_of_one_term_has_exponents_a_coefficient_and_its_window() -> None:
    law = law_of(quiet("2e-9*n**2*d"), CORE, CORE_FLOPS, scope="core")

    assert law.verdict is Verdict.CONFIRMED
    assert law.reason == "time grows as n^2.00±0.00, d^1.00±0.00: every interval lies within 0.1 of the claim"
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
    law = law_of(quiet(LAYER_SECONDS, sizes=WIDE), LAYER, LAYER_FLOPS)

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents == {}
    assert {term.term: term.coefficient.value for term in law.terms} == pytest.approx({"n*d**2": 8e-9, "n**2*d": 4e-9})
    assert {term.term: term.share for term in law.terms} == pytest.approx(
        {"n*d**2": 8 * 1024 / (8 * 1024 + 4 * 64), "n**2*d": 4 * 4096 / (8 * 64 + 4 * 4096)}
    )
    assert law.reason.startswith("every term is there (")


def test_without_a_claim_the_growth_is_inferred() -> None:
    law = law_of(quiet("2e-9*n**2*d"), None)

    assert law.verdict is Verdict.INFERRED
    assert law.reason == "time grows as n^2.00±0.00, d^1.00±0.00; there is no claim to compare with"
    assert {axis: e.claimed for axis, e in law.exponents.items()} == {"n": None, "d": None}
    assert law.terms == ()


def test_without_a_claim_the_counted_terms_are_weighed() -> None:
    law = law_of(quiet(LAYER_SECONDS, sizes=WIDE), None, LAYER_FLOPS)

    assert law.verdict is Verdict.INFERRED
    assert law.reason == "terms of the count, weighed by the clock; there is no claim"
    assert {term.term for term in law.terms} == {"n*d**2", "n**2*d"}


def test_without_a_claim_the_counts_one_term_is_weighed_but_claims_nothing() -> None:
    law = law_of(quiet("2e-9*n**2*d"), None, CORE_FLOPS)

    assert law.verdict is Verdict.INFERRED
    assert [term.term for term in law.terms] == ["n**2*d"]
    assert law.exponents["n"].claimed is None


def test_a_claim_that_is_no_sum_of_terms_is_not_called_missing() -> None:
    law = law_of(quiet("2e-9*n**2*d"), "max(n**2*d, n*d**2)")

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == (
        "time grows as n^2.00±0.00, d^1.00±0.00; the claim max(n**2*d, n*d**2) is no sum of products of powers, "
        "so it has no exponents to compare"
    )


def test_a_claim_with_a_logarithm_is_judged_by_its_growth_in_the_window() -> None:
    law = law_of(quiet("1e-6*n*log2(n)*d"), "n*log2(n)*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents["n"].claimed == pytest.approx(1 + 1 / np.log(362), abs=0.01)  # 362 lies halfway
    assert law.exponents["d"].claimed == 1.0
    assert law.reason.endswith("every interval lies within 0.086 of the claim")


def test_constants_and_sizes_that_were_not_swept_do_not_count() -> None:
    along_n = quiet("1e-9*n**2", sizes={"n": (64, 128, 256, 512)})

    assert law_of(along_n, "7*k*n**2*d", "4*n**2").verdict is Verdict.CONFIRMED
    assert law_of(along_n, "n**2*d + 3*n**2", "4*n**2").verdict is Verdict.CONFIRMED


def test_terms_that_grow_alike_do_not_lend_each_other_their_share() -> None:
    along_n = quiet("1e-9*n**2", sizes={"n": (64, 128, 256, 512)})
    law = law_of(along_n, "3*n**2 + n**2*d", "n**2 + 60*n")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == (
        "the claimed term carries only 51.6 % of the counted work at n=64, and 90.0 % are needed to read its exponent"
    )


@pytest.mark.parametrize("claim", ["n**2*d", "b*n**2*d"])
def test_a_claim_without_a_batch_speaks_of_each_sequence(claim: str) -> None:
    batches = quiet("1e-9*b*n**2*d", sizes={"b": (1, 4, 16), "n": (64, 128, 256), "d": (16, 32, 64)})

    law = law_of(batches, claim)

    assert law.verdict is Verdict.CONFIRMED
    assert law.exponents["b"].claimed == 1.0


def test_a_count_that_is_a_lower_bound_does_not_speak_for_the_claim() -> None:
    quadratic = quiet("1e-9*n**2*d")

    assert law_of(quadratic, "n*d", "4*n*d").verdict is Verdict.OUT_OF_REGIME
    law = law_of(quadratic, "n*d", "4*n*d", uncounted=("aten.sort.default",))
    assert law.verdict is Verdict.REFUTED
    assert law.uncounted == ("aten.sort.default",)
    assert law.lower_bound


def test_an_objection_names_the_sizes_where_the_share_is_smallest() -> None:
    law = law_of(quiet(LAYER_SECONDS, sizes=SHORT), CORE, LAYER_FLOPS)

    assert law.reason == (
        "the claimed term carries only 5.9 % of the counted work at n=64, d=512, and 90.0 % are needed to read its "
        "exponent"
    )


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
    assert law.reason == "n and d vary only together here, so no times can tell their exponents apart"
    assert law.exponents == {}


def test_an_axis_that_rests_on_one_trial_shows_no_law() -> None:
    law = time_law(*along([*EQUAL, (1024, 64)], lambda n, _: 1e-9 * n**2), Question(Formula("n*d"), None))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "what the times say of n and d rests on a single trial, which no other can check"


def test_the_clock_alone_does_not_confirm_what_the_count_contradicts() -> None:
    law = law_of(quiet("1e-9*n*d", sizes=WIDE), "n*d", CORE_FLOPS)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == (
        "the clock agrees with the claim (time grows as n^1.00±0.00, d^1.00±0.00), but the count of 4*n**2*d "
        "contradicts it: no counted operations grow that way"
    )


def test_the_clock_does_not_confirm_a_term_of_several_that_the_count_lacks() -> None:
    law = law_of(quiet(LAYER_SECONDS, sizes=WIDE), LAYER, CORE_FLOPS)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason.endswith("but the count of 4*n**2*d contradicts it: it lacks a claimed term")


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("n*d/log2(n)", "'n*d*log2(n)**-1' has no value at {'d': 64, 'n': 1}: division by zero"),
        ("n*d/log2(n) + d", "'n*d*log2(n)**-1' has no value at {'d': 64, 'n': 1}: division by zero"),
        ("(n**8)**8*(n**8)**8*(n**8)**8", "'n**192' has no value at {'n': 256}: a number too large"),
    ],
)
def test_a_claim_without_a_value_at_a_size_is_one_sentence(claim: str, reason: str) -> None:
    law = law_of(quiet("1e-9*n*d", sizes={"n": (1, 4, 16, 256), "d": (64, 128, 256)}), claim)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "nothing can be compared at these sizes: " + reason


def test_a_logarithm_of_one_has_a_share_of_zero() -> None:
    law = law_of(quiet("1e-9*n*d", sizes={"n": (1, 4, 16, 256), "d": (64, 128, 256)}), "n*log2(n)*d")

    assert [term.share for term in law.terms] == [1.0]


@pytest.mark.parametrize("claim", ["0", "n - n"])
def test_a_claim_of_nothing_has_no_term_to_compare(claim: str) -> None:
    law = law_of(quiet("2e-9*n**2*d"), claim)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason.endswith(f"; the claim {claim} is zero, so it has no term to compare")


# ------------------------------------------------------------------------------------------------------- too little


def test_a_single_size_of_everything_has_no_law() -> None:
    law = law_of(World("1e-9*n**2*d", sizes={"n": (64,), "d": (64,)}), CORE)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "1 measured trials with 0 swept axes are too few to read a law from"
    assert law.claim == CORE
    assert law.window == {}


def test_two_sizes_of_one_axis_have_no_law() -> None:
    law = law_of(World("1e-9*n**2", sizes={"n": (64, 640)}), "n**2")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "2 measured trials with 1 swept axes are too few to read a law from"


@pytest.mark.parametrize(("claim", "sizes"), [(CORE, None), (LAYER, WIDE)], ids=["one-term", "two-terms"])
def test_one_round_settles_nothing(claim: str, sizes: dict[str, tuple[int, ...]] | None) -> None:
    world = World(LAYER_SECONDS, rounds=1, **({"sizes": sizes} if sizes else {}))

    law = law_of(world, claim)

    assert law.verdict is Verdict.INCONCLUSIVE
    assert law.reason == "fewer than two rounds were measured"
    assert law.exponents == {}


def test_a_small_range_of_times_is_out_of_regime() -> None:
    law = law_of(quiet("1e-9*n**2", sizes={"n": (64, 96, 128)}), "n**2")

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "the times change only 4.00-fold, and 10-fold are needed"


def test_two_terms_need_a_range_too() -> None:
    law = law_of(quiet(LAYER_SECONDS, sizes={"n": (64, 96, 128), "d": (64, 96, 128)}), LAYER)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == "the times change only 8.00-fold, and 10-fold are needed"


def test_trials_that_failed_are_left_out() -> None:
    records, samples = quiet("1e-9*n**2*d").tables(0)
    records.loc[[0, 11], "status"] = ["oom", "error"]
    records.loc[[0, 11], "seconds"] = np.nan
    law = time_law(records, samples, Question(Formula(CORE), None))

    assert law.trials == 10
    assert law.verdict is Verdict.CONFIRMED


# -------------------------------------------------------------------------------------------------------------- tables


def test_swept_axes_take_more_than_one_size() -> None:
    columns = ["trial", "threads", "b", "n", "d", "h", "status", "samples"]
    records = pd.DataFrame([["a", 1, 1, 64, 8, None, "ok", 5], ["b", 1, 1, 128, 8, None, "ok", 6]], columns=columns)

    assert swept_axes(records) == ("n",)


def test_every_group_of_trials_has_its_own_law_in_the_order_of_the_records() -> None:
    slow, fast = named("slow", "1e-9*n**2*d"), named("fast", "1e-9*n*d")
    records = pd.concat([slow[0].assign(threads=2), fast[0].assign(device="cuda:0")])
    questions = {name: Question(Formula(CORE), None) for name in ("fast", "slow")}

    laws = time_laws(records, pd.concat([slow[1], fast[1]]), questions)

    assert [(law.layer, law.device, law.threads, law.verdict) for law in laws] == [
        ("slow", "cpu", 2, Verdict.CONFIRMED),
        ("fast", "cuda:0", 1, Verdict.REFUTED),
    ]


def named(layer: str, truth: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and samples of a layer that takes `truth` seconds."""
    records, samples = quiet(truth).tables(0)
    return (
        records.assign(layer=layer, trial=layer + "-" + records["trial"]),
        samples.assign(trial=layer + "-" + samples["trial"]),
    )


def test_the_axes_may_be_given() -> None:
    records, samples = quiet("1e-9*n**2*d").tables(0)

    law = time_law(records[records["d"] == 64], samples, Question(Formula("n**2"), None), axes=("n",))

    assert list(law.exponents) == ["n"]
    assert law.verdict is Verdict.CONFIRMED


# ---------------------------------------------------------------------------------------------------------------- JSON

LAWS = {
    "one-term": lambda: law_of(World("1e-9*n**2*d"), CORE, CORE_FLOPS),
    "two-terms": lambda: law_of(World(LAYER_SECONDS, sizes=WIDE), LAYER, LAYER_FLOPS),
    "inferred": lambda: law_of(World("1e-9*n**2*d"), None),
    "too-little": lambda: law_of(World("1e-9*n**2*d", sizes={"n": (64,), "d": (64,)}), CORE),
    "counted": lambda: count_laws(Registry().get("multi-head-attention"), metrics=["flops"])[0],
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_survives_the_journey_through_json(law: Callable[[], Law]) -> None:
    there = law()

    assert Law.from_json(json.loads(json.dumps(there.as_json()))) == there


def test_the_json_of_a_law_has_the_documented_form() -> None:
    law = Law(
        layer="rnn",
        metric="time",
        verdict=Verdict.CONFIRMED,
        reason="one sentence",
        claim="n*d**2",
        formula="1e-12*n**1.000*d**2.000",
        device="cpu",
        dtype="float32",
        exponents={"n": Exponent(Estimate(1.0, 0.98, 1.02), 1.0), "d": Exponent(Estimate(2.0, 1.9, 2.1))},
        terms=(FittedTerm("n*d**2", Estimate(1.1e-12, 1.0e-12, 1.2e-12), 0.97),),
        window={"n": (64, 512)},
        trials=24,
        specifications=(Specification("without n = 64", {"n": 1.01}),),
    )

    assert law.as_json() == {
        "layer": "rnn",
        "device": "cpu",
        "dtype": "float32",
        "mode": "forward",
        "threads": 1,
        "scope": "layer",
        "metric": "time",
        "claim": "n*d**2",
        "formula": "1e-12*n**1.000*d**2.000",
        "exponents": {
            "n": {"value": 1.0, "low": 0.98, "high": 1.02, "level": 0.9, "claimed": 1.0},
            "d": {"value": 2.0, "low": 1.9, "high": 2.1, "level": 0.9, "claimed": None},
        },
        "terms": [
            {"term": "n*d**2", "coefficient": 1.1e-12, "low": 1.0e-12, "high": 1.2e-12, "level": 0.9, "share": 0.97}
        ],
        "window": {"n": [64, 512]},
        "trials": 24,
        "verdict": "CONFIRMED",
        "reason": "one sentence",
        "specifications": [{"name": "without n = 64", "exponents": {"n": 1.01}}],
        "uncounted": [],
    }
