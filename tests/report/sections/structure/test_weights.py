"""Attention weights on the page: drawn from what the run holds, and only where it holds it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attnbench.report.sections.structure.weights import weight_gallery
from tests.report.fake_run import HOSTILE, attention, conv, rnn, write_fake_run
from tests.report.reading import described_figures

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext
    from attnbench.store.run_folder import StoredRun


HEADS = [[[0.125 + 0.0625 * (head + row + column) for column in range(3)] for row in range(3)] for head in range(2)]


def run_with(folder: Path, weights: Any) -> StoredRun:
    return write_fake_run(folder / "run", (rnn(), attention(), conv()), weights=weights)


def test_the_weights_of_every_layer_have_a_picture_and_words_that_say_what_is_on_it(tmp_path: Path) -> None:
    gallery = weight_gallery(run_with(tmp_path, weights={"attention-core": HEADS, HOSTILE: [[[1.0, 0.0]]]}))

    described = described_figures("".join(gallery.pictures))
    assert described["Attention weights of attention-core"] == (
        "2 heads of 3 × 3 weights. The largest 0.44, at head 2, query 3, key 3. "
        "On average a query gives 0.34 to the key it weighs most."
    )
    assert described[f"Attention weights of {HOSTILE}"].startswith("1 head of 1 × 2 weights. The largest 1, at head 1")
    assert gallery.caption.endswith("None to be seen: attention-core, rnn and conv1d.") is False
    assert gallery.caption.endswith("None to be seen: rnn and conv1d.")


def test_heads_that_cannot_be_drawn_are_left_out(tmp_path: Path) -> None:
    broken = {"rnn": [[[0.5], [0.5, 0.5]]], "conv1d": [[[math.nan]]], "attention-core": []}

    assert weight_gallery(run_with(tmp_path, weights=broken)).pictures == ()


def test_a_run_that_looked_at_nothing_shows_no_pictures(context: PageContext, page: str) -> None:
    assert not context.positions.shown
    assert context.weights.pictures == ()
    assert 'id="weights"' not in page
