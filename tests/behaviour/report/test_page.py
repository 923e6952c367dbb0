"""The page: its text against strangers, its markup against the standards."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from attnbench import units
from attnbench.report.page import build_context, render, script, style, write_index, write_report
from attnbench.store.overview import overview
from attnbench.store.run_folder import StoredRun
from tests.report.fake_run import HOSTILE, attention, write_fake_run
from tests.report.hostile_run import write_hostile_run
from tests.report.reading import Element, prose, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from attnbench.report.context import PageContext


def xml_islands(page: str) -> list[ET.Element]:
    """Every figure and formula of a page, parsed as XML."""
    islands = re.findall(r"<svg .*?</svg>|<math .*?</math>", page, flags=re.DOTALL)
    return [ET.fromstring(island) for island in islands]  # noqa: S314 - rendered a moment ago


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """One layer, quick to draw."""
    return write_fake_run(tmp_path_factory.mktemp("small") / "run", (attention(),))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page on which everything that a stranger can name is hostile."""
    return render(build_context(write_hostile_run(tmp_path_factory.mktemp("hostile") / "run")))


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
