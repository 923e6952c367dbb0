"""Weights, positions and layers side by side on the page: drawn from what the run holds, and only where it holds it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attnbench.report.sections.side_by_side import beside
from attnbench.report.sections.structure.positions import positions, sinusoids
from attnbench.report.sections.structure.weights import weight_gallery
from tests.oracles.position import wave
from tests.report.fake_run import HOSTILE, attention, conv, rnn, write_fake_run
from tests.report.reading import read

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext
    from attnbench.store.run_folder import StoredRun

GRID = {"b": (2,), "n": (64, 128, 256), "d": (32, 64)}
LAYERS = tuple(replace(layer, grid=layer.grid | GRID) for layer in (attention(), rnn(), conv()))
HEADS = [[[0.125 + 0.0625 * (head + row + column) for column in range(3)] for row in range(3)] for head in range(2)]
FADING = {"plain": [[0.75, 0.25, 0.0], [0.75, 0.5, 0.25]], "residual": [[0.75, 0.75, 0.5]]}


def run_with(folder: Path, **changes: Any) -> StoredRun:
    suite = {"pictures": ["weights", "position"], "sweep": [{"layers": ["rnn", "attention-core", "conv1d"]}]}
    return write_fake_run(folder / "run", LAYERS, **({"suite": suite} | changes))


def figures(text: str) -> dict[str, str]:
    """Title → description of every figure."""
    elements = read(text)
    titles = [element.text for element in elements if element.tag == "title" and "svg" in element.parents]
    return dict(zip(titles, [element.text for element in elements if element.tag == "desc"], strict=True))


def test_the_weights_of_every_layer_have_a_picture_and_words_that_say_what_is_on_it(tmp_path: Path) -> None:
    gallery = weight_gallery(run_with(tmp_path, weights={"attention-core": HEADS, HOSTILE: [[[1.0, 0.0]]]}))

    described = figures("".join(gallery.pictures))
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


def test_the_waves_that_are_drawn_are_those_of_the_definition() -> None:
    expected = [[wave(i, column, 7) for column in range(7)] for i in range(50)]

    np.testing.assert_allclose(sinusoids(50, 7), expected, atol=1e-12)


def test_the_two_properties_of_the_encoding_are_told_in_numbers(tmp_path: Path) -> None:
    found = positions(run_with(tmp_path))

    absolute, relative = figures("".join(found.absolute.pictures)), figures("".join(found.relative.pictures))
    assert list(absolute) == [
        "Sinusoidal encoding, position against feature",
        "Four features of the sinusoidal encoding",
        "Numbers in binary",
    ]
    # 2π · 10000^(6/32) and 2π · 10000^(8/32)
    assert absolute["Four features of the sinusoidal encoding"] == (
        "Feature 6 takes 35.3 positions for a wave. Feature 7 takes 35.3 positions for a wave. "
        "Feature 8 takes 62.8 positions for a wave. Feature 9 takes 62.8 positions for a wave."
    )
    assert absolute["Numbers in binary"].endswith("5 is 101, 6 is 110, 7 is 111.")
    # 5 positions of 360° / 35.3 and of 360° / 62.8 each
    assert "turns by 51 degrees" in relative["Positions as rotations"]
    assert "turns by 29 degrees" in relative["Positions as rotations"]
    assert found.relative.caption.endswith("nothing is off by more than 3e-15.")


def test_what_is_left_of_the_position_is_drawn_for_both_ways_of_stacking(tmp_path: Path) -> None:
    found = positions(run_with(tmp_path, fading={"rnn": FADING, "conv1d": {"plain": [[0.5], [0.5, 0.1]]}})).fading

    assert figures("".join(found.pictures)) == {
        "Position left, layers as they are": "rnn: 75% before the first layer, 38% after it, 12% after 2.",
        "Position left, layers each added to its input": "rnn: 75% before the first layer, 75% after it, 50% after 2.",
    }


def test_layers_stand_side_by_side_at_the_largest_sizes_they_share_beside_the_first_of_the_suite(
    tmp_path: Path,
) -> None:
    run = run_with(tmp_path)
    at = run.records[(run.records["n"] == 256) & (run.records["d"] == 32)].drop_duplicates("layer").set_index("layer")

    found = beside(run)

    assert (found.first, found.sizes) == ("rnn", "b=2, n=256, d=32")  # convolutions of 64 failed there
    assert [row.layer for row in found.rows] == ["rnn", "attention-core", "conv1d"]
    assert found.rows[0].ratio == "1×"
    ratio = at.loc["attention-core", "seconds"] / at.loc["rnn", "seconds"]
    assert float(found.rows[1].ratio.rstrip("×")) == pytest.approx(ratio, rel=0.05)
    assert "A dot for each of the 5 sizes" in found.spread.caption


def test_layers_that_share_no_sizes_and_fewer_than_three_are_not_set_side_by_side(tmp_path: Path) -> None:
    apart = replace(LAYERS[2], grid=LAYERS[2].grid | {"d": (48,)})

    assert beside(write_fake_run(tmp_path / "apart", (*LAYERS[:2], apart))).rows == ()
    assert beside(write_fake_run(tmp_path / "two", LAYERS[:2])).rows == ()


def test_a_run_that_looked_at_nothing_shows_no_pictures(context: PageContext, page: str) -> None:
    assert not context.positions.shown
    assert context.weights.pictures == ()
    assert 'id="weights"' not in page
