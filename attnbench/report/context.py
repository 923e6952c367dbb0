"""What a page says, as values: every number already text, every formula and figure already markup.

Only two things are ever marked as safe markup: figures from `svg`, and MathML from `Formula`, whose parser lets through
nothing but numbers, names and operators. All other text is escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Chip:
    """A verdict: a CSS class for its colour, a sign, and the word."""

    css: str
    sign: str
    word: str


NO_MARK = Chip("", "", "")


@dataclass(frozen=True, slots=True)
class ExponentText:
    """One exponent beside its claim."""

    axis: str
    value: str
    interval: str
    claimed: str


@dataclass(frozen=True, slots=True)
class ShareText:
    """One term of several, and the largest share of the time or memory that it carries."""

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
    """Figures that belong together, and what they show; `axes` names the axis of each where there is one for each."""

    pictures: tuple[Markup, ...] = ()
    caption: str = ""
    axes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BesideRow:
    """One layer at sizes that all layers share: its counts, its time, and its time over that of the first layer."""

    layer: str
    about: str
    flops: str
    formula: Markup
    parameters: str
    peak_bytes: str
    seconds: str
    ratio: str


@dataclass(frozen=True, slots=True)
class Beside:
    """All layers at the same sizes; without rows where they share none."""

    sizes: str = ""
    first: str = ""
    rows: tuple[BesideRow, ...] = ()
    spread: Gallery = field(default_factory=Gallery)


@dataclass(frozen=True, slots=True)
class Positions:
    """What the sinusoidal encoding is, and what becomes of a position in a stack of layers."""

    shown: bool = False
    absolute: Gallery = field(default_factory=Gallery)
    relative: Gallery = field(default_factory=Gallery)
    fading: Gallery = field(default_factory=Gallery)


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of Table 1: published with a mark and the number of its note, or measured with a word beside it."""

    formula: Markup
    mark: Chip = NO_MARK
    note: str = ""
    lower_bound: bool = False
    aside: str = ""
    aside_formula: Markup = field(default_factory=Markup)


@dataclass(frozen=True, slots=True)
class TableLine:
    """What one source says of a layer, or what was measured: a cell for each column."""

    source: str
    measured: bool
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, slots=True)
class TableLayer:
    """One layer of Table 1; `kind` is the layer type where a new one begins, and empty elsewhere."""

    layer: str
    scope: str
    kind: str
    lines: tuple[TableLine, ...]


@dataclass(frozen=True, slots=True)
class TableNote:
    """A numbered sentence that explains a cell."""

    number: str
    text: str


@dataclass(frozen=True, slots=True)
class SentenceRow:
    """A sentence of the paper's text for one pair of layers, and what the counted formulas make of it."""

    sentence: str
    pair: str
    words: str
    measured: Markup
    mark: Chip


