"""Table 1: what the paper and the book print, beside the laws that were counted in this run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from markupsafe import Markup

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.formula.crossing import Crossing, crossing, quotient
from attnbench.formula.growth import same_growth
from attnbench.formula.syntax import INFINITY
from attnbench.law import Law
from attnbench.published import PUBLISHED, SOURCES, Column, Comparison, PublishedRow, Standing, compare, per_sequence
from attnbench.report.markup import NOTHING, math_text
from attnbench.report.values import NO_MARK, Chip, Fact
from attnbench.store.run_folder import StoredRun

Laws = dict[tuple[str, str], Law]

#: In the order of `Column`; the short words are for a telephone.
_COLUMNS = ("Complexity", "Sequential operations", "Maximum path length")
_SHORT_COLUMNS = ("Complexity", "Sequential", "Path")
_MARKS = {
    Standing.AGREES: Chip("confirmed", "✓", "agrees"),
    Standing.CONVENTION: Chip("regime", "~", "another convention"),
    Standing.DIFFERS: Chip("refuted", "✕", "differs"),
    Standing.UNKNOWN: Chip("pending", "·", "not decided"),
}
_UNEXPLAINED = Chip("refuted", "✕", "differs, not explained")
_CLASS = Markup('<span class="class"><i>O</i>({})</span>')


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
class SentenceRow:
    """A sentence of the paper's text for one pair of layers, and what the counted formulas make of it."""

    sentence: str
    pair: str
    words: str
    measured: Markup
    mark: Chip


@dataclass(frozen=True, slots=True)
class Table1:
    """The tables of others beside ours, a note for each number; no layers where too few of them were counted."""

    columns: tuple[str, ...] = ()
    short_columns: tuple[str, ...] = ()
    layers: tuple[TableLayer, ...] = ()
    notes: tuple[Fact, ...] = ()
    sources: tuple[Fact, ...] = ()
    sentences: tuple[SentenceRow, ...] = ()


def table1(run: StoredRun) -> Table1:
    """The table, where the run has the laws of at least two of its layer types; else nothing of it."""
    laws: Laws = {}
    for law in run.found_laws:
        if law.choices.mode == "forward":
            laws.setdefault((law.layer, law.metric), law)
    counted = {layer for layer, _ in laws if all((layer, column) in laws for column in Column)}
    if len({row.kind for row in PUBLISHED if counted & set(row.layers)}) < 2:
        return Table1()
    notes: dict[str, str] = {}
    layers = _layers(run, counted, laws, notes)
    return Table1(
        columns=_COLUMNS,
        short_columns=_SHORT_COLUMNS,
        layers=layers,
        notes=tuple(Fact(number, text) for text, number in notes.items()),
        sources=_sources(layers),
        sentences=(*_factor(laws), *_rivals(laws)),
    )


# -------------------------------------------------------------------------------------------------- the table


def _layers(run: StoredRun, counted: set[str], laws: Laws, notes: dict[str, str]) -> tuple[TableLayer, ...]:
    """Layers in the order of the published tables, each with all that was printed about it."""
    layers: list[TableLayer] = []
    shown = ""
    for kind, layer in dict.fromkeys((row.kind, layer) for row in PUBLISHED for layer in row.layers):
        if layer in counted:
            rows = [row for row in PUBLISHED if row.kind == kind and layer in row.layers]
            lines = (*(_printed(row, layer, laws, notes) for row in rows), _measured(layer, laws))
            scope = run.info.plan.scopes.get(layer, laws[layer, Column.COMPLEXITY].scope)
            layers.append(TableLayer(layer, scope, kind if kind != shown else "", lines))
            shown = kind
    return tuple(layers)


def _printed(row: PublishedRow, layer: str, laws: Laws, notes: dict[str, str]) -> TableLine:
    cells = []
    for column in Column:
        outcome = compare(row, layer, column, laws.get((layer, column)))
        number = notes.setdefault(outcome.note, str(len(notes) + 1)) if outcome.note else ""
        cells.append(TableCell(_class(row.cell(column)), _mark(outcome), number))
    return TableLine(row.source, False, tuple(cells))


def _class(formula: str) -> Markup:
    """A published cell as it is printed, O(…); what has no bound is no class."""
    return math_text(formula) if formula == INFINITY else _CLASS.format(math_text(formula))


