"""What the templates show, as values: every number already text, every formula and figure already markup.

Only two things are ever marked as safe markup: figures from `svg`, and MathML from `Formula`, whose parser lets through
nothing but numbers, names and operators. All other text is escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass

from attnbench.report.sections.counted import CountedLayer
from attnbench.report.sections.crossovers import CrossoverTable
from attnbench.report.sections.environment import FileLink
from attnbench.report.sections.layer.section import Section
from attnbench.report.sections.notices import Notice
from attnbench.report.sections.rooflines import Roofline
from attnbench.report.sections.side_by_side import SideBySide
from attnbench.report.sections.structure.growth import Structure
from attnbench.report.sections.structure.positions import Positions
from attnbench.report.sections.table1 import Table1
from attnbench.report.sections.trials import TrialRow
from attnbench.report.sections.verdicts import VerdictRow
from attnbench.report.sections.winners import WinnerMaps
from attnbench.report.values import Chip, Fact, Gallery


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything on the page of one run, in the order of the page."""

    title: str
    question: str
    answer: str
    counted_answer: str
    facts: tuple[Fact, ...]
    table1: Table1
    verdicts: tuple[VerdictRow, ...]
    glance: Gallery
    side_by_side: SideBySide
    positions: Positions
    weights: Gallery
    crossovers: tuple[CrossoverTable, ...]
    structure: Structure
    winners: tuple[WinnerMaps, ...]
    rooflines: tuple[Roofline, ...]
    counted: tuple[CountedLayer, ...]
    counted_limits: tuple[Fact, ...]
    timed: bool
    sections: tuple[Section, ...]
    trials: tuple[TrialRow, ...]
    trials_summary: str
    notices: tuple[Notice, ...]
    steadiness: Gallery
    environment: tuple[Fact, ...]
    command: str
    files: tuple[FileLink, ...]
    suite: str
    version: str


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One run in the list of runs; what a search looks at is text.

    Attributes:
        title, question, name, when, host: as on the page of the run.
        href: its page; empty where there is none, as the run is damaged.
        started: when, in a form that sorts.
        trials: how many there are, in words.
        chips: verdicts with their numbers.
        layers: the names of its layers.
        suite: the name of its suite.
        verdicts: the chips in words.
        state: why it cannot be read, or that it has not ended; empty otherwise.
    """

    title: str
    question: str
    name: str
    href: str
    started: str
    when: str
    host: str
    trials: str
    chips: tuple[tuple[Chip, str], ...]
    layers: tuple[str, ...] = ()
    suite: str = ""
    verdicts: str = ""
    state: str = ""
