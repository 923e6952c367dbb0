"""What a person sees: tables of laws and plans, and a run as it happens, on a terminal and in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from attnbench.execute.rounds import Progress
from attnbench.law import Estimate, Exponent, FittedTerm, Law, Verdict
from attnbench.plan.plan import Plan
from attnbench.spec import load_suite
from attnbench.terminal import RunView, console, exponents_text, laws_table, plan_table
from attnbench.trial import Choices, Subject, Trial
from tests.plan.machine import Machine, subject

if TYPE_CHECKING:
    from attnbench.terminal import Listing

TRIAL = Trial(Subject("rnn"), {"b": 1, "n": 64, "d": 32})
POWER = Law(
    Subject("rnn"),
    "time",
    Verdict.CONFIRMED,
    "every interval lies within 0.1 of the claim",
    claim="n*d**2",
    exponents={"n": Exponent(Estimate(1.004, 0.98, 1.04), 1.0), "d": Exponent(Estimate(1.96, 1.9, 2.0), 2.0)},
)
TERMS = Law(
    Subject("multi-head-attention"),
    "time",
    Verdict.REFUTED,
    "the terms leave n^0.30±0.02",
    claim="n*d**2 + n**2*d",
    terms=(
        FittedTerm("n*d**2", Estimate(8.89e-11, 8e-11, 9e-11), 0.926),
        FittedTerm("n**2*d", Estimate(5.7e-11, 5e-11, 6e-11), 0.5),
    ),
)
COUNTED = Law(
    Subject("mine"), "flops", Verdict.INCONCLUSIVE, "no formula for fft", formula="4*b*n*d**2", uncounted=("fft",)
)


def rows(table: Listing, width: int = 200) -> list[list[str]]:
    """Cells of a table, as they would be printed."""
    page = Console(file=io.StringIO(), width=width)
    page.print(table)
    text = page.file.getvalue()  # type: ignore[attr-defined]
    return [line.split("  ") for line in text.splitlines()]


def cells(table: Listing, width: int = 200) -> list[list[str]]:
    return [[cell.strip() for cell in row if cell.strip()] for row in rows(table, width)]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal whose every character is kept."""
    kept = io.StringIO()

    def on_screen(**_: Any) -> Console:
        return Console(file=kept, force_terminal=True, width=100, highlight=False, legacy_windows=False)

    monkeypatch.setattr("attnbench.terminal.run_view.console", on_screen)
    return kept


# --------------------------------------------------------------------------------------------------------------- tables


def test_exponents_come_with_their_intervals() -> None:
    assert exponents_text(POWER) == "n^1.00±0.03 d^1.96±0.05"


def test_a_law_of_several_terms_shows_what_each_carries() -> None:
    assert exponents_text(TERMS) == "8.89e-11·n*d**2 (≤92.6 %) + 5.7e-11·n**2*d (≤50.0 %)"


def test_a_counted_law_is_its_formula_and_no_law_is_nothing() -> None:
    assert exponents_text(COUNTED) == "4bnd²"
    assert exponents_text(Law(Subject("mine"), "flops", Verdict.INCONCLUSIVE, "none")) == ""


def test_each_law_is_a_row_with_its_verdict_and_its_reason() -> None:
    header, *body = cells(laws_table([POWER, COUNTED]))

    assert header == ["layer", "metric", "claim", "found", "verdict", "reason"]
    assert body == [
        ["rnn", "time", "nd²", "n^1.00±0.03 d^1.96±0.05", "CONFIRMED", POWER.reason],
        ["mine", "flops", "–", "4bnd² (lower bound)", "INCONCLUSIVE", "no formula for fft"],
    ]


def test_laws_of_one_layer_say_what_tells_them_apart() -> None:
    _, *body = cells(laws_table([POWER, replace(POWER, subject=Subject("rnn", Choices(mode="train"))), COUNTED]))

    assert [row[0] for row in body] == ["rnn · forward", "rnn · train", "mine"]


def test_reasons_can_be_left_out() -> None:
    header, row = cells(laws_table([POWER], reasons=False))

    assert (header[-1], row[-1]) == ("verdict", "CONFIRMED")


