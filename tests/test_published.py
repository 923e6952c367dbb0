"""The published tables as data: readable, about layers that exist, and compared by growth, never by name."""

from __future__ import annotations

import pytest

from attnbench.errors import FormulaError
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from attnbench.layers.registry import BUILT_IN
from attnbench.published import PUBLISHED, SOURCES, Column, PublishedRow, Standing, compare, per_sequence
from attnbench.trial import AXES, Subject

CELLS = [(row, column) for row in PUBLISHED for column in Column]


def name(value: object) -> str:
    return f"{value.source}: {value.kind}" if isinstance(value, PublishedRow) else str(value)


def row(source: str, kind: str) -> PublishedRow:
    [found] = [row for row in PUBLISHED if (row.source, row.kind) == (source, kind)]
    return found


def law(metric: str, formula: str, **fields: object) -> Law:
    return Law(Subject("layer"), metric, Verdict.INFERRED, "exact", formula=formula, **fields)


@pytest.mark.parametrize(("row", "column"), CELLS, ids=name)
def test_a_published_cell_is_a_formula_over_known_sizes(row: PublishedRow, column: Column) -> None:
    assert Formula(row.cell(column)).axes <= set(AXES)


@pytest.mark.parametrize("row", PUBLISHED, ids=name)
def test_a_row_is_about_layers_that_exist_and_cites_a_known_source(row: PublishedRow) -> None:
    assert row.layers.keys() <= BUILT_IN.keys()
    assert row.source in SOURCES
    for convention in row.conventions:
        assert Formula(convention.reads).axes <= set(AXES)
        assert convention.text.endswith(".")


@pytest.mark.parametrize("row", PUBLISHED, ids=name)
def test_what_a_source_adds_up_to_grows_as_its_cell(row: PublishedRow) -> None:
    for layer in row.layers:
        for column, exact in row.exact.items():
            sizes = row.layers[layer]
            assert compare(row, layer, column, law(column, _in(exact, sizes))).standing is Standing.AGREES


def _in(formula: str, sizes: dict[str, str]) -> str:
    for size, ours in sizes.items():
        formula = formula.replace(size, f"({ours})")
    return formula


@pytest.mark.parametrize(
    ("source", "kind", "layer", "column", "formula", "standing", "piece"),
    [
        ("paper", "Self-attention", "attention-core", "flops", "4*b*n**2*d", Standing.AGREES, ""),
        ("paper", "Self-attention", "attention-core", "depth", "4", Standing.AGREES, "kernels that wait"),
        ("book", "Recurrent", "rnn", "flops", "4*b*n*d**2", Standing.AGREES, "one d×d matrix with the state"),
        ("book", "Recurrent", "rnn", "flops", "2*b*n*d**2", Standing.AGREES, ""),
        ("paper", "Recurrent", "gru", "hops", "n - 1", Standing.AGREES, "handed on n − 1 times"),
        ("paper", "Recurrent", "gru", "hops", "n", Standing.AGREES, ""),
        ("book", "Convolutional", "conv1d", "hops", "ceil(2*(n - 1)/(k - 1))", Standing.AGREES, "receptive field"),
        ("book", "Convolutional", "conv1d-causal", "hops", "ceil((n - 1)/(k - 1))", Standing.AGREES, ""),
        ("paper", "Convolutional", "conv1d", "hops", "ceil(2*(n - 1)/(k - 1))", Standing.CONVENTION, "dilated kernels"),
        ("paper", "Convolutional", "conv1d-dilated-centred", "hops", "inf", Standing.DIFFERS, "padded with zeros"),
        ("paper", "Convolutional", "conv1d", "hops", "n**2", Standing.DIFFERS, ""),
        ("paper", "Self-attention, restricted", "attention-block-diagonal", "flops", "4*b*n*c*d", Standing.AGREES, ""),
        ("paper", "Self-attention, restricted", "attention-restricted", "flops", "4*n**2*d", Standing.DIFFERS, ""),
    ],
)
def test_a_convention_explains_only_what_it_fits(
    source: str, kind: str, layer: str, column: str, formula: str, standing: Standing, piece: str
) -> None:
    found = compare(row(source, kind), layer, Column(column), law(column, formula))

    assert found.standing is standing
    assert piece in found.note if piece else found.note == ""


@pytest.mark.parametrize(
    "found", [None, law("flops", ""), law("flops", "n**2*d", uncounted=("aten::x",)), law("flops", "?")]
)
def test_nothing_is_decided_without_an_exact_law(found: Law | None) -> None:
    assert (
        compare(row("paper", "Self-attention"), "attention-core", Column.COMPLEXITY, found).standing is Standing.UNKNOWN
    )


@pytest.mark.parametrize(
    "formula",
    ["8*b*n*d**2 + 4*b*n**2*d", "b*n*ceil(n/4)*d + b**2", "4*n**2", "max(b, n)*d", "b*log2(b)*n + b*n*d"],
)
def test_a_formula_for_one_sequence_has_the_value_of_a_batch_of_one(formula: str) -> None:
    for sizes in ({"b": 1, "n": 33, "d": 7}, {"b": 1, "n": 128, "d": 64}):
        assert Formula(per_sequence(formula)).evaluate(sizes) == Formula(formula).evaluate(sizes)
    assert "b" not in Formula(per_sequence(formula)).axes


def test_what_is_no_formula_is_refused() -> None:
    with pytest.raises(FormulaError):
        per_sequence("n; import os")
