"""Table 1 on the page: its words follow the laws, its ratios are computed, and its text is only text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.formula.crossing import Crossing, crossing, quotient
from attnbench.law import COUNTED_METRICS
from attnbench.published import PUBLISHED
from attnbench.report.page import build_context, render, script
from attnbench.report.sections.table1 import table1
from attnbench.spec import load_suite
from tests.report.fake_run import HOSTILE, FakeLayer, attention, counted, rnn, write_fake_run
from tests.report.reading import Element, read

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.law import Law
    from attnbench.report.sections.table1 import Table1, TableLayer

#: Layer → FLOPs, depth, hops (io) and hops (rf), derived on paper.
TRUTH = {
    "attention-core": ("4*b*n**2*d", "4", "1", "1"),
    "attention-core-fused": ("4*b*n**2*d", "1", "1", "1"),
    "multi-head-attention": ("8*b*n*d**2 + 4*b*n**2*d", "6", "1", "1"),
    "multi-head-attention-materialised": ("8*b*n*d**2 + 4*b*n**2*d", "6", "1", "1"),
    "attention-restricted": ("8*b*n*w*d + 4*b*n*d", "7", "ceil((n - 1)/w)", "ceil((n - 1)/(2*w))"),
    "attention-additive": ("4*b*n*d**2 + 4*b*n**2*d", "7", "1", "1"),
    "rnn": ("4*b*n*d**2", "3*n + 3", "n - 1", "n - 1"),
    "gru": ("12*b*n*d**2", "11*n + 3", "n - 1", "n - 1"),
    "lstm": ("16*b*n*d**2", "10*n + 2", "n - 1", "n - 1"),
    "rnn-bidirectional": ("8*b*n*d**2", "3*n + 5", "n - 1", "n - 1"),
    "conv1d": ("2*b*k*n*d**2", "1", "ceil(2*(n - 1)/(k - 1))", "ceil((n - 1)/(k - 1))"),
    "conv1d-causal": ("2*b*k*n*d**2", "1", "ceil((n - 1)/(k - 1))", "ceil((n - 1)/(k - 1))"),
    "conv1d-separable": ("2*b*k*n*d + 2*b*n*d**2", "2", "ceil(2*(n - 1)/(k - 1))", "ceil((n - 1)/(k - 1))"),
    "conv1d-dilated-causal": ("2*b*k*l*n*d**2", "l", "ceil(log(n, k))", "ceil(log(n, k))"),
    "conv1d-dilated-centred": ("2*b*k*l*n*d**2", "l", "inf", "inf"),
    "conv1d-dilated-doubling": (
        "2*b*k*l*n*d**2",
        "l",
        "ceil(log2((n - 1)/(k - 1) + 1))",
        "ceil(log2((n - 1)/(k - 1) + 1))",
    ),
    "feed-forward": ("16*b*n*d**2", "3", "inf", "inf"),
    "fully-connected": ("2*b*n**2*d**2", "1", "1", "1"),
    "attention-block-diagonal": ("4*b*n*c*d", "4", "inf", "inf"),
}
METRIC_ORDER = ("flops", "depth", "hops", "hops_rf")
AGREES, CONVENTION, DIFFERS = "agrees", "another convention", "differs"
UNEXPLAINED, UNDECIDED = "differs, not explained", "not decided"


def laws(**swapped: str) -> tuple[Law, ...]:
    """The true laws; `swapped` holds formulas by ``layer__metric``, with ``_`` for ``-`` in the layer."""
    return tuple(
        counted(layer, metric, swapped.get(f"{layer.replace('-', '_')}__{metric}", formula), None)
        for layer, formulas in TRUTH.items()
        for metric, formula in zip(METRIC_ORDER, formulas, strict=True)
    )


def reach(layer: str) -> list[list[float]]:
    """A gradient that decays with distance; none beyond 20 where the layer cannot reach farther."""
    rate = {"rnn": 0.5, "lstm": 0.92, "gru": 0.85, "conv1d": 0.7}.get(layer, 0.99)
    return [[float(distance), 0.0 if "block" in layer and distance > 20 else rate**distance] for distance in range(64)]


def page_of(folder: Path, found: tuple[Law, ...], layers: tuple[FakeLayer, ...] = (), **changes: object) -> str:
    return render(build_context(write_fake_run(folder, layers, counted_laws=found, **changes)))


def table_of(folder: Path, found: tuple[Law, ...]) -> Table1:
    return table1(write_fake_run(folder, (), counted_laws=found))


def words(layer: TableLayer) -> dict[str, tuple[str, ...]]:
    """Source → the words of its cells."""
    return {line.source: tuple(cell.mark.word for cell in line.cells) for line in layer.lines if not line.measured}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table1:
    return table_of(tmp_path_factory.mktemp("table1") / "run", laws())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    suite = {"title": "Table 1, measured", "question": "What does a layer cost?", "metrics": ["flops", "depth", "hops"]}
    changes = {"suite": suite, "suite_name": "table1", "reach": {layer: reach(layer) for layer in TRUTH}}
    return page_of(tmp_path_factory.mktemp("page") / "run", laws(), **changes)


class TestTheTable:
    def test_has_every_layer_of_the_run_in_the_order_of_the_paper(self, table: Table1) -> None:
        kinds = [layer.kind for layer in table.layers if layer.kind]

        assert {layer.layer for layer in table.layers} == set(TRUTH)
        assert kinds == list(dict.fromkeys(row.kind for row in PUBLISHED))
        assert [layer.layer for layer in table.layers][:2] == ["attention-core", "attention-core-fused"]

    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            ("attention-core", {"paper": (AGREES, AGREES, AGREES), "book": (AGREES, AGREES, AGREES)}),
            ("multi-head-attention", {"paper": (CONVENTION, AGREES, AGREES), "book": (CONVENTION, AGREES, AGREES)}),
            ("lstm", {"paper": (AGREES, AGREES, AGREES)}),
            ("conv1d", {"paper": (AGREES, AGREES, CONVENTION), "book": (AGREES, AGREES, AGREES)}),
            ("conv1d-dilated-causal", {"paper": (CONVENTION, CONVENTION, AGREES)}),
            ("conv1d-dilated-doubling", {"paper": (CONVENTION, CONVENTION, CONVENTION)}),
            ("conv1d-dilated-centred", {"paper": (CONVENTION, CONVENTION, DIFFERS)}),
            ("conv1d-separable", {"paper, commented out": (AGREES, AGREES, CONVENTION)}),
            ("attention-restricted", {"paper": (AGREES, AGREES, AGREES)}),
            ("attention-block-diagonal", {"paper": (AGREES, AGREES, DIFFERS)}),
            ("feed-forward", {"paper, commented out": (AGREES, AGREES, AGREES)}),
            ("fully-connected", {"paper, commented out": (AGREES, AGREES, AGREES)}),
        ],
    )
    def test_says_where_each_published_cell_stands(
        self, table: Table1, layer: str, expected: dict[str, tuple[str, ...]]
    ) -> None:
        [found] = [found for found in table.layers if found.layer == layer]

        assert words(found) == expected

    @pytest.mark.parametrize(
        ("swap", "layer", "column", "word"),
        [
            ({"attention_core__flops": "4*b*n**3*d"}, "attention-core", 0, UNEXPLAINED),
            ({"multi_head_attention__flops": "4*b*n**2*d"}, "multi-head-attention", 0, AGREES),
            ({"rnn__depth": "4"}, "rnn", 1, UNEXPLAINED),
            ({"rnn__hops": "1"}, "rnn", 2, UNEXPLAINED),
            ({"conv1d__hops": "ceil(log(n, k))"}, "conv1d", 2, AGREES),
            ({"conv1d__hops": "ceil(sqrt(n))"}, "conv1d", 2, UNEXPLAINED),
            ({"feed_forward__hops": "n"}, "feed-forward", 2, UNEXPLAINED),
            ({"gru__flops": ""}, "gru", 0, UNDECIDED),
        ],
    )
    def test_changes_its_word_when_the_law_changes(
        self, tmp_path: Path, swap: dict[str, str], layer: str, column: int, word: str
    ) -> None:
        [found] = [found for found in table_of(tmp_path / "run", laws(**swap)).layers if found.layer == layer]

        assert found.lines[0].cells[column].mark.word == word

    def test_decides_nothing_from_a_lower_bound(self, tmp_path: Path) -> None:
        found = tuple(replace(law, uncounted=("aten::hann_window",)) if law.layer == "rnn" else law for law in laws())
        [layer] = [layer for layer in table_of(tmp_path / "run", found).layers if layer.layer == "rnn"]

        assert words(layer)["paper"] == (UNDECIDED,) * 3
        assert layer.lines[-1].cells[0].lower_bound

    def test_shows_each_note_that_a_cell_points_to_and_no_other(self, table: Table1, page: str) -> None:
        pointed = {cell.note for layer in table.layers for line in layer.lines for cell in line.cells} - {""}
        anchors = re.findall(r'id="note-(\d+)"', page)

        assert [note.name for note in table.notes] == anchors == [str(place + 1) for place in range(len(anchors))]
        assert pointed == set(anchors)

    def test_shows_both_path_conventions_where_they_differ(self, table: Table1) -> None:
        asides = {layer.layer for layer in table.layers if layer.lines[-1].cells[2].aside == "rf"}

        assert asides == {"conv1d", "conv1d-separable", "attention-restricted"}


class TestTheSentences:
    def test_are_judged_by_the_counted_formulas(self, table: Table1) -> None:
        assert [(row.pair, row.mark.word) for row in table.sentences] == [
            ("conv1d over rnn", "holds up to a constant"),
            ("attention-core against rnn", "holds"),
            ("multi-head-attention against rnn", "does not hold"),
            ("multi-head-attention against gru", "holds"),
            ("multi-head-attention against lstm", "holds"),
        ]
        assert "<mfrac><mrow><mi>k</mi></mrow><mrow><mn>2</mn></mrow></mfrac>" in table.sentences[0].measured
        assert "<mn>2</mn>" in table.sentences[4].measured

    def test_follow_another_count(self, tmp_path: Path) -> None:
        swapped = table_of(tmp_path / "run", laws(rnn__flops="2*b*n*d**2", attention_core__flops="8*b*n**2*d"))

        assert [(row.pair, row.mark.word) for row in swapped.sentences][:2] == [
            ("conv1d over rnn", "holds"),
            ("attention-core against rnn", "does not hold"),
        ]

    def test_are_left_out_where_a_layer_is_missing(self, tmp_path: Path) -> None:
        found = tuple(law for law in laws() if law.layer not in ("rnn", "gru"))

        assert [row.pair for row in table_of(tmp_path / "run", found).sentences] == [
            "multi-head-attention against lstm"
        ]

    @pytest.mark.parametrize(
        ("dearer", "cheaper", "ratio"),
        [
            ("2*k*n*d**2", "4*n*d**2", "k/2"),
            ("6*k*n*d**2", "2*n*d**2", "3*k"),
            ("2*n*d**2", "2*n*d**2", "1"),
            ("n", "d", "(n)/(d)"),
        ],
    )
    def test_divide_formulas_exactly(self, dearer: str, cheaper: str, ratio: str) -> None:
        assert quotient(dearer, cheaper) == ratio

    @pytest.mark.parametrize(
        ("first", "second", "where"),
        [
            ("4*n**2*d", "4*n*d**2", Crossing("below", 1)),
            ("8*n*d**2 + 4*n**2*d", "4*n*d**2", Crossing("never")),
            ("8*n*d**2 + 4*n**2*d", "16*n*d**2", Crossing("below", 2)),
            ("16*n*d**2", "8*n*d**2 + 4*n**2*d", Crossing("above", 2)),
            ("2*n*d**2", "4*n*d**2", Crossing("always")),
            ("4*n**2*d + n", "4*n*d**2", None),
            ("4*n**2*d", "4*k*n*d**2", None),
        ],
    )
    def test_find_where_two_costs_meet(self, first: str, second: str, where: Crossing | None) -> None:
        assert crossing(first, second) == where


class TestThePage:
    def test_shows_the_table_before_the_verdicts(self, page: str) -> None:
        assert page.index('id="table-one"') < page.index('id="verdicts"')

    def test_of_a_run_without_these_laws_shows_no_such_section(self, tmp_path: Path) -> None:
        timed = page_of(tmp_path / "timed", (), (attention(), rnn()))
        one_kind = tuple(law for law in laws() if law.layer in ("rnn", "gru"))

        assert "table-one" not in re.sub(r"<style.*?</style>", "", timed, flags=re.DOTALL)
        assert 'id="table-one"' not in page_of(tmp_path / "one", one_kind)

    def test_has_no_figure_without_a_text_alternative(self, page: str) -> None:
        figures = [element for element in read(page) if element.tag == "svg"]
        texts = dict(re.findall(r'<desc id="([^"]+)">([^<]+)</desc>', page))
        titles = re.findall(r"<title id=[^>]+>([^<]+)</title>", page)

        assert len(figures) == 6
        assert all(figure.attributes["aria-labelledby"].split()[1] in texts for figure in figures)
        assert titles[0] == "Maximum path length against n"
        assert "⌈2(n − 1)/(k − 1)⌉" in page
        assert any("rnn: 1 at distance 0" in text for text in texts.values())

    def test_says_what_each_number_does_not_see(self, tmp_path: Path) -> None:
        found = (*laws(), counted("rnn", "peak_bytes", "4*b*n*d", None))

        assert "live tensors only; scratch memory inside a kernel is unseen" in page_of(tmp_path / "run", found)

    def test_escapes_a_hostile_layer(self, tmp_path: Path) -> None:
        hostile = tuple(
            counted(HOSTILE, metric, HOSTILE if metric == "flops" else "n", None) for metric in METRIC_ORDER
        )
        spoiled = laws(rnn__flops=HOSTILE, conv1d__hops=HOSTILE)
        changes = {"reach": {HOSTILE: reach("rnn"), "rnn": []}, "scopes": {"rnn": HOSTILE}}
        elements: list[Element] = read(page_of(tmp_path / "run", (*spoiled, *hostile), **changes))

        assert [element.pieces for element in elements if element.tag == "script"] == [[str(script())]]
        assert {"code", "small", "text", "dd", "desc"} <= {e.tag for e in elements if HOSTILE in e.text}


def test_the_suite_asks_for_every_layer_of_the_published_tables_and_needs_no_clock() -> None:
    suite = load_suite("table1")

    assert set(suite.layers) == {layer for row in PUBLISHED for layer in row.layers} == set(TRUTH)
    assert suite.layers[0] == "attention-core"
    assert set(suite.metrics) == set(COUNTED_METRICS)