def _mark(outcome: Comparison) -> Chip:
    unexplained = outcome.standing is Standing.DIFFERS and not outcome.note
    return _UNEXPLAINED if unexplained else _MARKS[outcome.standing]


def _measured(layer: str, laws: Laws) -> TableLine:
    return TableLine("measured", True, tuple(_measured_cell(laws, layer, column) for column in Column))


def _measured_cell(laws: Laws, layer: str, column: Column) -> TableCell:
    law = laws[layer, column]
    formula, field = _for_one_sequence(law), laws.get((layer, "hops_rf"))
    if column is Column.PATH and field is not None and field.formula not in ("", law.formula):
        return TableCell(formula, lower_bound=law.lower_bound, aside="rf", aside_formula=_for_one_sequence(field))
    return TableCell(formula, lower_bound=law.lower_bound, aside="" if law.formula else "no formula found")


def _for_one_sequence(law: Law) -> Markup:
    try:
        return math_text(per_sequence(law.formula)) if law.formula else NOTHING
    except FormulaError:
        return math_text(law.formula)


def _sources(layers: Iterable[TableLayer]) -> tuple[Fact, ...]:
    used = {line.source for layer in layers for line in layer.lines}
    return tuple(Fact(name, text) for name, text in SOURCES.items() if name in used)


# ----------------------------------------------------------------------------------- two sentences of the text


_DEARER, _CHEAPER, _BY = "conv1d", "rnn", "k"
#: Every pair that "self-attention is faster than a recurrent layer" could mean.
_RIVALS = (
    ("attention-core", "rnn"),
    ("multi-head-attention", "rnn"),
    ("multi-head-attention", "gru"),
    ("multi-head-attention", "lstm"),
)
_HOLDS, _FAILS = Chip("confirmed", "✓", "holds"), Chip("refuted", "✕", "does not hold")
_IN_PART = Chip("regime", "~", "holds up to a constant")


def _factor(laws: Laws) -> tuple[SentenceRow, ...]:
    """The convolution against the recurrent layer."""
    if (pair := _flops(laws, _DEARER, _CHEAPER)) is None:
        return ()
    ratio = quotient(*pair)
    alike = same_growth(Formula(_BY), Formula(ratio), "nd")
    mark = _HOLDS if ratio == _BY else _IN_PART if alike else _FAILS
    sentence = "A convolution costs k times what a recurrent layer does."
    return (SentenceRow(sentence, f"{_DEARER} over {_CHEAPER}", "the exact factor is", math_text(ratio), mark),)


def _rivals(laws: Laws) -> tuple[SentenceRow, ...]:
    """Self-attention, the core and the whole layer, against each recurrent layer."""
    rows = []
    for first, second in _RIVALS:
        pair = _flops(laws, first, second)
        if pair is not None and (border := crossing(*pair)) is not None:
            rows.append(_rival(f"{first} against {second}", border))
    return tuple(rows)


def _rival(pair: str, border: Crossing) -> SentenceRow:
    sentence = "Self-attention costs less than a recurrent layer while n < d."
    if border.where in ("never", "always"):
        where = "costs less at no length" if border.where == "never" else "costs less at every length"
        return SentenceRow(sentence, pair, where, Markup(), _FAILS if border.where == "never" else _HOLDS)
    ratio, side = border.ratio, "&lt;" if border.where == "below" else "&gt;"
    bound = math_text("d" if ratio == 1 else f"{ratio.numerator}*d/{ratio.denominator}".removesuffix("/1"))
    holds = border.where == "below" and ratio >= 1  # then it costs less wherever n < d, and perhaps beyond
    measured = Markup("{} {} {}").format(math_text("n"), Markup(side), bound)  # noqa: S704 - one of two constants
    return SentenceRow(sentence, pair, "costs less where", measured, _HOLDS if holds else _FAILS)


def _flops(laws: Laws, first: str, second: str) -> tuple[str, str] | None:
    """The exact counts of two layers for one sequence; None without both."""
    pair = [laws.get((layer, Column.COMPLEXITY)) for layer in (first, second)]
    try:
        one, other = (per_sequence(law.formula) for law in pair if law and law.formula and not law.lower_bound)
    except (FormulaError, ValueError):
        return None
    return one, other