@dataclass(frozen=True, slots=True)
class TableOne:
    """The tables of others beside ours; without layers where the run has not counted enough of them."""

    columns: tuple[str, ...] = ()
    short_columns: tuple[str, ...] = ()
    layers: tuple[TableLayer, ...] = ()
    notes: tuple[TableNote, ...] = ()
    sources: tuple[Fact, ...] = ()
    sentences: tuple[SentenceRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CurveName:
    """A formula, and the layers whose curve it is."""

    formula: Markup
    layers: str


@dataclass(frozen=True, slots=True)
class NamedCurves:
    """Counted formulas of one metric over n: one line for all layers that share it, and whose it is."""

    gallery: Gallery
    names: tuple[CurveName, ...]


@dataclass(frozen=True, slots=True)
class DependencyMap:
    """Path lengths between all positions, for all layers that share them."""

    picture: Markup
    layers: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class DependencyMaps:
    """A map for each that differs, their common scale, and the layers that have none."""

    maps: tuple[DependencyMap, ...] = ()
    scale: Markup = field(default_factory=Markup)
    caption: str = ""
    refused: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Structure:
    """How deep layers are and how far apart they leave two positions, as far as the run has counted it."""

    growth: tuple[NamedCurves, ...] = ()
    dependencies: DependencyMaps = field(default_factory=DependencyMaps)
    reach: Gallery = field(default_factory=Gallery)


@dataclass(frozen=True, slots=True)
class Takeover:
    """Where one layer becomes faster than the baseline at one width: by the clock, in a word, and by counted work.

    `length` is the sequence length at which the two meet, to sort by; empty where they do not.
    """

    text: str
    mark: Chip
    by_count: str
    length: str = ""


@dataclass(frozen=True, slots=True)
class OvertakingRow:
    """One layer, and a cell for each width."""

    layer: str
    cells: tuple[Takeover, ...]


@dataclass(frozen=True, slots=True)
class Overtaking:
    """Layers under one choice of device, dtype, mode and threads against the first attention among them."""

    baseline: str
    conditions: str
    held: str
    widths: tuple[str, ...]
    rows: tuple[OvertakingRow, ...]
    unknown: tuple[Fact, ...]
    picture: Gallery


@dataclass(frozen=True, slots=True)
class TerritoryCell:
    """Who wins at one size, or a dash; and how clearly."""

    layer: str
    note: str
    close: bool = False


@dataclass(frozen=True, slots=True)
class TerritoryTable:
    """A map read at a few sizes: a row for each length, a cell for each width."""

    title: str
    widths: tuple[str, ...]
    rows: tuple[tuple[str, tuple[TerritoryCell, ...]], ...]


@dataclass(frozen=True, slots=True)
class Territories:
    """Maps of one choice of device, dtype, mode and threads; where none can be drawn, the reason."""

    conditions: str
    maps: Gallery = field(default_factory=Gallery)
    tables: tuple[TerritoryTable, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RoofRow:
    """One layer under the roof."""

    layer: str
    trials: str
    intensity: str
    limit: str
    median: str
    best: str
    best_at: str


@dataclass(frozen=True, slots=True)
class Roofline:
    """Trials under the roof that their machine set; where there is no roof, the reason."""

    conditions: str
    roof: tuple[Fact, ...] = ()
    picture: Gallery = field(default_factory=Gallery)
    rows: tuple[RoofRow, ...] = ()
    remarks: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TermRow:
    """One term of a law."""

    term: Markup
    coefficient: str
    interval: str
    share: str


@dataclass(frozen=True, slots=True)
class PartRow:
    """Where the growth of time along one axis comes from."""

    axis: str
    local: str
    overhead: str
    operations: str
    efficiency: str


@dataclass(frozen=True, slots=True)
class SpecificationRow:
    """One way to fit, and its exponents in the order of the table's heads."""

    name: str
    exponents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """The law of the memory of one layer; without a reason where there is none."""

    chip: Chip
    claim: Markup
    found: Markup
    reason: str
    gallery: Gallery
    residuals: Gallery


@dataclass(frozen=True, slots=True)
class Section:
    """Everything about one layer under one choice of device, dtype, mode and the like; `timed` where it has times."""

    layer: str
    anchor: str
    conditions: str
    timed: bool
    chip: Chip
    claim: Markup
    found: Markup
    reason: str
    window: str
    window_reason: str
    left_out: str
    evidence: str
    kernels: tuple[str, ...]
    level: str
    time: Gallery
    memory: MemoryPart
    residuals: Gallery
    local: Gallery
    shares: Gallery
    samples: Gallery
    samples_summary: str
    rates: Gallery
    specifications: Gallery
    terms: tuple[TermRow, ...]
    parts: tuple[PartRow, ...]
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
    allocated: str
    resident: str


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
class FileLink:
    """A file of the run folder: its name, where it is from the page, and what it holds."""

    name: str
    href: str
    what: str


@dataclass(frozen=True, slots=True)
class PageContext:
    """Everything on the page of one run, in the order of the page."""

    title: str
    question: str
    answer: str
    counted_answer: str
    facts: tuple[Fact, ...]
    table_one: TableOne
    verdicts: tuple[VerdictRow, ...]
    forest: Gallery
    beside: Beside
    positions: Positions
    weights: Gallery
    overtaking: tuple[Overtaking, ...]
    structure: Structure
    territories: tuple[Territories, ...]
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
