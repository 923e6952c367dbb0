"""The page: its facts against plain pandas, its text against strangers, its markup against the standards."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from markupsafe import Markup

from attnbench import units
from attnbench.errors import RunError
from attnbench.law import Verdict
from attnbench.report.page import build_context, render, script, style, write_index, write_report
from attnbench.store.overview import overview
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Choices, Subject
from tests.report.fake_run import HOST, HOSTILE, attention, rnn, time_law, write_fake_run
from tests.report.hostile_run import write_hostile_run
from tests.report.reading import Element, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.report.context import PageContext, Section


def section(context: PageContext, layer: str) -> Section:
    [found] = [found for found in context.sections if found.layer == layer]
    return found


def xml_islands(page: str) -> list[ET.Element]:
    """Every figure and formula of a page, parsed as XML."""
    islands = re.findall(r"<svg .*?</svg>|<math .*?</math>", page, flags=re.DOTALL)
    return [ET.fromstring(island) for island in islands]  # noqa: S314 - rendered a moment ago


def prose(page: str) -> str:
    """The page's text without figures, formulas and style."""
    return re.sub(r"<(svg|math|style|script)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)


class TestTheAnswer:
    def test_counts_the_verdicts_and_says_where(self, context: PageContext) -> None:
        assert context.answer == (
            "2 of 5 claims confirmed, 1 refuted, 1 inconclusive, 1 out of regime on AMD EPYC 7B13, 1 thread, float32."
        )
        assert context.counted_answer == "8 of 10 counted claims hold."

    def test_is_short_when_all_is_well(self, tmp_path: Path) -> None:
        context = build_context(write_fake_run(tmp_path / "run", (attention(),)))

        assert context.answer == "1 of 1 claim confirmed on AMD EPYC 7B13, 1 thread, float32."
        assert context.counted_answer == "All 2 counted claims hold."

    def test_names_the_device_where_it_is_not_the_processor(self, tmp_path: Path) -> None:
        law = replace(
            attention().law or time_law("", Verdict.INFERRED, ""),
            subject=Subject("attention-core", Choices("cuda:0", "bfloat16", "train", 4)),
        )
        context = build_context(write_fake_run(tmp_path / "run", (replace(attention(), law=law),)))

        assert context.answer == "1 of 1 claim confirmed on cuda:0, 4 threads, bfloat16, train."


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
        assert [share.share for share in row.shares] == ["92.6 %", "91.1 %"]

    def test_tell_conditions_apart_when_a_layer_has_several(self, tmp_path: Path) -> None:
        law = rnn().law
        assert law is not None
        second = replace(
            rnn(),
            choices=replace(rnn().choices, mode="train"),
            law=replace(law, subject=Subject(law.layer, Choices(mode="train"))),
        )
        context = build_context(write_fake_run(tmp_path / "run", (rnn(), second)))

        assert [row.conditions for row in context.verdicts] == [
            "cpu · float32 · forward · 1 thread",
            "cpu · float32 · train · 1 thread",
        ]


class TestTheTables:
    def test_of_trials_show_the_numbers_of_the_records(self, run: StoredRun, context: PageContext) -> None:
        records = run.records.set_index("trial")
        [row] = [row for row in context.trials if row.trial == "rnn-cpu-float32-forward-t1-b32-n128-d512"]
        record = records.loc[row.trial]
        blocks = np.concatenate([v.block_seconds for v in run.visits if v.trial == row.trial])
        fastest = [min(v.block_seconds) for v in run.visits if v.trial == row.trial]

        assert (row.sizes, row.status, row.samples) == ("b=32, n=128, d=512", "ok", "15")
        located = float(np.exp(np.median(np.log(fastest))))
        assert row.seconds == units.seconds(located)
        assert row.median == units.seconds(float(np.median(blocks)))
        assert row.interval == f"[{units.seconds(record['seconds_low'])}, {units.seconds(record['seconds_high'])}]"
        assert row.flops == units.flops(4 * 32 * 128 * 512**2)
        assert row.rate == units.flops_per_second(4 * 32 * 128 * 512**2 / located)
        assert row.peak_bytes == units.nbytes(4 * 128 * 512)

    def test_of_trials_leave_nothing_out(self, run: StoredRun, context: PageContext) -> None:
        assert [row.trial for row in context.trials] == [trial.id for trial in run.info.plan.trials]
        assert context.trials_summary == "79 trials: 75 ok, 1 oom, 1 error, 2 skipped"

    def test_of_trials_mark_lower_bounds_and_missing_times(self, context: PageContext) -> None:
        last = [row for row in context.trials if row.trial.startswith("conv1d")][-1]

        assert last.flops.startswith("≥ ")
        assert (last.status, last.seconds, last.median, last.interval, last.rate) == ("oom", "—", "—", "—", "—")

    def test_of_counts_show_formulas_as_mathml_with_their_evidence(self, context: PageContext) -> None:
        [found] = [layer for layer in context.counted if layer.layer == "conv1d"]
        flops, parameters, _ = found.rows

        assert (found.scope, flops.lower_bound, parameters.lower_bound) == ("layer", True, False)
        assert "<mi>k</mi>" in parameters.formula
        assert parameters.chip.word == "Refuted"
        assert parameters.reason == "Exact at 12 points it was not read from, the largest n = 131, d = 67."

    def test_of_terms_show_coefficients_as_times_with_intervals(self, context: PageContext) -> None:
        first, _ = section(context, "multi-head-attention").terms
        value = 8 / 9e10

        assert first.coefficient == units.seconds(value)
        assert first.interval == f"[{units.seconds(0.97 * value)}, {units.seconds(1.03 * value)}]"
        assert first.share == "92.6 %"

    def test_of_specifications_give_each_way_to_fit(self, context: PageContext) -> None:
        found = section(context, "rnn")

        assert found.specification_axes == ("n", "d")
        assert found.specification_rows[0].exponents == ("0.98", "1.72")
        assert found.specification_summary == "6 ways to fit"


class TestASection:
    def test_says_its_window_and_why(self, context: PageContext) -> None:
        found = section(context, "attention-core")

        assert found.window == "n from 256 to 2048, d from 64 to 512"
        assert found.window_reason.startswith("The counted formula is 4bn²d alone")
        assert found.evidence == "16 trials timed; the law rests on 16"
        assert found.level == "90 %"

    def test_shows_one_figure_for_each_axis_that_varies(self, context: PageContext) -> None:
        shown = {found.layer: (len(found.time.pictures), len(found.local.pictures)) for found in context.sections}

        assert shown["conv1d"] == (3, 3)
        assert shown["attention-core"] == (2, 2)

    def test_describes_its_figures_in_numbers(self, run: StoredRun, context: PageContext) -> None:
        found = section(context, "windowed-attention")
        records = run.records[run.records["layer"] == "windowed-attention"]
        low, high = (units.seconds(float(records["seconds"].agg(which))) for which in ("min", "max"))

        assert f"Time goes from {low} at n=512 to {high} at n=2048." in found.time.pictures[0]
        assert "The claim grows as n to the power 1." in found.time.pictures[0]
        assert "Fitted: 0.57 [0.36, 0.78]. Claimed: 1." in found.local.pictures[0]


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

    def test_a_switch_of_kernels_is_one_and_the_section_says_what_ran(self, tmp_path: Path) -> None:
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

        assert "9.50 on 16 cores" in build_context(run).notices[-1].text


class TestTheEnvironment:
    def test_and_the_command_are_there(self, context: PageContext) -> None:
        facts = {fact.name: fact.value for fact in context.environment}

        assert context.command == "attnbench run --suite scaling --budget 60s --seed 7"
        assert facts["Processor"] == "AMD EPYC 7B13, 16 cores"
        assert facts["Caches"] == "L1d 32 KiB, L2 512 KiB, L3 32 MiB"
        assert facts["Memory"] == "64 GiB"
        assert facts["Load at the start"] == "0.31, 0.4, 0.38"
        assert facts["Reading the clock"] == "46.0 ns"
        assert (facts["Threads"], facts["PyTorch"], facts["Seed"]) == ("1 thread", "2.15.0", "7")
        assert "Plugins" not in facts
        assert not {"Turbo", "Frequency governor", "Accelerators", "Container’s limits"} & set(facts)

    def test_says_what_the_machine_told_of_its_cores_and_limits(self, tmp_path: Path) -> None:
        host = replace(
            HOST,
            logical_cores=16,
            physical_cores=8,
            frequency_mhz=2450.4,
            governor="powersave",
            turbo=False,
            steal=0.0123,
            cpu_limit=1.5,
            memory_limit_bytes=2 * 1024**3,
            thread_settings={"torch": "8", "OMP_NUM_THREADS": "2"},
            accelerators=("NVIDIA T4, 15 GiB, driver 550.54.15",),
        )
        run = write_fake_run(tmp_path / "run", (attention(),), host=host)

        facts = {fact.name: fact.value for fact in build_context(run).environment}

        assert facts["Cores of the machine"] == "16 logical, 8 physical"
        assert facts["Frequency at the start"] == "2450 MHz"
        assert (facts["Frequency governor"], facts["Turbo"]) == ("powersave", "off")
        assert facts["Stolen by other machines"] == "1.2 % of the time since boot"
        assert facts["Container’s limits"] == "1.50 cores, 2 GiB"
        assert facts["Thread settings"] == "torch 8, OMP_NUM_THREADS 2"
        assert facts["Accelerators"] == "NVIDIA T4, 15 GiB, driver 550.54.15"


class TestStrangers:
    def test_can_put_nothing_but_text_on_the_page(self, hostile_page: str) -> None:
        elements = read(hostile_page)
        tags = {element.tag for element in elements}
        names = {name for element in elements for name in element.attributes}

        assert tags & {"iframe", "object", "embed", "form", "base", "img"} == set()
        assert [element.pieces for element in elements if element.tag == "script"] == [[str(script())]]
        assert [name for name in names if name.startswith("on")] == []

    def test_are_quoted_as_they_are(self, hostile_page: str) -> None:
        elements = read(hostile_page)
        shown = [element.tag for element in elements if HOSTILE in element.text]

        assert {"h1", "h3", "th", "title", "desc", "text", "dd", "code"} <= set(shown)
        assert hostile_page.count("alert(1)") == hostile_page.count(escape("<script>alert(1)"))

    def test_cannot_leave_the_folder(self, tmp_path: Path) -> None:
        run = write_fake_run(tmp_path / "run", (attention(),), name=f"../../{HOSTILE}/..")
        reports = tmp_path / "reports"
        written = write_report(run, reports)
        write_index(reports, [overview(run.path)])
        [link] = [
            e
            for e in read((reports / "index.html").read_text(encoding="utf-8"))
            if e.tag == "a" and e.text != "Skip to the content"
        ]

        assert sorted(path.name for path in reports.iterdir()) == sorted([written.name, "index.html"])
        assert (reports / link.attributes["href"]).samefile(written)

    def test_may_colour_their_terminal_but_not_the_page(self, page: str) -> None:
        assert "·[31mred·[0m $x$" in prose(page)
        assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page) == []


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """One layer, quick to draw."""
    return write_fake_run(tmp_path_factory.mktemp("small") / "run", (attention(),))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page on which everything that a stranger can name is hostile."""
    return render(build_context(write_hostile_run(tmp_path_factory.mktemp("hostile") / "run")))


class TestThePage:
    def test_is_well_formed(self, page: str) -> None:
        islands = xml_islands(page)
        kinds = {island.tag.rpartition("}")[2] for island in islands}

        assert read(page)
        assert kinds == {"svg", "math"}
        assert len(islands) == page.count("<svg ") + page.count("<math ")

    def test_has_ids_that_are_unique_and_links_that_lead_somewhere(self, page: str) -> None:
        elements = read(page)
        ids = [element.attributes["id"] for element in elements if "id" in element.attributes]
        wanted = [name for element in elements for name in element.attributes.get("aria-labelledby", "").split()]
        links = [e.attributes["href"] for e in elements if e.tag == "a"]

        assert len(ids) == len(set(ids))
        assert {link[1:] for link in links} | set(wanted) <= set(ids)
        assert all(link.startswith("#") for link in links)

    def test_asks_the_network_for_nothing(self, page: str) -> None:
        elements = read(page)
        sources = {
            name for e in elements for name in e.attributes if name in ("src", "srcset", "data", "action", "poster")
        }

        assert re.sub(r'xmlns="http://www\.w3\.org/[^"]*"', "", page).count("://") == 0
        assert re.findall(r"url\((?!#)", page) == []
        assert sources == set()
        assert [e.attributes["href"] for e in elements if e.tag == "link"] == ["data:,"]

    def test_forbids_what_it_does_not_need(self, page: str) -> None:
        [policy] = [
            e.attributes["content"] for e in read(page) if e.attributes.get("http-equiv") == "Content-Security-Policy"
        ]

        [ours] = re.findall("<script>(.*?)</script>", page, flags=re.DOTALL)
        digest = b64encode(sha256(ours.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )

    def test_speaks_of_both_schemes_and_of_the_width_of_the_screen(self, page: str) -> None:
        elements = read(page)
        metas = {e.attributes.get("name"): e.attributes.get("content") for e in elements if e.tag == "meta"}

        assert elements[0].attributes["lang"] == "en"
        assert metas["viewport"] == "width=device-width, initial-scale=1"
        assert metas["color-scheme"] == "light dark"

    def test_has_headings_in_order(self, page: str) -> None:
        levels = [int(element.tag[1]) for element in read(page) if re.fullmatch(r"h[1-6]", element.tag)]

        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))

    def test_puts_the_verdicts_before_everything_else(self, page: str) -> None:
        headings = [element.text for element in read(page) if element.tag == "h2"]

        assert headings == [
            "Verdicts",
            "All exponents at a glance",
            "Who wins where",
            "What was counted",
            "Layer by layer",
            "Before believing a number",
            "Every trial",
            "Environment, and how to repeat this",
            "How to read this page",
        ]

    def test_words_every_verdict_that_it_colours(self, page: str) -> None:
        chips = [element for element in read(page) if element.attributes.get("class", "").startswith("chip ")]

        assert len(chips) > 20
        assert {tuple(chip.text.split(" ", 1)[1:]) for chip in chips} == {
            ("Confirmed",),
            ("Refuted",),
            ("Inconclusive",),
            ("Out of regime",),
            ("Inferred",),
        }

    def test_gives_every_figure_a_name_and_a_description(self, page: str) -> None:
        figures = [island for island in xml_islands(page) if island.tag.endswith("}svg")]

        for figure in figures:
            names = [figure.findtext(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc")]
            assert figure.get("role") == "img"
            assert all(names)
        titles = [figure[0].text for figure in figures]
        assert len(set(titles)) == len(titles)

    def test_lets_the_keyboard_reach_what_scrolls(self, page: str) -> None:
        scrolling = [e for e in read(page) if e.attributes.get("class") in ("scroll", "cases") or e.tag == "pre"]

        assert len(scrolling) > 10
        for element in scrolling:
            assert element.attributes["tabindex"] == "0"
            assert element.attributes["role"] == "region"
            assert element.attributes["aria-label"]

    def test_writes_no_number_that_was_not_formatted(self, page: str) -> None:
        assert re.findall(r"[1-9]\.\d{3,}|\d\.\d{6,}|\d[eE][+-]?\d|\bnan\b|\binf\b|None", prose(page)) == []

    def test_takes_its_numbers_from_the_one_formatter(
        self, small_run: StoredRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("seconds", "flops", "flops_per_second", "nbytes", "percent"):
            monkeypatch.setattr(units, name, lambda value, name=name: f"‹{name}›")
        context = build_context(small_run)

        for row in context.trials:
            written = (row.seconds, row.median, row.flops.removeprefix("≥ "), row.rate, row.peak_bytes)
            formatters = ("seconds", "seconds", "flops", "flops_per_second", "nbytes")
            assert all(text in ("—", f"‹{name}›") for text, name in zip(written, formatters, strict=True))
        assert context.sections[0].terms[0].share == "‹percent›"

    def test_is_the_same_every_time(self, small_run: StoredRun) -> None:
        assert render(build_context(small_run)) == render(build_context(small_run))

    def test_lists_every_section_it_has(self, page: str) -> None:
        elements = read(page)
        listed = [(e.attributes["href"][1:], e.text) for e in elements if e.tag == "a" and "nav" in e.parents]
        headings = [(e.attributes["id"], e.text) for e in elements if e.tag == "h2"]

        assert listed[: len(headings)] == headings

    def test_stays_under_a_megabyte(self, page: str) -> None:
        assert len(page.encode()) < 1_000_000

    def test_defines_every_colour_it_uses_in_both_schemes_and_on_paper(self, page: str) -> None:
        sheet = style()
        light, dark, paper = re.findall(r":root \{(.*?)\}", sheet, flags=re.DOTALL)
        used = set(re.findall(r"var\(--([a-z0-9-]+)", page)) - {"tone", "serif", "sans", "mono"}

        for scheme in (light, dark, paper):
            assert used <= set(re.findall(r"--([a-z0-9-]+):", scheme))

    def test_shows_on_its_own_the_colours_that_the_style_sheet_gives_it(self, page: str) -> None:
        sheet = style()
        light = dict(
            re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)[0])
        )
        drawn = dict(re.findall(r"var\(--([a-z0-9-]+), (#[0-9a-f]{6})\)", page))

        assert {name: light[name] for name in drawn} == drawn


class TestAnUnfinishedRun:
    def test_without_laws_shows_what_was_timed(self, small_run: StoredRun) -> None:
        found = build_context(StoredRun(small_run.path, small_run.info, small_run.visits, ()))
        page = render(found)

        assert found.answer == "No claim about time has been judged yet."
        assert {part.chip.word for part in found.sections} == {"Not judged"}
        assert all(part.time.pictures for part in found.sections)
        assert "No law has been found in this run yet." in prose(page)
        assert read(page)

    def test_without_visits_shows_the_plan(self, small_run: StoredRun) -> None:
        found = build_context(StoredRun(small_run.path, small_run.info, (), small_run.info.plan.counted_laws))
        page = render(found)

        assert found.trials_summary == "16 trials: 16 skipped"
        assert {part.evidence for part in found.sections} == {"No trial of this layer was timed."}
        assert found.counted_answer == "All 2 counted claims hold."
        assert len(found.verdicts) == 2
        assert read(page)

    def test_without_anything_is_still_a_page(self, tmp_path: Path) -> None:
        found = build_context(write_fake_run(tmp_path / "run", ()))
        page = render(found)

        assert (found.verdicts, found.sections, found.notices, found.trials) == ((), (), (), ())
        assert "The plan of this run is empty." in prose(page)
        assert read(page)

    def test_with_one_size_has_no_slope(self, tmp_path: Path) -> None:
        layer = replace(attention(), grid={"b": (1,), "n": (64,), "d": (32,)}, law=None)
        found = build_context(write_fake_run(tmp_path / "run", (layer,), calibration=()))

        assert found.sections[0].time.pictures == ()
        assert found.sections[0].evidence == "1 trial timed"
        assert read(render(found))

    def test_with_inferred_laws_only_says_so(self, tmp_path: Path) -> None:
        law = time_law("attention-core", Verdict.INFERRED, "no claim")
        context = build_context(write_fake_run(tmp_path / "run", (replace(attention(), law=law, counted_laws=()),)))

        assert context.answer == "Laws of time were inferred; none was claimed."
        assert context.counted_answer == ""


class TestFiles:
    def test_a_report_is_called_after_its_run(self, small_run: StoredRun, tmp_path: Path) -> None:
        written = write_report(small_run, tmp_path / "new" / "reports")

        assert written == tmp_path / "new" / "reports" / "run.html"
        assert written.read_text(encoding="utf-8") == render(build_context(small_run, written.parent))

    def test_leads_to_the_tables_wherever_it_is_put(self, small_run: StoredRun, tmp_path: Path) -> None:
        written = write_report(small_run, tmp_path / "far # away")
        links = [e.attributes.get("href") for e in read(written.read_text(encoding="utf-8")) if e.tag == "a"]
        targets = [written.parent / unquote(link) for link in links if link and link.endswith((".parquet", ".json"))]

        assert {target.resolve() for target in targets} >= {(small_run.path / "run.json").resolve()}
        assert all(target.is_file() for target in targets)

    def test_the_index_lists_runs_in_the_order_given(self, run: StoredRun, tmp_path: Path) -> None:
        other = write_fake_run(tmp_path / "other", (attention(),), suite={"title": HOSTILE}, name="second run")
        text = write_index(tmp_path, [overview(other.path), overview(run.path)]).read_text(encoding="utf-8")
        links = [element for element in read(text) if element.tag == "a"][1:]

        assert [(link.text, link.attributes["href"]) for link in links] == [
            (HOSTILE, "second-run.html"),
            ("Three scaling laws", "scaling-1.html"),
        ]
        assert "2 confirmed" in prose(text)
        cells = [element.text for element in read(text) if element.tag == "td"][6:]
        assert cells == ["scaling", "4 November 2025, 09:41 UTC", "AMD EPYC 7B13", "77 planned, 2 skipped"]

    def test_the_index_of_no_runs_says_so(self, tmp_path: Path) -> None:
        text = write_index(tmp_path, []).read_text(encoding="utf-8")

        assert "No run has been reported yet." in prose(text)

    def test_a_folder_that_cannot_be_written_is_named(self, small_run: StoredRun, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("", encoding="utf-8")
        target = tmp_path / "file" / "run.html"

        with pytest.raises(RunError) as caught:
            write_report(small_run, tmp_path / "file")

        assert str(caught.value) in {
            f"{target} cannot be written: {reason}; choose another place with --reports"
            for reason in ("File exists", "Not a directory")
        }


def test_values_hold_only_text_and_markup(context: PageContext) -> None:
    def leaves(value: Any) -> Iterator[Any]:
        if is_dataclass(value) and not isinstance(value, type):
            for part in fields(value):
                yield from leaves(getattr(value, part.name))
        elif isinstance(value, tuple):
            for item in value:
                yield from leaves(item)
        else:
            yield value

    assert {type(leaf) for leaf in leaves(context)} == {str, bool, Markup}


def test_the_reader_of_these_tests_would_notice_a_hole() -> None:
    [holed] = [e for e in read(f"<p>{HOSTILE}</p>") if e.tag == "script"]

    assert isinstance(holed, Element)
    with pytest.raises(AssertionError):
        read("<p><b></p></b>")
