"""Phrases around numbers."""

from __future__ import annotations

import pytest

from attnbench.law import Estimate, Verdict
from attnbench.report import words
from attnbench.trial import Choices
from tests.report.fake_run import HOSTILE, time_law


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2.00"),
        (1.984, "1.98"),
        (1.996, "2.00"),
        (0.0213, "0.02"),
        (0.999, "1.00"),
        (-0.125, "−0.12"),
        (12.3, "12.30"),
        (0.001, "0"),
        (0.0, "0"),
    ],
)
def test_an_exponent_has_two_decimals(value: float, text: str) -> None:
    assert words.exponent(value) == text


@pytest.mark.parametrize(("value", "text"), [(2.0, "2"), (0.5, "0.5"), (1.25, "1.25"), (10.0, "10"), (0.0, "0")])
def test_a_claimed_exponent_is_as_short_as_it_can_be(value: float, text: str) -> None:
    assert words.power(value) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [("10.0 µs", "10 µs"), ("1.50 ms", "1.5 ms"), ("100 s", "100 s"), ("90.0 %", "90 %"), ("1.05", "1.05")],
)
def test_an_axis_drops_zeros_that_say_nothing(text: str, short: str) -> None:
    assert words.shorter(text) == short


def test_an_interval_is_written_low_to_high() -> None:
    assert words.interval(Estimate(1.98, 1.949, 2.011)) == "[1.95, 2.01]"


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("time grows as n^2", "Time grows as n^2."),
        ("n*d**2 cannot be told from zero", "n*d**2 cannot be told from zero."),
        ("n, d are wide", "n, d are wide."),
        ("a lower bound: no formula", "A lower bound: no formula."),
        ("done.", "Done."),
        ("exact", "Exact."),
        ("k", "k."),
        ("", ""),
    ],
)
def test_a_reason_becomes_a_sentence_and_a_formula_stays_as_it_is(reason: str, sentence: str) -> None:
    assert words.sentence(reason) == sentence


@pytest.mark.parametrize(
    ("iso", "text"),
    [
        ("2025-11-04T09:41:07+00:00", "4 November 2025, 09:41 UTC"),
        ("2025-11-04T09:41:07+02:00", "4 November 2025, 07:41 UTC"),
        ("2025-11-04T09:41:07", "4 November 2025, 09:41 UTC"),
        (HOSTILE, HOSTILE),
    ],
)
def test_a_moment_is_written_out_in_utc(iso: str, text: str) -> None:
    assert words.moment(iso) == text


def test_a_tally_counts_claims_and_leaves_laws_without_one_out() -> None:
    verdicts = [Verdict.REFUTED, Verdict.CONFIRMED, Verdict.CONFIRMED, Verdict.OUT_OF_REGIME]
    claimed = [time_law("layer", verdict, "", claim="n") for verdict in verdicts]
    unclaimed = [time_law("layer", verdict, "") for verdict in (Verdict.INFERRED, Verdict.INCONCLUSIVE)]
    counts = words.tally([*unclaimed, *claimed])

    assert counts == {Verdict.CONFIRMED: 2, Verdict.REFUTED: 1, Verdict.OUT_OF_REGIME: 1}
    assert words.tally_text(counts) == "2 of 4 claims confirmed, 1 refuted, 1 out of regime"
    assert words.tally_text({Verdict.REFUTED: 1}) == "0 of 1 claim confirmed, 1 refuted"


def test_every_verdict_has_a_word_and_a_sign() -> None:
    assert set(words.VERDICT_WORDS) == set(words.VERDICT_SIGNS) == {*Verdict, None}
    assert len(set(words.VERDICT_SIGNS.values())) == len(words.VERDICT_SIGNS)


def test_conditions_threads_and_windows_are_phrases() -> None:
    assert str(Choices(threads=4)) == "cpu · float32 · forward · 4 threads"
    assert [words.threads(()), words.threads([1]), words.threads([4, 1])] == ["", "1 thread", "1 and 4 threads"]
    assert words.window({"n": (64, 512), "d": (8, 8)}) == "n from 64 to 512, d = 8"
    assert [words.axis_phrase("n"), words.axis_phrase("rank")] == ["sequence length n", "rank"]
    assert [words.pretty("n**2*d"), words.pretty(HOSTILE)] == ["n²d", HOSTILE]
