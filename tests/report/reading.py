"""A page as its reader's program sees it: elements in order, with attributes, text and parents."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from attnbench.report.context import PageContext
    from attnbench.report.sections.layer.section import Section

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    parents: tuple[str, ...]
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())


class Reader(HTMLParser):
    """Collects every element; its text is the text of everything inside it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parents = tuple(element.tag for element in self._open)
        element = Element(tag, {name: value or "" for name, value in attrs}, parents)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)


def read(page: str) -> list[Element]:
    """Every element of `page`; an AssertionError when tags do not match."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader._open == []
    return reader.elements


def prose(page: str) -> str:
    """The page's text without figures, formulas and style."""
    return re.sub(r"<(svg|math|style|script)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)


def section(context: PageContext, layer: str) -> Section:
    """The section of a layer."""
    [found] = [found for found in context.sections if found.layer == layer]
    return found


def parse(drawn: str) -> ET.Element:
    """A figure as XML."""
    return ET.fromstring(drawn)  # noqa: S314 - drawn a moment ago


def texts(drawn: str) -> set[str]:
    """What is written on a figure."""
    return {"".join(element.itertext()) for element in parse(drawn).iter(f"{SVG}text")}


def tips_of(drawn: str) -> list[str]:
    """What the points of a figure say of themselves."""
    return [element.attrib["data-tip"] for element in parse(drawn).iter() if "data-tip" in element.attrib]


def described_figures(text: str) -> dict[str, str]:
    """Title → description of every figure."""
    elements = read(text)
    titles = [element.text for element in elements if element.tag == "title" and "svg" in element.parents]
    return dict(zip(titles, [element.text for element in elements if element.tag == "desc"], strict=True))


def described_figure(drawn: str) -> tuple[str, str]:
    """Title and description of a figure."""
    [described] = described_figures(drawn).items()
    return described
