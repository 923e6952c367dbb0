"""The page in a real browser, without a network: what a reader sees, in both schemes and on a telephone."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.overview import overview
from attnbench.report.page import write_index, write_report
from tests.report.fake_run import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

    from attnbench.store import StoredRun

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
INSTALL = "apt-get install chromium chromium-driver"

#: Contrast of every piece of text against what is behind it, as WCAG 2 computes it; but for the cells of maps, whose
#: black or white text is chosen cell by cell.
CONTRASTS = """
const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = colour => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
                        return Array.from(paint.getImageData(0, 0, 1, 1).data); };
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255)
                       .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                     return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgb(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, over) => under.map((v, i) => v + (over[i] - v) * over[3] / 255),
                                 [255, 255, 255]);
};
const found = {};
for (const element of document.querySelectorAll('body *')) {
  if (['title', 'desc'].includes(element.tagName) || !element.checkVisibility()) continue;
  if (![...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const style = getComputedStyle(element), drawn = element.tagName === 'text';
  if (drawn && element.closest('svg').querySelector('title').textContent.includes('achieved rate')) continue;
  const [one, two] = [light(rgb(drawn ? style.fill : style.color)), light(behind(element))];
  const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  const name = element.tagName.toLowerCase() + '.' + (drawn ? style.fill : element.className);
  found[name] = Math.min(found[name] ?? 99, ratio);
}
return found;
"""
#: What a reader sees of each figure.
FIGURE_TEXTS = """
return [...document.querySelectorAll('svg')].map(figure => {
  const box = figure.getBoundingClientRect();
  const texts = [...figure.querySelectorAll('text')];
  return {title: figure.querySelector('title')?.textContent ?? '', width: box.width, height: box.height,
          visible: figure.checkVisibility(), smallest: Math.min(...texts.map(t => t.getBoundingClientRect().height)),
          beyond: texts.filter(t => t.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length,
          fills: [...new Set(texts.map(t => getComputedStyle(t).fill))]};
});
"""


def program(names: tuple[str, ...]) -> str:
    """The first of `names` on this machine; a skip with the line that installs it, and a failure on CI."""
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"no {names[0]} here: {INSTALL}")
    return found or pytest.skip(f"no {names[0]} here: {INSTALL}")


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Headless Chromium that can resolve no name; nothing is downloaded to start it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program(BROWSERS)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=program(DRIVERS)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(run: StoredRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run, tmp_path_factory.mktemp("reports"))


@pytest.fixture
def show(browser: WebDriver, report: Path) -> Callable[..., WebDriver]:
    """Opens the report at a width and in a scheme, everything that folds unfolded."""

    def opened(width: int = 1440, scheme: str = "light", path: Path = report) -> WebDriver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        browser.get(path.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        return browser

    return opened


def logged(browser: WebDriver, kind: str) -> list[dict[str, Any]]:
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def test_it_asks_for_nothing_but_itself_and_has_nothing_to_complain_about(
    show: Callable[..., WebDriver], report: Path
) -> None:
    browser = show()
    events = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert logged(browser, "browser") == []


def test_a_hostile_name_is_shown_and_does_nothing(show: Callable[..., WebDriver]) -> None:
    browser = show()
    texts = browser.execute_script("return [...document.querySelectorAll('h3, svg text')].map(e => e.textContent)")

    assert texts.count(HOSTILE) >= 3
    assert browser.execute_script("return document.scripts.length") == 0


@pytest.mark.parametrize("width", [1440, 400])
def test_every_figure_is_there_and_can_be_read(show: Callable[..., WebDriver], width: int) -> None:
    figures = show(width).execute_script(FIGURE_TEXTS)

    assert len(figures) > 30
    for figure in figures:
        assert figure["visible"], figure["title"]
        assert figure["title"].strip()
        assert figure["width"] >= 300, figure["title"]
        assert figure["height"] >= 60, figure["title"]
        assert figure["smallest"] >= 8, figure["title"]
        assert figure["beyond"] == 0, figure["title"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_the_page_never_scrolls_sideways(show: Callable[..., WebDriver], width: int, scheme: str) -> None:
    root = show(width, scheme).execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth, innerWidth]"
    )

    assert root[0] <= root[1] <= width
    assert root[2] == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_paper(show: Callable[..., WebDriver], scheme: str) -> None:
    contrasts = show(scheme=scheme).execute_script(CONTRASTS)

    assert {"h1.", "p.answer", "span.chip refuted", "td.", "figcaption."} <= set(contrasts)
    assert sum(name.startswith("text.") for name in contrasts) >= 7
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_the_dark_scheme_turns_paper_and_figures(show: Callable[..., WebDriver]) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser = show(scheme=scheme)
        paper = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        seen[scheme] = brightness(paper), browser.execute_script(FIGURE_TEXTS)[0]["fills"]

    assert seen["light"][0] > 0.9
    assert seen["dark"][0] < 0.15
    assert set(seen["light"][1]) & set(seen["dark"][1]) == set()


def brightness(colour: str) -> float:
    """Between 0 (black) and 1 (white)."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


def test_the_index_fits_a_telephone_and_leads_to_the_report(
    show: Callable[..., WebDriver], report: Path, run: StoredRun
) -> None:
    browser = show(400, path=write_index(report.parent, [overview(run.path)]))
    root = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    target = browser.execute_script("return document.querySelector('main a').href")

    assert root[0] <= root[1]
    assert target == report.as_uri()


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_browser_fails_on_ci_and_is_a_skip_that_says_what_to_install_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome) as caught:
        program(("no-such-browser",))

    assert str(caught.value) == "no no-such-browser here: apt-get install chromium chromium-driver"
