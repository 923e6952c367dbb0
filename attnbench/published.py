"""The tables that others have published on complexity, sequential operations and path length, as data, beside ours.

A published cell is a class, O(…), without constants; a counted law is exact. `compare` says whether both grow alike,
and where they do not, which convention turns one into the other. It never takes a convention on trust: one explains a
cell only when the cell, read by it, grows as the law that was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from attnbench.errors import FormulaError
from attnbench.formula import Formula, from_terms
from attnbench.formula.crossing import replaced
from attnbench.formula.growth import same_growth
from attnbench.formula.monomial import Monomial
from attnbench.law import Law


class Column(StrEnum):
    """The three columns that all tables share; the value is the metric that measures it."""

    COMPLEXITY = "flops"
    SEQUENTIAL = "depth"
    PATH = "hops"


class Standing(StrEnum):
    """How a published cell stands to the counted law."""

    AGREES = "agrees"
    CONVENTION = "another convention"
    DIFFERS = "differs"
    UNKNOWN = "not decided"


@dataclass(frozen=True, slots=True)
class Convention:
    """One way in which a cell and a count mean different things.

    Attributes:
        column: the column that it explains.
        reads: the cell as it would have to be printed by the convention of the count, over the published sizes.
        text: what the difference is, as a sentence for a reader.
        excuses: whether the cell is right by its own convention; otherwise it does not hold for the layer, and the
            text says why.
    """

    column: Column
    reads: str
    text: str
    excuses: bool = True


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        source: whose table, a key of `SOURCES`.
        kind: the layer type that it is about.
        layers: our layers that realise it → its sizes that ours have not, in our sizes.
        complexity, sequential, path: the cells, as formula text.
        exact: what the source's own way of counting adds up to with coefficients, where it says enough to tell.
        conventions: what explains differences, the first that fits.
    """

    source: str
    kind: str
    layers: Mapping[str, Mapping[str, str]]
    complexity: str
    sequential: str
    path: str
    exact: Mapping[Column, str] = field(default_factory=dict)
    conventions: tuple[Convention, ...] = ()

    def cell(self, column: Column) -> str:
        """The cell of `column`, as printed."""
        cells = {Column.COMPLEXITY: self.complexity, Column.SEQUENTIAL: self.sequential, Column.PATH: self.path}
        return cells[column]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published cell against a law: where it stands, and the sentence that explains a difference (or nothing)."""

    standing: Standing
    note: str = ""


PAPER, COMMENTED, BOOK = "paper", "paper, commented out", "book"
SOURCES = {
    PAPER: "Vaswani et al., Attention Is All You Need (2017), section 4, Table 1",
    COMMENTED: "rows of the same table that its authors left commented out in the LaTeX source (arXiv 1706.03762)",
    BOOK: "Zhang et al., Dive into Deep Learning, section “Comparing CNNs, RNNs, and Self-Attention”",
}

_PROJECTIONS = Convention(
    Column.COMPLEXITY,
    "n**2*d + n*d**2",
    "The source counts scores and weighted sum, the core of attention. A layer also multiplies every position by d×d "
    "matrices, for queries and keys and mostly for values and output too: work of the order nd².",
)
_ONE_STEP = Convention(
    Column.SEQUENTIAL,
    "1",
    "The source takes a whole layer for one operation. The count is of kernels that wait for one another, a reduction "
    "such as a softmax being one of them: more than one, but the same number at every size.",
)
_STEPS = Convention(
    Column.SEQUENTIAL,
    "n",
    "The source counts steps. The count is of kernels that wait for one another, and a step is several of them.",
)
_HANDED_ON = Convention(
    Column.PATH,
    "n",
    "The source counts all n steps. From the first position to the last, the state is handed on n − 1 times.",
)
_MATRICES = (
    "A plain cell has a second one for its input, gated cells have three or four such pairs, and a bidirectional "
    "layer has its pair twice."
)
_CONTIGUOUS = Convention(
    Column.PATH,
    "n/k",
    "The paper's logₖ n belongs to a stack of dilated kernels, as its text says. Contiguous kernels need a stack of "
    "the order of n/k, which is what the book prints.",
)
_CONVOLUTION = (
    Convention(
        Column.COMPLEXITY,
        "l*k*n*d**2",
        "The source gives the cost of one convolution beside the path length of a stack. A stack of l levels "
        "costs l times as much.",
    ),
    Convention(
        Column.SEQUENTIAL, "l", "The source counts one convolution. A stack runs its l levels one after another."
    ),
    _ONE_STEP,
    _CONTIGUOUS,
    Convention(
        Column.PATH,
        "log2(n/k)",
        "The base k needs dilations that grow k-fold. Where they double, the base is 2, whatever k is.",
    ),
    Convention(
        Column.PATH,
        "inf",
        "The logarithm needs paths that stay inside the sequence, as those of causal kernels do. Centred kernels that "
        "are padded with zeros cut every path that steps beyond an end: some pairs are never connected.",
        excuses=False,
    ),
)

#: In the order of the paper's table; the rows that were commented out follow.
PUBLISHED: tuple[PublishedRow, ...] = (
    PublishedRow(
        PAPER,
        "Self-attention",
        {
            "attention-core": {},
            "attention-core-fused": {},
            "multi-head-attention": {},
            "multi-head-attention-materialised": {},
            "attention-additive": {},
        },
        *("n**2*d", "1", "1"),
        exact={Column.COMPLEXITY: "4*n**2*d", Column.SEQUENTIAL: "1"},
        conventions=(_PROJECTIONS, _ONE_STEP),
    ),
    PublishedRow(
        BOOK,
        "Self-attention",
        {"attention-core": {}, "attention-core-fused": {}, "multi-head-attention": {}},
        *("n**2*d", "1", "1"),
        exact={Column.COMPLEXITY: "4*n**2*d", Column.SEQUENTIAL: "1"},
        conventions=(_PROJECTIONS, _ONE_STEP),
    ),
    PublishedRow(
        PAPER,
        "Recurrent",
        {"rnn": {}, "gru": {}, "lstm": {}, "rnn-bidirectional": {}},
        *("n*d**2", "n", "n"),
        exact={Column.SEQUENTIAL: "n", Column.PATH: "n"},
        conventions=(
            Convention(
                Column.COMPLEXITY,
                "n*d**2",
                f"The paper gives the order of one d×d matrix a step. {_MATRICES}",
            ),
            _STEPS,
            _HANDED_ON,
        ),
    ),
    PublishedRow(
        BOOK,
        "Recurrent",
        {"rnn": {}},
        *("n*d**2", "n", "n"),
        exact={Column.COMPLEXITY: "2*n*d**2", Column.SEQUENTIAL: "n", Column.PATH: "n"},
        conventions=(
            Convention(
                Column.COMPLEXITY,
                "n*d**2",
                "The book counts the product of one d×d matrix with the state, 2nd² operations for the sequence. "
                "The matrix of the input is as large.",
            ),
            _STEPS,
            _HANDED_ON,
        ),
    ),
    PublishedRow(
        PAPER,
        "Convolutional",
        {
            "conv1d": {},
            "conv1d-causal": {},
            "conv1d-dilated-causal": {},
            "conv1d-dilated-centred": {},
            "conv1d-dilated-doubling": {},
        },
        *("k*n*d**2", "1", "log(n, k)"),
        exact={Column.COMPLEXITY: "2*k*n*d**2", Column.SEQUENTIAL: "1"},
        conventions=_CONVOLUTION,
    ),
    PublishedRow(
        BOOK,
        "Convolutional",
        {"conv1d": {}, "conv1d-causal": {}},
        *("k*n*d**2", "1", "n/k"),
        exact={
            Column.COMPLEXITY: "2*k*n*d**2",
            Column.SEQUENTIAL: "1",
            Column.PATH: "ceil((n - 1)/(k - 1))",
        },
        conventions=(
            _ONE_STEP,
            Convention(
                Column.PATH,
                "n/k",
                "The book counts layers until two positions lie in the receptive field of one output (rf). From input "
                "to output position (io) a centred kernel carries (k − 1)/2 positions a layer: twice as many layers.",
            ),
        ),
    ),
    PublishedRow(
        PAPER,
        "Self-attention, restricted",
        {"attention-restricted": {"r": "2*w + 1"}, "attention-block-diagonal": {"r": "c"}},
        *("r*n*d", "1", "n/r"),
        exact={Column.COMPLEXITY: "4*r*n*d", Column.SEQUENTIAL: "1", Column.PATH: "n/r"},
        conventions=(
            _ONE_STEP,
            Convention(
                Column.PATH,
                "n/r",
                "r is the whole neighbourhood, 2w + 1 positions centred on the output. One layer carries w of them "
                "either way, so about 2n/r layers are needed.",
            ),
            Convention(
                Column.PATH,
                "inf",
                "The neighbourhood has to be centred on its own output, as the paper's is. Fixed blocks of r = c "
                "positions cost as much, and no stack of them connects two blocks.",
                excuses=False,
            ),
        ),
    ),
    PublishedRow(
        COMMENTED,
        "Convolutional, separable",
        {"conv1d-separable": {}},
        *("k*n*d + n*d**2", "1", "log(n, k)"),
        exact={Column.COMPLEXITY: "2*k*n*d + 2*n*d**2", Column.SEQUENTIAL: "1"},
        conventions=_CONVOLUTION,
    ),
    PublishedRow(
        COMMENTED,
        "Feed-forward, position by position",
        {"feed-forward": {}},
        *("n*d**2", "1", "inf"),
        exact={Column.SEQUENTIAL: "1"},
        conventions=(_ONE_STEP,),
    ),
    PublishedRow(
        COMMENTED,
        "Fully connected",
        {"fully-connected": {}},
        *("n**2*d**2", "1", "1"),
        exact={Column.COMPLEXITY: "2*n**2*d**2", Column.SEQUENTIAL: "1"},
        conventions=(_ONE_STEP,),
    ),
)


def compare(row: PublishedRow, layer: str, column: Column, law: Law | None) -> Comparison:
    """How the cell of `row` stands to `law`, which was counted for one of its layers.

    A lower bound decides nothing, and neither does a law without a formula.
    """
    if law is None or law.lower_bound or not law.formula:
        return Comparison(Standing.UNKNOWN)
    try:
        found = Formula(per_sequence(law.formula))
    except FormulaError:
        return Comparison(Standing.UNKNOWN)
    agrees = same_growth(_in_our_sizes(row, layer, row.cell(column)), found, "nd")
    exact = row.exact.get(column)
    if agrees and exact and _equal(_in_our_sizes(row, layer, exact), found):
        return Comparison(Standing.AGREES)
    fitting = (c for c in row.conventions if c.column is column)
    fits = next((c for c in fitting if same_growth(_in_our_sizes(row, layer, c.reads), found, "nd")), None)
    if agrees:
        return Comparison(Standing.AGREES, fits.text if fits else "")
    if fits is None:
        return Comparison(Standing.DIFFERS)
    return Comparison(Standing.CONVENTION if fits.excuses else Standing.DIFFERS, fits.text)


def per_sequence(formula: str) -> str:
    """A counted formula for a batch of one, as the tables have it; as a sum of terms where it is one.

    Raises:
        FormulaError: `formula` cannot be read.
    """
    whole = Formula(formula)
    if "b" not in whole.axes:
        return formula
    if not whole.is_sum_of_terms:
        return replaced(formula, {"b": "1"})
    return from_terms(
        (term.coefficient, Monomial.of({axis: p for axis, p in term.monomial.powers if axis != "b"}, dict(logs)))
        for term in whole.terms
        if "b" not in dict(logs := term.monomial.logs)  # log₂ of a batch of one is nothing
    ).text


# ---------------------------------------------------------------------------------------------------- comparing

#: Lengths and other sizes at which two formulas are compared exactly; odd kernels, lengths even and odd.
_LENGTHS = (127, 512, 1021, 4096, 10_007)
_OTHERS = (3, 5, 7, 9, 11, 13, 17, 19)


def _in_our_sizes(row: PublishedRow, layer: str, formula: str) -> Formula:
    return Formula(replaced(formula, row.layers[layer]))


def _equal(one: Formula, other: Formula) -> bool:
    """Whether both have the same value at every size that is tried."""
    try:
        return all(one.evaluate(sizes) == other.evaluate(sizes) for sizes in _sizes(one.axes | other.axes))
    except FormulaError:
        return False


def _sizes(axes: frozenset[str]) -> Iterator[dict[str, int]]:
    for shift, length in enumerate(_LENGTHS):
        others = {axis: _OTHERS[(place + shift) % len(_OTHERS)] for place, axis in enumerate(sorted(axes))}
        yield others | {"n": length}
