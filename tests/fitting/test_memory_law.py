"""Laws of memory on machines whose truth is known: figures without noise, with constants, steps and scratch."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attnbench.fitting.memory_law import memory_laws
from attnbench.fitting.time_law import Question
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.trial import Choices, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
LONG, NARROW = (1024, 2048, 4096), (16, 32, 64)
WIDE, DOUBLING = (256, 512, 1024), (1024, 2048, 4096, 8192)
SCORES = "8*b*n**2 + 4*b*n*d"


def records(
    bytes_at: Callable[[int, int], float],
    counted: str | None,
    n: tuple[int, ...] = LONG,
    d: tuple[int, ...] = NARROW,
    beside: int = 2**19,
) -> pd.DataFrame:
    """A table as a run has it; the process grows by `beside` more than torch allocates."""
    rows = []
    for sizes in ({"b": 1, "n": n_, "d": d_} for n_, d_ in itertools.product(n, d)):
        allocated = round(bytes_at(sizes["n"], sizes["d"]))
        row: dict[str, object] = {"layer": "any", **asdict(Choices()), **sizes}
        row |= {"status": "ok", "allocated_bytes": allocated, "resident_bytes": allocated + beside}
        rows.append(row | {"peak_bytes": int(Formula(counted).evaluate(sizes)) if counted else None})
    return pd.DataFrame(rows).astype(dict.fromkeys(("allocated_bytes", "resident_bytes", "peak_bytes"), "Int64"))


def law_of(table: pd.DataFrame, claim: str | None, counted: str | None) -> Law:
    question = Question(Formula(claim) if claim else None, Formula(counted) if counted else None)
    (law,) = memory_laws(table, {Subject("any"): question})
    return law


@pytest.mark.parametrize(
    ("claim", "counted", "n", "d"),
    [
        ("n**2", SCORES, LONG, NARROW),
        ("n*d", "12*b*n*d + 4*b*d", (1024, 2048, 8192), WIDE),
        ("n**2*d", "max(8*b*n**2*d + 4*b*n**2, 4*b*n**2*d + 8*b*n*d)", (128, 256, 512), WIDE),
        ("n**2 + n*d", SCORES, (128, 512, 2048), WIDE),
    ],
)
@pytest.mark.parametrize("constant", [0, MIB // 2, 2 * MIB])
def test_the_right_law_is_confirmed_and_a_constant_is_not_taken_for_growth(
    claim: str, counted: str, n: tuple[int, ...], d: tuple[int, ...], constant: int
) -> None:
    truth = Formula(counted)
    table = records(lambda n, d: truth.evaluate({"b": 1, "n": n, "d": d}) + constant, counted, n, d)

    law = law_of(table, claim, counted)

    assert law.verdict is Verdict.CONFIRMED, law.reason
    if law.exponents:
        assert max(abs(e.estimate.value - (e.claimed or 0)) for e in law.exponents.values()) < 0.05
        assert min(e.estimate.half_width for e in law.exponents.values()) > 0.004  # no noise is no certainty


@pytest.mark.parametrize("claim", ["n", "n*d", "n**2*d", "d", "n**3", "n**1.5"])
@pytest.mark.parametrize("counted", [SCORES, None])
def test_a_wrong_law_is_not_confirmed(claim: str, counted: str | None) -> None:
    law = law_of(records(lambda n, d: 8 * n**2 + 4 * n * d, counted), claim, counted)

    assert law.verdict in (Verdict.REFUTED, Verdict.OUT_OF_REGIME)


def test_where_another_term_carries_the_bytes_the_claim_cannot_be_read() -> None:
    law = law_of(records(lambda n, d: 8 * n**2 + 4 * n * d, SCORES, n=(128, 256, 512), d=WIDE), "n**2", SCORES)

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason.startswith(
        "the claimed term carries only 20.0 % of the counted bytes at n=128, d=1024, and 90.0 % are needed"
    )


def test_scratch_that_grows_otherwise_than_the_count_is_said_and_not_held_against_the_claim() -> None:
    law = law_of(records(lambda n, d: 4 * n * d + 400 * n, "4*b*n*d", n=DOUBLING), "n*d", "4*b*n*d")

    assert law.verdict is Verdict.OUT_OF_REGIME
    unseen = "kernels take scratch that the count does not see"
    assert f"the counted bytes do grow as claimed: {unseen} along d" in law.reason
    assert f"7.25 times the counted bytes at n=1024, d=16: {unseen}" in law.reason


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1.0, "every figure is the counted one, to the byte"),
        (1.03, "every figure is within 3.0 % of the counted one"),
        (3.0, "3.00 times the counted bytes at n=1024, d=256: kernels take scratch that the count does not see"),
        (0.5, "0.500 times the counted bytes at n=1024, d=256: the count sees more"),
    ],
)
def test_the_reason_says_how_the_figures_stand_to_the_count(factor: float, said: str) -> None:
    law = law_of(records(lambda n, d: factor * 12 * n * d, "12*b*n*d", d=WIDE), "n*d", "12*b*n*d")

    assert law.verdict is Verdict.CONFIRMED
    assert law.reason.endswith(f"; {said}")


@pytest.mark.parametrize(("beside", "found"), [(9 * MIB, False), (300 * MIB, True)])
def test_a_process_that_grows_far_beyond_what_torch_allocated_is_a_finding(beside: int, found: bool) -> None:
    law = law_of(records(lambda n, d: 12 * n * d, "12*b*n*d", d=WIDE, beside=beside), "n*d", "12*b*n*d")

    assert ("the process grew by 303 MiB at n=1024, d=256, where torch had allocated 3.00 MiB" in law.reason) is found


def test_without_a_claim_the_growth_is_inferred() -> None:
    law = law_of(records(lambda n, d: 8 * n**2 + 4 * n * d, SCORES, n=(128, 512, 2048), d=WIDE), None, SCORES)

    assert (law.verdict, law.metric) == (Verdict.INFERRED, "memory")
    assert {term.term: round(term.coefficient.value) for term in law.terms} == {"n**2": 8, "n*d": 4}
    assert law.reason.startswith("terms of the count, weighed by the allocator; there is no claim")


@pytest.mark.parametrize(
    ("claim", "verdict"), [(None, Verdict.INFERRED), ("n*d", Verdict.OUT_OF_REGIME)], ids=["no claim", "claim"]
)
def test_a_call_that_takes_nothing_has_no_powers(claim: str | None, verdict: Verdict) -> None:
    law = law_of(records(lambda n, d: 0, None), claim, None)

    assert (law.verdict, law.formula, law.exponents) == (verdict, "0", {})
    assert law.reason.startswith("no call takes any memory beyond its input")


def test_trials_without_a_figure_take_no_part() -> None:
    table = records(lambda n, d: 12 * n * d, "12*b*n*d", n=(512, *LONG), d=WIDE)
    table.loc[table["n"] == 512, ["allocated_bytes", "resident_bytes"]] = pd.NA

    law = law_of(table, "n*d", "12*b*n*d")

    assert (law.verdict, law.trials, law.window["n"]) == (Verdict.CONFIRMED, 9, (1024, 4096))
