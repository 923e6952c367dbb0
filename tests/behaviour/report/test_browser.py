"""Reports in a real browser, without a network: what a reader sees, in both schemes, on a telephone and on paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.report.browsing import (
    AXE,
    CONTRASTS,
    CONTROLS,
    FIGURES,
    WIDTHS,
    axe,
    foreign_markup,
    logged,
    program,
    requests,
)
from tests.report.fake_run import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

#: Name → how many figures its page has at least.
REPORTS = {"smoke": 3, "scaling": 30, "table1": 2, "seeds": 40, "fake": 30}
PARTS = "return [...document.querySelectorAll('section, article')].map(e => [e.id, e.checkVisibility()])"


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_asks_for_nothing_and_shows_every_figure_on_a_desk_and_on_a_telephone(
    show: Callable[..., WebDriver], reports: dict[str, Path], name: str
) -> None:
    for width in (1440, 400):
        browser = show(reports[name], width)
        figures = browser.execute_script(FIGURES)
        scrolled, inside, screen = browser.execute_script(WIDTHS)

        assert requests(browser) == {reports[name].as_uri()}
        assert logged(browser, "browser") == []
        assert scrolled <= inside <= width == screen
        assert len(figures) >= REPORTS[name]
        for figure in figures:
            assert figure["visible"], figure["title"]
            assert figure["named"], figure["title"]
            assert figure["title"].strip()
            assert figure["text"].strip(), figure["title"]
            # Maps of path lengths are small multiples, and the scale that they share is a strip.
            small = figure["title"].startswith(("Path length from each position", "Scale of the maps"))
            assert figure["width"] >= (150 if small else 300), figure["title"]
            assert figure["height"] >= (40 if small else 60), figure["title"]
            assert figure["smallest"] >= 8, figure["title"]
            assert figure["beyond"] == 0, figure["title"]


@pytest.mark.parametrize("name", ["fake", "seeds", "table1", "index"])
def test_all_text_stands_out_from_its_paper_in_both_schemes(
    show: Callable[..., WebDriver], reports: dict[str, Path], name: str
) -> None:
    seen = {scheme: show(reports[name], scheme=scheme).execute_script(CONTRASTS) for scheme in ("light", "dark")}

    for contrasts in seen.values():
        assert {"h1.", "td.", "button."} <= set(contrasts)
        assert {found: ratio for found, ratio in contrasts.items() if ratio < 4.5} == {}
    if name == "fake":
        assert {"p.answer", "span.chip refuted", "figcaption."} <= set(seen["light"])
        assert sum(found.startswith("text.") for found in seen["light"]) >= 7


def test_the_dark_scheme_turns_paper_and_figures(show: Callable[..., WebDriver], reports: dict[str, Path]) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser = show(reports["smoke"], scheme=scheme)
        paper = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        seen[scheme] = brightness(paper), browser.execute_script(FIGURES)[0]["fills"]

    assert seen["light"][0] > 0.9
    assert seen["dark"][0] < 0.15
    assert set(seen["light"][1]) & set(seen["dark"][1]) == set()


def brightness(colour: str) -> float:
    """Between 0 (black) and 1 (white)."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


@pytest.mark.parametrize("name", ["scaling", "table1"])
def test_paper_has_every_section_and_no_control(
    show: Callable[..., WebDriver], reports: dict[str, Path], name: str
) -> None:
    browser = show(reports[name], 800, media="print")
    parts = browser.execute_script(PARTS)
    left = browser.execute_script(
        "return [...document.querySelectorAll('.tools, .axes, .tip, .ring')].filter(e => e.checkVisibility()).length"
    )

    assert len(parts) > 4
    assert [part for part, visible in parts if not visible] == []
    assert left == 0


def test_without_script_all_is_there_but_the_controls(browser: WebDriver, reports: dict[str, Path]) -> None:
    told = "return document.querySelector('main').innerText.replace(/\\s+/g, ' ')"
    texts = {}
    for disabled in (False, True):
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": disabled})
        browser.get(reports["fake"].as_uri())
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        count = f"return document.querySelectorAll({CONTROLS!r}).length"
        assert (browser.execute_script(count) == 0) is disabled
        # What is folded counts as well; controls that are only on the page with a script do not.
        browser.execute_script("for (const e of document.querySelectorAll('details')) e.open = true;")
        browser.execute_script("for (const e of document.querySelectorAll('.tools, .axes')) e.remove();")
        texts[disabled] = browser.execute_script(told)

    assert len(texts[True]) > 5000
    assert texts[True] == texts[False]


class TestStrangers:
    """Layer, suite, host, plugin file, run and everything else are called ``<script>alert(1)</script>"'&``."""

    @pytest.mark.parametrize("name", ["hostile", "index"])
    def test_are_shown_as_text_and_run_nothing(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], name: str
    ) -> None:
        from selenium.common.exceptions import NoAlertPresentException

        browser = show(reports[name])
        told = "return [...document.querySelectorAll('h1, h3, th, td, dd, code, svg text')].map(e => e.textContent)"
        texts = [text for text in browser.execute_script(told) if "alert(1)" in text]

        assert sum(HOSTILE in text for text in texts) >= {"hostile": 20, "index": 3}[name]
        assert foreign_markup(browser) == []
        assert logged(browser, "browser") == []
        with pytest.raises(NoAlertPresentException):
            _ = browser.switch_to.alert.text

    def test_could_not_run_a_script_that_did_get_into_the_page(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], tmp_path: Path
    ) -> None:
        page = reports["hostile"].read_text(encoding="utf-8")
        for hole in ("<script>document.title = 'hole'</script>", "<img src='x' onerror=\"document.title = 'hole'\">"):
            holed = tmp_path / "holed.html"
            holed.write_text(page.replace("<main", f"{hole}<main", 1), encoding="utf-8")
            browser = show(holed)

            assert len(foreign_markup(browser)) == 1
            assert browser.title == f"{HOSTILE} · attnbench"
            assert any("Content Security Policy" in entry["message"] for entry in logged(browser, "browser"))
            assert browser.execute_script("return document.querySelectorAll('button').length") > 3


def test_the_index_fits_a_telephone_and_leads_to_each_report(
    show: Callable[..., WebDriver], reports: dict[str, Path]
) -> None:
    browser = show(reports["index"], 400)
    scrolled, inside, _ = browser.execute_script(WIDTHS)
    links = browser.execute_script("return [...document.querySelectorAll('main a')].map(a => a.href)")

    assert scrolled <= inside
    assert links == [path.as_uri() for name, path in reports.items() if name != "index"]


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_missing_fails_on_ci_and_is_a_skip_that_says_how_to_get_it_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome) as caught:
        program(("no-such-browser",))
    assert str(caught.value) == "no no-such-browser here: apt-get install chromium chromium-driver"

    with pytest.raises(outcome) as caught:
        axe(tmp_path / AXE.name)
    assert str(caught.value) == "no axe.min.js here: make test"
