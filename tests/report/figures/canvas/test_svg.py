"""Figures as inline SVG: safe, described, themed, the same every time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attnbench.report import figures
from attnbench.report.data.growth import growth
from attnbench.report.data.points import timed_points
from attnbench.report.figures.canvas.palette import SERIES
from attnbench.report.figures.canvas.panel import panel
from attnbench.report.figures.canvas.svg import printable, svg, tell
from attnbench.trial import Choices, Subject
from tests.report.fake_run import HOSTILE
from tests.report.measured import law_of
from tests.report.reading import parse, texts

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from matplotlib.artist import Artist

    from attnbench.store.run_folder import StoredRun


def labelled(text: str = "label") -> Figure:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], marker="o", color=SERIES[0])
    axes.set_title(text, parse_math=False)
    return figure


class TestSvg:
    def test_says_what_it_shows(self) -> None:
        root = parse(svg(labelled(), "A title", "What it shows."))
        names = {element.get("id"): element.text for element in root}

        assert root.get("role") == "img"
        assert [names[key] for key in root.attrib["aria-labelledby"].split()] == ["A title", "What it shows."]

    def test_is_one_element_without_prolog_metadata_style_sheet_or_date(self) -> None:
        drawn = svg(labelled(), "title", "description")

        assert drawn.startswith("<svg ")
        assert re.findall(r"<\?|<!|metadata|<style|rdf:|font-family|xlink", drawn) == []
        assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]

    def test_is_the_same_every_time(self) -> None:
        assert svg(labelled(), "title", "text") == svg(labelled(), "title", "text")

    def test_two_on_a_page_share_no_id(self) -> None:
        ids = [set(re.findall(r'id="([^"]+)"', svg(labelled(), title, "text"))) for title in ("one", "two")]

        assert ids[0]
        assert ids[0] & ids[1] == set()

    def test_what_is_referred_to_is_there(self) -> None:
        drawn = svg(labelled(), "title", "text")
        references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))

        assert references
        assert references <= set(re.findall(r'id="([^"]+)"', drawn))

    def test_hostile_text_is_text(self) -> None:
        drawn = svg(labelled(HOSTILE), HOSTILE, HOSTILE)

        assert "<script" not in drawn
        assert HOSTILE in texts(drawn)

    @pytest.mark.parametrize("text", ["$x^2$", "a_b $", "层 🙂"])
    def test_dollars_and_letters_of_other_scripts_stay_as_they_are(self, text: str) -> None:
        assert text in texts(svg(labelled(text), "title", "text"))

    def test_known_colours_become_variables_and_no_other_colour_is_used(self, run: StoredRun) -> None:
        subject = Subject("conv1d", Choices())
        law = law_of(run, subject.layer)
        drawn = svg(figures.time_growth(growth(timed_points(run, subject, law), "n", law)), "title", "text")
        bare = re.findall(r"(?<!, )#[0-9a-f]{6}", drawn)

        assert f"var(--series-0, {SERIES[0]})" in drawn
        assert set(bare) <= {"#000000"}  # on shapes without a stroke of their own

    def test_control_characters_are_replaced(self) -> None:
        assert printable("a\x1b[31m\x00b\nc\td") == "a·[31m·b\nc\td"


def drawn_with(kind: str, texts: list[str]) -> list[ET.Element]:
    """The marks of a figure of three points that have texts."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    across = [5, 1, 3]
    axes.scatter([2, 3], [1, 1])  # others have no texts
    if kind == "scatter":
        artist: Artist = axes.scatter(across, [2, 1, 2], s=20)
    elif kind == "scatter in colours":
        artist = axes.scatter(across, [2, 1, 2], s=20, c=[SERIES[0], SERIES[1], SERIES[0]])
    elif kind == "one by one":
        artist = axes.vlines(across, 1, 2)
    elif kind == "markers of a line":
        [artist] = axes.plot(across, [2, 1, 2], marker="o")
    else:
        artist = axes.pcolormesh([[1, 2, 3]], edgecolors="white")
    tell(artist, texts)
    return [element for element in parse(svg(figure, "t", "d")).iter() if element.get("data-tip")]


def place(element: ET.Element) -> float:
    """How far right an element stands: its own x, or the first number of its path."""
    return float(element.get("x") or re.findall(r"-?[0-9.]+", element.attrib["d"])[0])


class TestTexts:
    @pytest.mark.parametrize(
        ("kind", "order"),
        [
            ("scatter", [1, 2, 0]),
            ("scatter in colours", [1, 2, 0]),
            ("one by one", [1, 2, 0]),
            ("markers of a line", [1, 2, 0]),
            ("cells", [0, 1, 2]),
        ],
    )
    def test_each_mark_has_the_text_of_its_own_point(self, kind: str, order: list[int]) -> None:
        marks = drawn_with(kind, ["first", "second", "third"])

        from_left = [element.get("data-tip") for element in sorted(marks, key=place)]
        assert from_left == [["first", "second", "third"][index] for index in order]

    def test_a_single_point_and_a_patch_have_theirs(self) -> None:
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        tell(axes.scatter([1], [2], color=SERIES[0]), ["a point"])
        tell(axes.axhspan(1, 3), ["a band"])
        found = {element.get("data-tip", "") for element in parse(svg(figure, "t", "d")).iter()}

        assert found - {""} == {"a band", "a point"}

    def test_hostile_text_is_an_attribute_on_one_line_and_nothing_else(self) -> None:
        figure = labelled()
        tell(figure.axes[0].lines[0], [HOSTILE, "a\x1b[31m\nb"])
        drawn = svg(figure, "t", "d")

        assert "<script" not in drawn
        tips = [element.get("data-tip") for element in parse(drawn).iter() if element.get("data-tip")]
        assert tips == [HOSTILE, "a·[31m b"]

    @pytest.mark.parametrize("texts", [["one"], ["one", "two", "three", "four"]])
    def test_too_few_or_too_many_are_an_error_and_no_text_goes_to_the_wrong_mark(self, texts: list[str]) -> None:
        with pytest.raises(ValueError, match=r"shorter|longer"):
            drawn_with("scatter", texts)


def test_a_figure_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = Axes.draw
    monkeypatch.setattr(Axes, "draw", lambda axes, renderer: (drawn.append(axes), draw(axes, renderer)))
    with panel(2.0) as (figure, axes):
        axes.plot([1, 2], [3, 4])

    svg(figure, "a title", "what it shows")

    assert drawn == [axes]
