"""How tests look at a page in a browser: the programs it needs, and questions asked inside the page."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.report.page import script

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
INSTALL = "apt-get install chromium chromium-driver"
ROOT = Path(__file__).parents[3]
AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"

#: What a reader sees of each figure.
FIGURES = """
return [...document.querySelectorAll('svg')].map(figure => {
  const box = figure.getBoundingClientRect();
  const texts = [...figure.querySelectorAll('text')].map(t => [t, t.getBoundingClientRect()]);
  const told = tag => figure.querySelector(tag)?.textContent ?? '';
  return {title: told('title'), text: told('desc'),
          named: figure.getAttribute('role') === 'img' && figure.getAttribute('aria-labelledby').split(' ')
                   .every(id => figure.contains(document.getElementById(id))),
          width: box.width, height: box.height, visible: figure.checkVisibility(),
          smallest: Math.min(...texts.map(([_, b]) => b.height)),
          beyond: texts.filter(([_, b]) => b.right > document.documentElement.clientWidth + 1).length,
          fills: [...new Set(texts.map(([t, _]) => getComputedStyle(t).fill))]};
});
"""
#: Contrast of every piece of text against what is behind it, as WCAG 2 computes it; but for the cells of maps, whose
#: black or white text is chosen cell by cell.
CONTRASTS = """
const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const known = {};
const rgb = colour => known[colour] ??= (() => {
  paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
  return Array.from(paint.getImageData(0, 0, 1, 1).data); })();
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
WIDTHS = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth, innerWidth]"
#: What only the script makes; none of it is in the file.
CONTROLS = "button, input, output, fieldset, a.self, .tools, .axes, .tip, .ring, [role=status], svg[tabindex]"


def missing(what: str) -> Any:
    """A skip that says what to do, and a failure on CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    return pytest.skip(what)


def program(names: tuple[str, ...]) -> str:
    """The first of `names` on this machine; a skip with the line that installs it, and a failure on CI."""
    found = next((path for path in map(shutil.which, names) if path), None)
    return found or missing(f"no {names[0]} here: {INSTALL}")


def axe(path: Path = AXE) -> str:
    """The source of axe-core, which ``make test`` fetches."""
    return path.read_text(encoding="utf-8") if path.exists() else missing(f"no {path.name} here: make test")


def logged(browser: WebDriver, kind: str) -> list[dict[str, Any]]:
    """What was logged since this was last asked."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def requests(browser: WebDriver) -> set[str]:
    """What was asked for since this was last asked."""
    events = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return {url for url in asked if not url.startswith("data:")}


def foreign_markup(browser: WebDriver) -> list[str]:
    """Whatever in the page could run that is not our script."""
    found: list[str] = browser.execute_script(
        """
        const ours = arguments[0];
        return [...document.querySelectorAll('*')].filter(e => e.localName === 'script' ? e.textContent !== ours
          : ['iframe', 'object', 'embed', 'form', 'base', 'img', 'meta[http-equiv=refresh]'].some(s => e.matches(s))
            || [...e.attributes].some(a => a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value)))
          .map(e => e.outerHTML.slice(0, 200))
        """,
        str(script()),
    )
    return found


def lab(path: Path, body: str) -> Path:
    """A page with nothing but `body` and our script."""
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body>{body}<script>{script()!s}</script>', encoding="utf-8")
    return path
