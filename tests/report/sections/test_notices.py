"""What a reader is warned of: each trouble is a notice with figures, and a quiet machine gives none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attnbench import units
from attnbench.record import Conditions
from attnbench.report.page import build_context, render
from attnbench.report.sections.layer import detail
from attnbench.report.sections.notices import few_references, notices
from attnbench.store.run_folder import StoredRun
from tests.report.fake_run import HOST, HOSTILE, attention, rnn, write_fake_run
from tests.report.reading import section
from tests.two_runs import write

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext


QUIET = Conditions(load=0.3, steal=0.01, frequency_mhz=3000.0, sm_clock_mhz=1900.0, temperature_c=60.0)
TITLES = ("A throttled GPU", "Stolen time", "A clock that moved")


class TestNotices:
    def test_name_every_trouble(self, context: PageContext) -> None:
        assert [notice.title for notice in context.notices] == [
            "Failed trials",
            "Skipped trials",
            "Lower bounds",
            "Drift of the machine",
            "Outliers",
        ]

    def test_give_each_failure_its_reason(self, context: PageContext) -> None:
        failed, skipped, bounds, *_ = context.notices

        assert [text for _, text in failed.lines] == [
            f"error: RuntimeError: {HOSTILE}",
            "oom: needed 9.1 GiB, 8.0 GiB were free",
        ]
        assert len(skipped.lines) == 2
        assert bounds.lines == (("conv1d", "aten::hann_window"),)

    def test_name_the_rounds_that_drifted(self, run: StoredRun, context: PageContext) -> None:
        references = np.array([visit.reference_seconds for visit in run.visits])
        median = float(np.median(references))
        [drift] = [notice for notice in context.notices if notice.title == "Drift of the machine"]

        assert {v.round for v in run.visits if (v.reference_seconds or 0) > 1.15 * median} == {1}
        ratio = units.significant(round(float(references.max()) / median, 2))
        assert drift.lines == (
            ("round 1 on cpu", f"reference kernel up to {ratio} times its median of {units.seconds(median)}"),
        )

    def test_count_labelled_outliers(self, run: StoredRun, context: PageContext) -> None:
        shares = run.samples["outlier"].value_counts(normalize=True)
        [outliers] = [notice for notice in context.notices if notice.title == "Outliers"]

        assert f"{units.percent(shares['mild'])} mild and {units.percent(shares['severe'])} severe" in outliers.text

    def test_a_switch_of_kernels_is_one_and_the_section_says_what_ran(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for limit in ("LARGE", "_ALL", "_SOME"):  # no figures: only the words are of interest
            monkeypatch.setattr(detail, limit, 0)
        switch = "the kernels change at d = 1024 (a → b): sizes below are judged, and 4 trials are left out"
        law = replace(rnn().law, regimes=("values jump by a factor of 2", switch))  # type: ignore[type-var]
        run = write_fake_run(tmp_path / "run", (replace(rnn(), law=law), attention()))
        wide = {trial.id for trial in run.info.plan.trials if trial.sizes["d"] == 1024}
        kernels = {True: ("aten::mm", "onednn::rnn/ref"), False: ("aten::mm", "aten::tanh")}
        visits = tuple(replace(visit, kernels=kernels[visit.trial in wide]) for visit in run.visits)

        page = build_context(StoredRun(run.path, run.info, visits, run.found_laws))

        [notice] = [notice for notice in page.notices if notice.title == "Kernels changed"]
        assert notice.lines == (("rnn (cpu · float32 · forward · 1 thread)", f"{switch.capitalize()[0]}{switch[1:]}."),)
        assert section(page, "rnn").kernels == ("mm, tanh (8 trials)", "mm, onednn::rnn/ref (4 trials)")
        assert section(page, "attention-core").kernels == ("mm, tanh",)
        assert "mm, tanh (8 trials)<br>mm, onednn::rnn/ref (4 trials)" in render(page)

    def test_a_busy_machine_is_one(self, tmp_path: Path) -> None:
        run = write_fake_run(tmp_path / "run", (attention(),), host=replace(HOST, load=(9.5, 1.0, 1.0)))

        assert "9.50 on 16 cores" in notices(run)[-1].text


@pytest.mark.parametrize(
    ("troubled", "title", "text", "lines"),
    [
        (QUIET, None, "", ()),
        (None, None, "", ()),
        (
            replace(QUIET, throttle=("power limit", "heat, by the driver"), temperature_c=91.0),
            "A throttled GPU",
            (
                "Something held the GPU’s clock down in 27 of 54 visits, whose times are longer for it. "
                "It was at most 91.0 °C hot."
            ),
            (("power limit", "27 visits"), ("heat, by the driver", "27 visits")),
        ),
        (
            replace(QUIET, steal=0.25),
            "Stolen time",
            (
                "In 27 of 54 visits, other virtual machines took more than 5.0 % of the processors’ time, at most "
                "25.0 %. Laws rest on the faster visits of a trial."
            ),
            (),
        ),
        (
            replace(QUIET, frequency_mhz=2000.0),
            "A clock that moved",
            "A frequency was not the same in all visits, and what is timed follows it.",
            (("the processor’s cores", "2000 to 3000 MHz in nine of ten visits"),),
        ),
        (
            replace(QUIET, sm_clock_mhz=1200.0),
            "A clock that moved",
            "A frequency was not the same in all visits, and what is timed follows it.",
            (("the GPU’s clock", "1200 to 1900 MHz in nine of ten visits"),),
        ),
    ],
    ids=["quiet", "not told", "throttled", "stolen", "processor", "gpu"],
)
def test_what_troubled_half_of_the_visits_is_said(
    troubled: Conditions | None, title: str | None, text: str, lines: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    run = write(tmp_path / "run")
    under = [troubled if number % 2 else QUIET for number in range(len(run.visits))]
    visits = tuple(replace(visit, conditions=one) for visit, one in zip(run.visits, under, strict=True))

    found = [one for one in notices(StoredRun(run.path, run.info, visits, ())) if one.title in TITLES]

    assert [(one.title, one.text, one.lines) for one in found] == ([(title, text, lines)] if title else [])


def test_late_references_are_never_lost_among_many_others() -> None:
    ratios = [1.0] * 5000
    ratios[1234] = ratios[4321] = 1.9
    shown = few_references(pd.DataFrame({"started": range(5000), "ratio": ratios}))

    assert len(shown) == 502
    assert list(shown.loc[shown["ratio"] > 1.15, "started"]) == [1234, 4321]
    assert shown["started"].is_monotonic_increasing
