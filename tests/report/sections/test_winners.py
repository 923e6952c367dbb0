"""Who wins where, on layers whose times and bytes are known formulas."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from attnbench.law import Curves, Verdict
from attnbench.report.page import render
from attnbench.report.sections.winners import winners
from tests.report.fake_run import HOSTILE, FakeLayer, three, time_law, write_fake_run
from tests.report.reading import Element, read
from tests.report.sections.test_crossovers import layer

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext
    from attnbench.report.sections.winners import WinnerMaps

LENGTHS, WIDTHS = (128, 512, 2048, 8192), (64, 128)


def counted(one: FakeLayer, flops: str, peak: str) -> FakeLayer:
    return replace(one, counted_laws=three(one.name, (flops, None), "0", peak))


#: By the clock and by count they meet at n = 4d; by bytes, 8n² against 4nd, at n = d/2.
SQUARE = counted(layer("square", "n**2*d", 1e-11, "0"), "4*b*n**2*d", "8*b*n**2")
LINE = counted(layer(HOSTILE, "n*d**2", 4e-11, "0"), "16*b*n*d**2", "4*b*n*d")


def text_of(svg: list[Element], tag: str) -> str:
    return " ".join(element.text for element in svg if element.tag == tag)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> WinnerMaps:
    run = write_fake_run(tmp_path_factory.mktemp("results") / "maps", (SQUARE, LINE))
    [found] = winners(run)
    return found


def test_both_maps_name_their_winners_and_the_line_of_equal_work(group: WinnerMaps) -> None:
    by_time, by_bytes = map(read, group.maps.pictures)

    for svg in (by_time, by_bytes):
        told = text_of(svg, "desc")
        assert "need equal counted FLOPs (n = 4d)." in told
        shown = text_of(svg, "text")
        assert "B square" in shown
        assert f"A {HOSTILE[:12]}" in shown
        assert "equal counted work: n = 4d" in shown
    told = text_of(by_time, "desc")
    assert "square: fastest in" in told
    assert f"{HOSTILE}: fastest in" in told
    assert "Too close to call in" in told
    assert "too close to call" in text_of(by_time, "text")


def test_the_tables_say_who_wins_at_sizes_that_were_measured_and_by_how_much(group: WinnerMaps) -> None:
    by_time, by_bytes = group.tables

    assert by_time.widths == ("d = 64", "d = 128")
    assert [length for length, _ in by_time.rows] == ["n = 128", "n = 512", "n = 2048", "n = 8192"]
    layers = [[cell.layer for cell in cells] for _, cells in by_time.rows]
    assert layers[0] == ["square", "square"]  # n is 2d, and d
    assert layers[2:] == [[HOSTILE] * 2] * 2
    # At n = 512, d = 128 both take the same: 4d = 512.
    assert by_time.rows[1][1][1].close
    assert by_time.rows[0][1][0].note == f"5.24 µs; next {HOSTILE}, 2.00×"  # 1e-11·128²·64, and half of it a sequence
    assert by_bytes.rows[0][1][0] == replace(by_bytes.rows[0][1][0], layer=HOSTILE, note="32.0 KiB; next square, 4.00×")


def test_a_page_has_the_maps_after_where_each_overtakes_and_escapes_the_names(
    context: PageContext, group: WinnerMaps
) -> None:
    page = render(replace(context, winners=(group,)))

    assert "<script>alert" not in page
    assert 'id="territory">Who wins where</h2>' in page
    levels = [int(element.tag[1]) for element in read(page) if element.tag in ("h1", "h2", "h3", "h4")]
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert page.count("<em>too close to call</em>") == sum(
        cell.close for table in group.tables for _, cells in table.rows for cell in cells
    )


def envelope(count: int) -> list[FakeLayer]:
    """Straight lines over n, each of which is the lowest for two octaves: line k from 2^(2k - 1) to 2^(2k + 1)."""
    made = []
    for k in range(1, count + 1):
        base = layer(f"line-{k}", "n*d**2", 1e-11, "0")
        curves = Curves(("n",), (), ((2.0**k, 2.0**-k),))
        ends = {"n": (16, 2**20), "d": (WIDTHS[0], WIDTHS[-1])}
        made.append(
            replace(
                base, law=time_law(base.name, Verdict.INFERRED, "because", window=ends, fixed={"b": 2}, curves=curves)
            )
        )
    return made


def test_of_many_winners_the_small_ones_are_put_together_and_all_are_named(tmp_path: Path) -> None:
    [found] = winners(write_fake_run(tmp_path / "many", tuple(envelope(12))))

    svg = read(found.maps.pictures[0])
    legend = [element.text for element in svg if element.tag == "text" and ("%" in element.text or "*" in element.text)]
    assert sorted({text[0] for text in legend}) == ["*", *"ABCDEFGH"]
    assert sum("%" in text for text in legend) == 8
    told = text_of(svg, "desc")
    assert all(f"line-{k}: fastest in" in told for k in range(1, 13))


def test_without_two_curves_there_is_a_reason_and_no_map(tmp_path: Path) -> None:
    [alone] = winners(write_fake_run(tmp_path / "alone", (SQUARE,)))
    fixed = replace(SQUARE, law=replace(SQUARE.law, window={"n": (128, 8192)}, fixed={"b": 2, "d": 64}))
    [narrow] = winners(write_fake_run(tmp_path / "narrow", (fixed, LINE)))

    assert alone.reason == "A map compares layers, and fewer than two have a curve over length and width."
    assert (narrow.reason, narrow.tables, narrow.maps.pictures) == (alone.reason, (), ())