def test_names_that_look_like_markup_are_printed_as_they_are() -> None:
    _, row = cells(laws_table([Law(Subject("[bold]x[/bold]"), "flops", Verdict.INFERRED, "[red]because")]))

    assert (row[0], row[-1]) == ("[bold]x[/bold]", "[red]because")


def test_a_plan_shows_each_trial_with_its_clock_and_why_it_is_skipped() -> None:
    decided = Machine(subject("conv1d", n=(64,), d=(32,), k=(3, 4))).plan()
    plan = Plan(
        load_suite("smoke"),
        tuple(planned.trial for planned in decided.trials),
        {planned.trial.id: planned.visit_seconds for planned in decided.trials},
        decided.skipped,
    )

    header, planned, skipped = cells(plan_table(plan))

    assert header == ["trial", "visit", "status"]
    assert (planned[0], planned[-1]) == ("conv1d-cpu-float32-forward-t1-b1-n64-d32-k3", "planned")
    assert skipped[0] == "conv1d-cpu-float32-forward-t1-b1-n64-d32-k4"
    assert skipped[-1] == "skipped: the layer needs k % 2 == 1, which b=1, n=64, d=32, k=4 does not satisfy"


def test_tables_in_a_pipe_are_as_wide_as_anywhere() -> None:
    assert console().width == console(stderr=True).width == 140


# ---------------------------------------------------------------------------------------------------------------- a run


def test_in_a_pipe_a_run_is_one_line_for_each_stage_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView(budget_seconds=60) as view:
        view.stage("measuring")
        view.probing(TRIAL)
        view.visiting(Progress(0, 0, 9, TRIAL, 1.0))
        view.laws([POWER])
        view.stage("fitting")

    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(" s  ")[2] for line in said.err.splitlines()] == ["measuring", "fitting"]


def test_on_a_terminal_a_run_shows_where_it_stands_and_the_laws_so_far(screen: io.StringIO) -> None:
    with RunView(budget_seconds=60) as view:
        view.stage("measuring")
        view.probing(TRIAL)
        view.laws([POWER, COUNTED])
        view.visiting(Progress(round=1, done=3, total=9, trial=TRIAL, spent_seconds=12.4))

    shown = screen.getvalue()
    assert "probing rnn-cpu-float32-forward-t1-b1-n64-d32" in shown
    assert "round 2, 4 of 9 · at most 48 s of clock left · rnn-cpu-float32-forward-t1-b1-n64-d32" in shown
    assert "n^1.00±0.03 d^1.96±0.05" in shown
    assert "4bnd²" not in shown


def test_what_is_left_is_told_in_clock_and_in_waiting(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("attnbench.terminal.run_view.time.monotonic", lambda: now[0])
    with RunView(budget_seconds=60) as view:
        view.stage("counting on fake tensors")
        view.counting("rnn", 0, 8)
        now[0] += 6
        view.counting("lstm", 3, 8)
        view.stage("measuring")
        view.visiting(Progress(0, 0, 9, TRIAL, spent_seconds=10.0))
        now[0] += 8
        view.visiting(Progress(0, 4, 9, TRIAL, spent_seconds=14.0))

    shown = screen.getvalue()
    assert "counting rnn · 1 of 8, then at most 60 s of clock" in shown
    assert "counting lstm · 4 of 8, about 10 s, then at most 60 s of clock" in shown
    assert "round 1, 1 of 9 · at most 50 s of clock left · rnn" in shown
    # 4 s of clock took 8 s, so the 46 s that are left take twice as long.
    assert "round 1, 5 of 9 · at most 46 s of clock left, about 92 s to wait · rnn" in shown


def test_calls_for_memory_tell_by_their_number(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("attnbench.terminal.run_view.time.monotonic", lambda: now[0])
    with RunView(budget_seconds=60) as view:
        view.stage("measuring memory, each call in a process of its own")
        now[0] += 30
        view.visiting(Progress(0, 10, 50, TRIAL, spent_seconds=0.0))

    assert "round 1, 11 of 50 · at most 60 s of clock left, about 2 min to wait · rnn" in screen.getvalue()


def test_a_budget_that_is_overspent_is_no_negative_time(screen: io.StringIO) -> None:
    with RunView(budget_seconds=5) as view:
        view.visiting(Progress(0, 0, 1, TRIAL, spent_seconds=9.0))

    assert "at most 0 s of clock left" in screen.getvalue()
