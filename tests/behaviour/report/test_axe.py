"""Reports before axe-core, which knows what screen readers, keyboards and weak eyes need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.report.browsing import axe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser

ASK = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations'], ...arguments[0]}).then(
  found => done({violations: found.violations.map(v => [v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 150)]),
                 passed: found.passes.length}),
  error => done({violations: [['axe', 'critical', 0, String(error)]], passed: 0}));
"""
#: Looking at colours takes longest. They change with the scheme, elements change with the width. What is folded is
#: looked at once.
COLOURS = {"runOnly": ["color-contrast"]}
ELEMENTS = {"rules": {"color-contrast": {"enabled": False}}}
LOOKS = ((1440, "light", {}, 15), (1440, "dark", COLOURS, 1), (400, "light", ELEMENTS, 15))


@pytest.mark.parametrize("name", ["smoke", "scaling", "table1", "seeds", "index"])
def test_a_report_has_no_serious_violation_in_either_scheme_or_on_a_telephone(
    show: Callable[..., WebDriver], reports: dict[str, Path], name: str
) -> None:
    source = axe()

    for width, scheme, options, least in LOOKS:
        browser = show(reports[name], width, scheme)
        if options:
            browser.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = false;")
        browser.set_script_timeout(120)
        browser.execute_script(source)
        found: dict[str, Any] = browser.execute_async_script(ASK, options)

        assert [v for v in found["violations"] if v[1] in ("serious", "critical")] == [], (width, scheme)
        assert found["passed"] >= least


def test_it_would_find_a_violation(show: Callable[..., WebDriver], tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><html lang=en><title>Bad</title><p style='color: #ddd'>Faint</p>", encoding="utf-8")
    browser = show(bad)
    browser.execute_script(axe())
    found = browser.execute_async_script(ASK, COLOURS)

    assert [(rule, impact) for rule, impact, *_ in found["violations"]] == [("color-contrast", "serious")]
