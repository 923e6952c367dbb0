"""What the page's script does, by mouse and by keyboard, in a real browser."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attnbench import units
from attnbench.report.markup import math_text
from attnbench.report.page import script
from tests.behaviour.report.browsing import lab, logged
from tests.report.fake_run import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

    from attnbench.store.run_folder import StoredRun

pytestmark = pytest.mark.browser

FIRST_CELLS = """
return [...document.querySelectorAll(arguments[0] + ' tbody tr')].filter(row => row.checkVisibility())
  .map(row => row.cells[0].textContent.trim())
"""


def find(browser: WebDriver, css: str) -> WebElement:
    return browser.find_element("css selector", css)


def press(browser: WebDriver, *keys: str) -> None:
    """Keys, to whatever has the focus."""
    browser.switch_to.active_element.send_keys(*keys)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], attributes: str = "data-sort") -> str:
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{text}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table {attributes}><caption>Lab</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class TestSorting:
    @pytest.mark.parametrize("way", ["mouse", "keyboard"])
    def test_puts_trials_in_the_order_of_their_times_and_back(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], run: StoredRun, way: str
    ) -> None:
        from selenium.webdriver import Keys

        browser = show(reports["fake"])
        seconds = run.records.set_index("trial")["seconds"].map(float)
        head = find(browser, ".trials th:nth-child(4)")
        button = head.find_element("css selector", "button")
        told = "return document.querySelector('[role=status]').textContent"
        first = browser.execute_script(FIRST_CELLS, ".trials")
        orders, states = [], []
        for _ in range(3):
            button.click() if way == "mouse" else button.send_keys(Keys.ENTER)
            orders.append(browser.execute_script(FIRST_CELLS, ".trials"))
            states.append((head.get_attribute("aria-sort"), browser.execute_script(told)))

        assert [head for head, _ in states] == ["ascending", "descending", None]
        assert states[0][1] == "Sorted by Time, ascending"
        assert orders[2] == first == list(run.records["trial"])
        for order, sign in zip(orders, (1, -1), strict=False):
            times = seconds[order].to_numpy() * sign
            timed = times[~np.isnan(times)]
            assert sorted(order) == sorted(first)
            assert np.isnan(times[len(timed) :]).all()
            # What is written has three digits, and where these are equal the order stays.
            assert all(one <= other * (1 + 0.01 * np.sign(other)) for one, other in pairwise(timed))
        ties = [[t for t in order if units.seconds(seconds[t]) == "1.00 s"] for order in (first, orders[0])]
        assert ties[0] == ties[1]

    def test_reads_every_unit_that_pages_are_written_in(self, show: Callable[..., WebDriver], tmp_path: Path) -> None:
        rng = np.random.default_rng(7)
        kinds: list[tuple[Callable[[float], str], Any]] = [
            (units.seconds, 10.0 ** rng.uniform(-11, 3, 40)),
            (units.flops, 10.0 ** rng.uniform(0, 20, 40)),
            (units.flops_per_second, 10.0 ** rng.uniform(2, 16, 40)),
            (lambda value: f"≥ {units.count(round(value))}", 10.0 ** rng.uniform(0, 13, 40)),
            (units.nbytes, 2.0 ** rng.uniform(0, 52, 40)),
            (units.percent, rng.uniform(0, 1, 40)),
            (lambda value: f"[{units.seconds(value)}, ∞ s]", 10.0 ** rng.uniform(-11, 3, 40)),
            (lambda value: f"{value:.2f}".replace("-", "−"), rng.uniform(-9, 9, 40)),
        ]
        columns = [[*(write(value) for value in values), "—"] for write, values in kinds]
        page = lab(tmp_path / "units.html", table(map(str, range(len(kinds))), zip(*columns, strict=True)))
        browser = show(page)
        for column, (write, values) in enumerate(kinds):
            find(browser, f"th:nth-child({column + 1}) button").click()
            told = f"return [...document.querySelectorAll('tbody td:nth-child({column + 1})')].map(e => e.textContent)"

            assert browser.execute_script(told) == [*(write(value) for value in sorted(values)), "—"]

    def test_takes_text_as_text_numbers_in_it_as_numbers_and_a_value_beside_it_first(
        self, show: Callable[..., WebDriver], tmp_path: Path
    ) -> None:
        rows = [("n=512", "3 x"), ("n=64", "1.5"), ("n=128", "")]
        body = table(("Sizes", "Mixed", "Value"), ((*row, "?") for row in rows))
        for value in ("30", "4", "1e+06"):
            body = body.replace("<td>?", f'<td data-value="{value}">?', 1)
        browser = show(lab(tmp_path / "texts.html", body))
        seen = []
        for column in (1, 2, 3):
            find(browser, f"th:nth-child({column}) button").click()
            seen.append(browser.execute_script(FIRST_CELLS, "table"))

        assert seen == [["n=64", "n=128", "n=512"], ["n=64", "n=512", "n=128"], ["n=64", "n=512", "n=128"]]


class TestFilters:
    def test_leave_the_rows_that_have_every_word_and_say_how_many(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], run: StoredRun
    ) -> None:
        from selenium.webdriver import Keys

        browser = show(reports["fake"])
        wanted = [t for t in run.records["trial"] if t.startswith("rnn") and "n128" in t]
        for css, words, names in (
            (".trials", "RNN n=128", wanted),
            (".verdicts", "confirmed", ["attention-core", "multi-head-attention"]),
        ):
            section = find(browser, f"section:has({css})")
            field, left = (section.find_element("css selector", name) for name in ("input", "output"))
            rows = len(browser.find_elements("css selector", f"{css} :is(.judged, tbody:not(:has(.judged)) tr)"))
            field.send_keys(words)
            shown = browser.execute_script(FIRST_CELLS, css)

            assert field.accessible_name.startswith("Filter ")
            assert [name for name in names if name not in shown] == []
            assert left.text == f"{len(names)} of {rows} rows"
            assert left.aria_role == "status"

            field.send_keys(Keys.CONTROL, "a", Keys.DELETE)
            assert left.text == f"{rows} rows"

    def test_tell_the_layer_of_the_first_formula_that_is_left(
        self, show: Callable[..., WebDriver], reports: dict[str, Path]
    ) -> None:
        browser = show(reports["scaling"])
        section = find(browser, "section:has(.counted)")
        section.find_element("css selector", "input").send_keys("peak bytes")
        told = """return [...document.querySelectorAll('.counted tbody tr')].filter(row => row.checkVisibility())
                  .map(row => [row.cells[1].textContent, row.querySelector('th span').offsetHeight > 9])"""
        rows = browser.execute_script(told)

        assert len(rows) > 2
        assert all("peak bytes" in metric and named for metric, named in rows)

    def test_find_a_run_by_suite_verdict_host_and_layer(
        self, show: Callable[..., WebDriver], reports: dict[str, Path]
    ) -> None:
        from selenium.webdriver import Keys

        browser = show(reports["index"])
        field = find(browser, "input[type=search]")
        told = """return [...document.querySelectorAll('.runs tbody tr')].filter(row => row.checkVisibility())
                  .map(row => row.cells[2].innerText)"""
        found = {}
        for words in ("table1", "refuted epyc", "multi-head-attention-d2l", "alert(1)", "nothing-like-this"):
            field.send_keys(Keys.CONTROL, "a", Keys.DELETE)
            field.send_keys(words)
            found[words] = browser.execute_script(told)

        assert found["table1"] == ["table1"]
        assert found["refuted epyc"] == ["scaling"]
        assert found["multi-head-attention-d2l"] == ["seeds"]
        assert found["alert(1)"][-1] == HOSTILE
        assert found["nothing-like-this"] == []

    def test_of_two_hundred_runs_sort_them_by_date(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], tmp_path: Path
    ) -> None:
        page = reports["index"].read_text(encoding="utf-8")
        [row] = re.findall(r"<tr role=\"row\" data-search=(?:(?!</tr>).)*smoke.*?</tr>", page, flags=re.DOTALL)
        [value] = re.findall(r'data-value="([^"]*)"', row)
        many = tmp_path / "index.html"
        rows = "".join(row.replace(value, f"2025-{1 + i * 7 % 12:02}-{1 + i * 11 % 28:02}T00:00") for i in range(200))
        many.write_text(page.replace(row, rows), encoding="utf-8")
        browser = show(many)
        find(browser, "th:nth-child(4) button").click()
        told = "return [...document.querySelectorAll('.runs td[data-value]')].map(e => e.dataset.value)"
        days = [day for day in browser.execute_script(told) if day.startswith("2025-")]

        assert len(days) >= 200
        assert days == sorted(days)


class TestTheAxisShown:
    def test_is_chosen_once_for_every_layer_that_has_it(
        self, show: Callable[..., WebDriver], reports: dict[str, Path]
    ) -> None:
        from selenium.webdriver import Keys

        browser = show(reports["fake"])
        told = """return [...document.querySelectorAll('[data-axis]')].map(
                    e => [e.dataset.axis, e.checkVisibility(), e.closest('article')?.id ?? ''])"""
        conv = find(browser, "article:has([data-axis=k])")
        assert all(visible for _, visible, _ in browser.execute_script(told))

        conv.find_element("css selector", "label:last-child").click()
        by_mouse = browser.execute_script(told)
        shown = [axis for axis, visible, at in by_mouse if visible and at == conv.get_attribute("id")]
        assert set(shown) == {"k"}
        assert len(shown) >= 3
        assert all(visible for axis, visible, at in by_mouse if at == "layer-1")

        press(browser, Keys.ARROW_LEFT)
        by_keyboard = browser.execute_script(told)
        assert {axis for axis, visible, _ in by_keyboard if visible} >= {"d"}
        assert not any(visible for axis, visible, at in by_keyboard if axis != "d" and at in ("layer-1", "layer-3"))
        chosen = browser.execute_script("return [...document.querySelectorAll('.axes :checked')].map(e => e.value)")
        assert set(chosen) <= {"d", ""}
        assert chosen.count("d") >= 4


class TestCopies:
    """The clipboard is read by pasting."""

    @pytest.fixture
    def paste(self, browser: WebDriver) -> Callable[[], str]:
        from selenium.webdriver import Keys

        def pasted() -> str:
            browser.execute_script(
                "document.querySelector('#paste')?.remove(); const e = document.createElement('textarea');"
                "e.id = 'paste'; document.body.append(e); e.focus()"
            )
            press(browser, Keys.CONTROL, "v")
            text: str = find(browser, "#paste").get_property("value")
            return text

        return pasted

    @pytest.fixture
    def page(self, show: Callable[..., WebDriver], tmp_path: Path) -> WebDriver:
        rows = [
            ("a_b &amp; 50 %", "1.20 µs", str(math_text("n**2*d + 2*n"))),
            ("<small>x | y</small>", "—", "<b>O</b>(" + str(math_text("n**1.5*log(n, k)")) + ")"),
        ]
        return show(lab(tmp_path / "copy.html", table(("Name", "Time", "Formula"), rows)))

    def test_are_markdown_by_mouse(self, page: WebDriver, paste: Callable[[], str]) -> None:
        find(page, ".copy button").click()
        self.wait(page)

        assert paste() == (
            "| Name | Time | Formula |\n| --- | --: | --- |\n"
            "| a\\_b & 50 % | 1.20 µs | n²d + 2n |\n| x \\| y | — | O(n^(3/2)·log_k(n)) |\n"
        )

    @pytest.mark.parametrize("clipboard", ["as it is", "not offered"])
    def test_are_latex_by_keyboard(self, page: WebDriver, paste: Callable[[], str], clipboard: str) -> None:
        from selenium.webdriver import Keys

        if clipboard == "not offered":
            page.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        find(page, ".copy button:last-child").send_keys(Keys.ENTER)
        self.wait(page)

        assert paste() == (
            "% \\usepackage{booktabs}\n\\begin{tabular}{lrl}\n  \\toprule\n  Name & Time & Formula \\\\\n  \\midrule\n"
            "  a\\_b \\& 50 \\% & 1.20 $\\mu$s & $n^{2}d + 2n$ \\\\\n"
            "  x $|$ y & --- & O($n^{3/2} \\cdot \\log_{k}(n)$) \\\\\n"
            "  \\bottomrule\n\\end{tabular}\n"
        )

    def test_have_the_rows_that_are_left_in_the_order_shown(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], paste: Callable[[], str]
    ) -> None:
        browser = show(reports["fake"])
        section = find(browser, "section:has(.verdicts)")
        section.find_element("css selector", "input").send_keys("confirmed")
        head = section.find_element("css selector", "th button")
        head.click()
        head.click()
        section.find_element("css selector", ".copy button").click()
        self.wait(browser)
        lines = [[cell.strip() for cell in line.split(" | ")] for line in paste().splitlines()]

        assert [line[0] for line in lines] == ["| Layer", "| ---", "| multi-head-attention", "| attention-core"]
        assert lines[0][-1] == "Reason |"
        assert lines[3][1:5] == [
            "Confirmed",
            "time n²d",
            "n^1.99·d^1.02",
            "n 1.99 \\[1.96, 2.02\\] claim 2; d 1.02 \\[0.98, 1.06\\] claim 1",
        ]

    def test_of_table_1_tell_in_each_row_what_is_printed_once(
        self, show: Callable[..., WebDriver], reports: dict[str, Path], paste: Callable[[], str]
    ) -> None:
        browser = show(reports["table1"])
        find(browser, ".table-one + .tools button").click()
        self.wait(browser)
        rows = [[cell.strip(" |") for cell in line.split(" | ")] for line in paste().splitlines()]

        assert {len(row) for row in rows} == {5}
        measured = [row for row in rows if row[1] == "measured" and row[0].startswith("rnn; ")]
        assert [row[2:] for row in measured] == [["4nd²", "3n + 2", "n − 1"]]

    @staticmethod
    def wait(browser: WebDriver) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        told = "return document.querySelector('[role=status]').textContent"
        WebDriverWait(browser, 20, 0.05).until(lambda b: b.execute_script(told).startswith("Table copied as "))


class TestValuesOfPoints:
    """The first figure of a layer is given three marks with values, one of them hostile; all other values are gone."""

    TIPS = ("n=64: 1.20 ms [1.10 ms, 1.30 ms]", HOSTILE, "n=256: 19.0 ms")

    @pytest.fixture
    def page(self, show: Callable[..., WebDriver], reports: dict[str, Path], tmp_path: Path) -> Iterator[WebDriver]:
        from html import escape

        text = re.sub(r' data-tip="[^"]*"', "", reports["scaling"].read_text(encoding="utf-8"))
        before, layer, after = text.partition('<article class="layer" id="layer-1"')
        marks = (
            f'<rect x="{60 + 70 * i}" y="90" width="9" height="9" data-tip="{escape(tip)}"/>'
            for i, tip in enumerate(self.TIPS)
        )
        tipped = tmp_path / "tipped.html"
        tipped.write_text(before + layer + after.replace("</svg>", "".join(marks) + "</svg>", 1), encoding="utf-8")
        browser = show(tipped)
        yield browser
        assert logged(browser, "browser") == []

    def tip(self, browser: WebDriver) -> str | None:
        shown: str | None = browser.execute_script(
            "const t = document.querySelector('.tip'); return t.checkVisibility() ? t.textContent : null"
        )
        return shown

    def test_are_shown_under_the_mouse_and_hidden_where_it_leaves_or_escapes(self, page: WebDriver) -> None:
        from selenium.webdriver import ActionChains, Keys

        points = page.find_elements("css selector", "[data-tip]")
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", points[0])
        seen = []
        for point in points:
            ActionChains(page).move_to_element(point).perform()
            seen.append(self.tip(page))
            box, at = find(page, ".tip").rect, point.rect
            middle = at["x"] + at["width"] / 2
            assert box["x"] <= middle <= box["x"] + box["width"]
            assert 0 < at["y"] - (box["y"] + box["height"]) < 20
        assert tuple(seen) == self.TIPS

        ActionChains(page).send_keys(Keys.ESCAPE).perform()
        assert self.tip(page) is None
        ActionChains(page).move_to_element(points[0]).move_to_element(find(page, "#layer-1 .why")).perform()
        assert self.tip(page) is None

    def test_are_reached_by_one_stop_of_the_tab_key_and_then_by_arrows(self, page: WebDriver) -> None:
        from selenium.webdriver import Keys

        told = "return document.querySelector('[role=status]').textContent"
        find(page, "#layer-1 .axes :checked").send_keys(Keys.TAB)
        figure = page.switch_to.active_element
        assert figure.tag_name == "svg"
        assert page.execute_script("return document.querySelectorAll('svg [tabindex]').length") == 0

        seen = [(self.tip(page), page.execute_script(told))]
        for key in (Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.HOME, Keys.END, Keys.ARROW_LEFT):
            press(page, key)
            seen.append((self.tip(page), page.execute_script(told)))
        order = [0, 1, 2, 2, 0, 2, 1]
        assert seen == [(self.TIPS[i], f"{self.TIPS[i]} ({i + 1} of 3)") for i in order]

        press(page, Keys.ESCAPE)
        assert self.tip(page) is None
        press(page, Keys.ARROW_LEFT)
        assert self.tip(page) == self.TIPS[0]
        press(page, Keys.TAB)
        assert self.tip(page) is None
        assert page.switch_to.active_element != figure

    def test_stay_where_a_finger_touched_and_inside_a_telephone(
        self, page: WebDriver, show: Callable[..., WebDriver], tmp_path: Path
    ) -> None:
        show(tmp_path / "tipped.html", 400)
        point = page.find_elements("css selector", "[data-tip]")[2]
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
        x, y = page.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.x + 9, b.y + 9]", point)
        for kind, touched in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})
        box = find(page, ".tip").rect

        assert self.tip(page) == self.TIPS[2]
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 400
        assert page.execute_script("return document.documentElement.scrollWidth") <= 400


class TestLinks:
    def test_every_heading_of_a_part_leads_to_itself(
        self, show: Callable[..., WebDriver], reports: dict[str, Path]
    ) -> None:
        told = """return [...document.querySelectorAll('h2, h3')].map(
                    h => [h.id, h.querySelector('a.self')?.getAttribute('href') ?? '', h.textContent])"""
        for name in ("fake", "table1", "seeds"):
            found = show(reports[name]).execute_script(told)

            assert len(found) > 5
            assert all(ident and link == f"#{ident}" and text.strip() for ident, link, text in found)

    @pytest.mark.parametrize("way", ["address", "link"])
    def test_that_lead_into_something_folded_unfold_it(self, browser: WebDriver, tmp_path: Path, way: str) -> None:
        body = (
            '<a href="#deep">there</a><details><summary>one</summary><div style="height: 3000px"></div>'
            '<details><summary>two</summary><p id="deep">here</p></details></details>'
        )
        page = lab(tmp_path / f"{way}.html", body).as_uri()
        browser.get(page if way == "link" else f"{page}#deep")
        if way == "link":
            find(browser, "a").click()
        box = "const b = document.querySelector('#deep').getBoundingClientRect(); return [b.top, innerHeight]"
        top, height = browser.execute_script(box)

        assert find(browser, "#deep").is_displayed()
        assert 0 <= top < height


def test_the_script_makes_no_markup_from_text_keeps_nothing_and_cannot_end_its_own_element() -> None:
    ours = str(script())

    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|import\(", ours) == []
    )
    assert re.findall(r"localStorage|sessionStorage|cookie|indexedDB|fetch|XMLHttp|sendBeacon|WebSocket", ours) == []
    assert re.findall(r"</script|<!--", ours, flags=re.IGNORECASE) == []
    assert ours.startswith('(() => {\n"use strict";\n')
    assert ours.endswith("\n})();")
    assert len(ours.splitlines()) < 400
