"""What a notebook shows: well-formed tables, readable on any paper, with every name as text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

import attnbench
from attnbench import html_tables as cards
from attnbench.fitting.compare.runs import compare
from attnbench.fitting.predict.crossover import Crossover, CrossoverRow
from attnbench.fitting.predict.forecast import Forecast
from attnbench.law import Estimate, Exponent, Law, Verdict
from attnbench.law.show import COLOURS
from attnbench.record import Counted
from attnbench.trial import Subject
from tests.report.fake_run import HOST, HOSTILE, hostile, write_fake_run
from tests.two_runs import layer

if TYPE_CHECKING:
    from pathlib import Path

MATHS = "{http://www.w3.org/1998/Math/MathML}"
PLAIN = {"table", "caption", "thead", "tbody", "tr", "th", "td", "b", "i", "br", "span", "code"}
ATTRIBUTES = {"style", "scope"}


def tree(page: str) -> ET.Element:
    """The page as XML: a stray ``<`` or ``&`` would not parse, and an element that a name smuggled in would be seen."""
    root = ET.fromstring(page.replace("<br>", "<br/>"))  # noqa: S314  our own
    tags = {element.tag for element in root.iter() if not element.tag.startswith(MATHS)}

    assert tags - PLAIN == set()
    assert {name for element in root.iter() for name in element.attrib} - ATTRIBUTES == set()
    return root


def text(element: ET.Element) -> str:
    return "".join(element.itertext())


def rows(page: str) -> list[list[str]]:
    return [[text(cell) for cell in row] for row in tree(page).iter("tr")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> attnbench.session.Run:
    """A run whose layer, suite, host and folder all have a hostile name."""
    folder = tmp_path_factory.mktemp("results") / HOSTILE.replace("/", "-")
    suite = {"title": HOSTILE, "metrics": ["time"]}
    return attnbench.load(write_fake_run(folder, (hostile(),), host=replace(HOST, cpu=HOSTILE), suite=suite).path)


def test_a_run_shows_its_verdicts(run: attnbench.session.Run) -> None:
    page = run._repr_html_()
    [heads, row] = rows(page)
    caption = text(next(tree(page).iter("caption")))

    assert heads == ["layer", "metric", "claim", "found", "verdict", "reason"]
    assert row[:2] == [HOSTILE, "time"]
    assert row[3:5] == ["n1.50 [1.45, 1.55]d1.00 [0.96, 1.04]", "≈ INFERRED"]
    assert row[5] == f"time grows as n^1.50±0.05; {HOSTILE}"
    assert caption.startswith(f"{HOSTILE} ({run.info.name}){HOSTILE} · 4 November 2025, 09:41 UTC · 6 trials (6 ok)")


def test_a_law_shows_everything_that_is_known_of_it(run: attnbench.session.Run) -> None:
    page = run.law(HOSTILE)._repr_html_()

    assert dict(rows(page)) == {
        "verdict": "≈ INFERRED",
        "reason": f"time grows as n^1.50±0.05; {HOSTILE}",
        "exponent of n": "1.50 [1.45, 1.55] at 90.0 %",
        "exponent of d": "1.00 [0.96, 1.04] at 90.0 %",
        "window": "n from 128 to 512, d from 32 to 64",
        "trials": "6",
    }
    assert text(next(tree(page).iter("caption"))) == f"{HOSTILE} · time · cpu · float32 · forward · 1 thread"


def test_a_formula_is_mathml_and_what_is_none_is_text() -> None:
    claimed = Law(Subject("rnn"), "flops", Verdict.CONFIRMED, "exact", claim="4*n*d**2", formula="4*n*d**2")
    foreign = replace(claimed, formula=HOSTILE)

    maths = [element for element in tree(claimed._repr_html_()).iter() if element.tag == f"{MATHS}math"]

    assert [text(one).replace("\u2062", "") for one in maths] == ["4nd2", "4nd2"]
    assert dict(rows(foreign._repr_html_()))["found"] == HOSTILE


def test_fitted_numbers_are_written_as_people_write_them() -> None:
    law = Law(Subject("rnn"), "time", Verdict.INFERRED, "found", formula="2.46e-05 + 1.5e-09*n**0.987")

    assert dict(rows(law._repr_html_()))["found"].replace("\u2062", "") == "2.46·10−5+1.5·10−9n0.987"


def test_zero_has_no_sign() -> None:
    exponents = {"n": Exponent(Estimate(-0.001, -0.02, 0.001), -0.0)}
    law = Law(Subject("rnn"), "time", Verdict.INFERRED, "found", exponents=exponents)

    assert dict(rows(law._repr_html_()))["exponent of n"] == "0.00 [−0.02, 0.00] at 90.0 %; claimed 0"


def test_a_count_is_exact_and_says_what_it_leaves_out() -> None:
    whole = Counted(4_294_967_296, 0, 2048, saved_bytes=1_048_576, depth=4, hops=1.0)
    part = replace(whole, uncounted=(HOSTILE,), hops=None)

    assert repr(whole) == (
        "<Counted flops=4294967296 (4.29 GFLOP), parameters=0, peak_bytes=2048, saved_bytes=1048576 (1.00 MiB), "
        "depth=4, hops=1>"
    )
    assert dict(rows(part._repr_html_())) == {
        "flops": "≥ 4294967296 (4.29 GFLOP)",
        "parameters": "0",
        "peak_bytes": "2048",
        "saved_bytes": "1048576 (1.00 MiB)",
        "depth": "4",
        "uncounted": HOSTILE,
    }


def test_a_forecast_shows_its_interval_or_why_there_is_none() -> None:
    found = Forecast(HOSTILE, {"n": 64}, Estimate(0.115, 0.1, 0.134), 1.0, 2048, True, "inside")
    refused = replace(found, seconds=None, peak_bytes=None, fits=None, reason=f"too far {HOSTILE}")

    assert dict(rows(found._repr_html_())) == {
        "time": "115 ms (100 ms to 134 ms)",
        "memory": "2.00 KiB of live tensors; fits the memory of this machine",
        "reason": "inside",
    }
    assert repr(found) == f"<Forecast {HOSTILE} at n=64: 115 ms (100 ms to 134 ms); inside>"
    assert dict(rows(refused._repr_html_())) == {"time": "no forecast", "reason": f"too far {HOSTILE}"}


def test_a_crossover_has_a_row_for_each_width() -> None:
    row = CrossoverRow(64, 64.0, "b", Estimate(80.0, 0.0, 96.0), HOSTILE, 0.9, (16.0, 1024.0))
    found = Crossover((HOSTILE, "b"), {}, False, (row, CrossoverRow(128)), "b leads", "by count n < d")

    assert rows(found._repr_html_()) == [
        ["d", "n* by operations", "n* by the clock", "faster beyond"],
        ["64", "64.0", "80.0 (below reach to 96.0)", HOSTILE],
        ["128", "–", "–", "–"],
    ]
    assert repr(found) == "<Crossover by count n < d; b leads>"


def test_a_comparison_says_what_changed(tmp_path: Path) -> None:
    layers = (layer(HOSTILE, lambda b, n, d: 4e-11 * b * n * d**2),)
    base, new = (write_fake_run(tmp_path / name, layers, seed=seed) for name, seed in (("a", 1), ("b", 2)))
    found = compare(base, new)

    assert text(next(tree(found._repr_html_()).iter("caption"))).startswith("a → b")
    assert [row[:2] for row in rows(found._repr_html_())] == [["layer", "metric"], [HOSTILE, "time"]]
    assert repr(found).startswith("<Comparison of a with b: No change found in any of 9 trials: ")


def test_signs_that_no_page_can_show_are_dots() -> None:
    page = cards.card("\x00a\x1b[31m", [("\ud800b", "c\u202ed")])

    assert rows(page) == [["·b", "c·d"]]
    assert page.encode("utf-8")


def test_a_badge_can_be_read_on_any_page_and_nothing_else_chooses_a_colour_for_letters() -> None:
    law = Law(Subject("rnn"), "time", Verdict.REFUTED, "no", claim="n")
    styles = [element.get("style", "") for element in tree(law._repr_html_()).iter()]
    colours = [found for style in styles for found in re.findall(r"(?<![-\w])color:([^;]+)", style)]

    assert set(colours) == {"inherit", "#fff"}
    assert {colours.count("#fff"), sum("background:#" in style for style in styles)} == {1}
    assert [verdict for verdict, colour in COLOURS.items() if 1.05 / (luminance(colour) + 0.05) < 4.5] == []


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
