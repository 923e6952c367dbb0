"""Values that many sections of a page are made of: a verdict's chip, a fact, and figures with their caption."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict: a CSS class for its colour, a sign, and the word."""

    css: str
    sign: str
    word: str


NO_MARK = Chip("", "", "")


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Figures that belong together, and what they show; `axes` names the axis of each where there is one for each."""

    pictures: tuple[Markup, ...] = ()
    caption: str = ""
    axes: tuple[str, ...] = ()
