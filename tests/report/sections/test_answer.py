"""The head of the page: what was found, and where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.law import Verdict
from attnbench.report.sections.answer import answer, counted_answer
from attnbench.trial import Choices, Subject
from tests.report.fake_run import attention, time_law, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext


class TestTheAnswer:
    def test_counts_the_verdicts_and_says_where(self, context: PageContext) -> None:
        assert context.answer == (
            "2 of 5 claims confirmed, 1 refuted, 1 inconclusive, 1 out of regime on AMD EPYC 7B13, 1 thread, float32."
        )
        assert context.counted_answer == "8 of 10 counted claims hold."

    def test_is_short_when_all_is_well(self, tmp_path: Path) -> None:
        run = write_fake_run(tmp_path / "run", (attention(),))

        assert answer(run) == "1 of 1 claim confirmed on AMD EPYC 7B13, 1 thread, float32."
        assert counted_answer(run) == "All 2 counted claims hold."

    def test_names_the_device_where_it_is_not_the_processor(self, tmp_path: Path) -> None:
        law = replace(
            attention().law or time_law("", Verdict.INFERRED, ""),
            subject=Subject("attention-core", Choices("cuda:0", "bfloat16", "train", 4)),
        )
        run = write_fake_run(tmp_path / "run", (replace(attention(), law=law),))

        assert answer(run) == "1 of 1 claim confirmed on cuda:0, 4 threads, bfloat16, train."

    def test_with_inferred_laws_only_says_so(self, tmp_path: Path) -> None:
        law = time_law("attention-core", Verdict.INFERRED, "no claim")
        run = write_fake_run(tmp_path / "run", (replace(attention(), law=law, counted_laws=()),))

        assert answer(run) == "Laws of time were inferred; none was claimed."
        assert counted_answer(run) == ""
