"""The table of verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.report.sections.verdicts import verdicts
from attnbench.trial import Choices, Subject
from tests.report.fake_run import HOSTILE, rnn, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext


class TestTheVerdicts:
    def test_come_first_with_law_exponents_and_reason(self, context: PageContext) -> None:
        row = context.verdicts[1]
        d = row.exponents[1]

        assert (row.layer, row.chip.word, row.anchor) == ("rnn", "Refuted", "layer-2")
        assert (d.axis, d.value, d.interval, d.claimed) == ("d", "1.76", "[1.71, 1.81]", "2")
        assert row.reason == (
            "Time grows as n^1.00±0.02, d^1.76±0.05: the whole interval lies beyond 0.1 around d^2.00."
        )

    def test_show_every_measured_law_and_every_count_that_does_not_hold(self, context: PageContext) -> None:
        words = [(row.layer, row.metric, row.chip.word) for row in context.verdicts]

        assert words == [
            ("attention-core", "time", "Confirmed"),
            ("rnn", "time", "Refuted"),
            ("conv1d", "time", "Inconclusive"),
            ("multi-head-attention", "time", "Confirmed"),
            ("windowed-attention", "time", "Out of regime"),
            (HOSTILE, "time", "Inferred"),
            ("conv1d", "FLOPs", "Inconclusive"),
            ("conv1d", "parameters", "Refuted"),
        ]

    def test_of_several_terms_show_what_each_carries(self, context: PageContext) -> None:
        row = context.verdicts[3]

        assert row.exponents == ()
        assert [share.value for share in row.shares] == ["92.6 %", "91.1 %"]

    def test_tell_conditions_apart_when_a_layer_has_several(self, tmp_path: Path) -> None:
        law = rnn().law
        assert law is not None
        second = replace(
            rnn(),
            choices=replace(rnn().choices, mode="train"),
            law=replace(law, subject=Subject(law.layer, Choices(mode="train"))),
        )
        run = write_fake_run(tmp_path / "run", (rnn(), second))

        assert [row.conditions for row in verdicts(run, dict.fromkeys(run.places, "anchor"))] == [
            "cpu · float32 · forward · 1 thread",
            "cpu · float32 · train · 1 thread",
        ]
