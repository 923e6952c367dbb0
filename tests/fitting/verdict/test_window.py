"""Given sizes may lie where another term leads, or a constant cost does: a law is read from the others, and says so."""

from __future__ import annotations

import pandas as pd
import pytest

from attnbench.fitting.time_law import Question, time_law
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from tests.fitting.worlds import World

#: Where 4n²d carries 90 % of 4n²d + 8nd², n is at least 18 d.
LONG = {"n": (64, 128, 256, 512, 1024, 2048, 4096, 8192), "d": (32, 64)}
SUM = "4*n**2*d + 8*n*d**2"


def law_of(truth: str, sizes: dict[str, tuple[int, ...]], question: Question, floor: float | None = None) -> Law:
    world = World(truth, sizes, noise=0.01, process=0.0, late=0.0)
    records, samples = world.tables(3)
    return time_law(records.assign(floor_seconds=floor), samples, question)


def test_a_law_is_read_where_the_claim_leads_the_count() -> None:
    law = law_of(f"1e-10*({SUM})", LONG, Question(Formula("n**2*d"), Formula(SUM)))

    assert (law.verdict, law.trials, law.window["n"]) == (Verdict.CONFIRMED, 7, (1024, 8192))
    assert law.reason.endswith("read from 7 of 16 trials: the claim does not lead the count in 9")


def test_a_claim_without_a_count_is_refuted_by_all_sizes() -> None:
    law = law_of("1e-12*n**2*d**2", LONG, Question(Formula("n*d"), None))

    assert law.verdict is Verdict.REFUTED
    assert law.trials == 16


def test_sizes_at_which_a_call_costs_about_as_much_as_any_are_left_out() -> None:
    sizes = {"n": (16, 64, 256, 1024, 16384), "d": (64, 128, 256, 512)}
    question = Question(Formula("n*d"), Formula("2*n*d"))

    law = law_of("5e-5 + 1e-9*n*d", sizes, question, floor=5.5e-5)

    # 5.5e-5 is at most 20 % of 5e-5 + 1e-9·n·d from n·d = 225 000 on.
    assert (law.verdict, law.trials) == (Verdict.CONFIRMED, 6)
    assert "read from 6 of 20 trials: a constant cost may take more than 20.0 % of 14" in law.reason


@pytest.mark.parametrize("sizes", [{**LONG, "n": LONG["n"][:6]}, {**LONG, "d": (64, 512)}], ids=["few", "one width"])
def test_where_too_few_sizes_are_left_the_law_says_what_the_others_lack(sizes: dict[str, tuple[int, ...]]) -> None:
    law = law_of(f"1e-10*({SUM})", sizes, Question(Formula("n**2*d"), Formula(SUM)))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.trials == len(sizes["n"]) * 2
    assert "of the counted work" in law.reason
    assert not law.regimes


def test_what_nobody_claims_is_read_from_all_sizes() -> None:
    law = law_of(f"1e-10*({SUM})", LONG, Question(None, Formula(SUM)))

    assert law.trials == 16


def test_the_index_of_a_table_does_not_matter() -> None:
    world = World(f"1e-10*({SUM})", LONG, noise=0.01, process=0.0, late=0.0)
    records, samples = world.tables(3)
    question = Question(Formula("n**2*d"), Formula(SUM))
    shuffled = records.sample(frac=1, random_state=1).set_axis(pd.RangeIndex(100, 100 + len(records)))

    assert time_law(shuffled, samples, question).trials == time_law(records, samples, question).trials == 7
