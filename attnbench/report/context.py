"""What a page says, as values: every number already text, every formula and figure already markup.

Only two things are ever marked as safe markup: figures from `svg`, and MathML from `Formula`, whose parser lets through
nothing but numbers, names and operators. All other text is escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict: a CSS class for its colour, a sign, and the word."""

    css: str
    sign: str
    word: str


@dataclass(frozen=True, slots=True)
class ExponentText:
    """One exponent beside its claim."""

    axis: str
    value: str
    interval: str
    claimed: str


@dataclass(frozen=True, slots=True)
class ShareText:
    """One term of several, and the largest share of the time that it carries."""

    term: Markup
    share: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One claim and what became of it."""

    layer: str
    anchor: str
    conditions: str
    metric: str
    claim: Markup
    found: Markup
    exponents: tuple[ExponentText, ...]
    shares: tuple[ShareText, ...]
    chip: Chip
    reason: str


@dataclass(frozen=True, slots=True)
class CountedRow:
    """One counted formula."""

    metric: str
    formula: Markup
    claim: Markup
    chip: Chip
    reason: str
    lower_bound: bool


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """The counted formulas of one layer."""

    layer: str
    scope: str
    rows: tuple[CountedRow, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Figures that belong together, and what they show."""

    pictures: tuple[Markup, ...] = ()
    caption: str = ""


@dataclass(frozen=True, slots=True)
class TermRow:
    """One term of a law."""

    term: Markup
    coefficient: str
    interval: str
    share: str


@dataclass(frozen=True, slots=True)
class SpecificationRow:
    """One way to fit, and its exponents in the order of the table's heads."""

    name: str
    exponents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Everything about one layer under one choice of device, dtype, mode and threads."""

    layer: str
    anchor: str
    conditions: str
    chip: Chip
    claim: Markup
    found: Markup
    reason: str
    window: str
    window_reason: str
    evidence: str
    level: str
    time: Gallery
    local: Gallery
    rates: Gallery
    specifications: Gallery
    terms: tuple[TermRow, ...]
    specification_summary: str
    specification_axes: tuple[str, ...]
    specification_rows: tuple[SpecificationRow, ...]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One row of the table of trials."""

    trial: str
    status: str
    sizes: str
    seconds: str
    median: str
    interval: str
    samples: str
    flops: str
    rate: str
    peak_bytes: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a reader should know before believing a number: a heading, a sentence, and the cases."""

    title: str
    text: str
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything on the page of one run, in the order of the page."""

    title: str
    question: str
    answer: str
    counted_answer: str
    facts: tuple[Fact, ...]
    verdicts: tuple[VerdictRow, ...]
    forest: Gallery
    counted: tuple[CountedLayer, ...]
    sections: tuple[Section, ...]
    trials: tuple[TrialRow, ...]
    trials_summary: str
    notices: tuple[Notice, ...]
    steadiness: Gallery
    environment: tuple[Fact, ...]
    command: str
    suite: str
    version: str


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One run in the list of runs."""

    title: str
    question: str
    name: str
    href: str
    when: str
    host: str
    trials: str
    chips: tuple[tuple[Chip, str], ...]
