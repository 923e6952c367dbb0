"""Positions on the page: the encoding against its definition, and what is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attnbench.report.sections.structure.positions import positions, sinusoids
from tests.oracles.position import wave
from tests.report.fake_run import rnn, write_fake_run
from tests.report.reading import described_figures

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.store.run_folder import StoredRun

FADING = {"plain": [[0.75, 0.25, 0.0], [0.75, 0.5, 0.25]], "residual": [[0.75, 0.75, 0.5]]}


def run_with(folder: Path, **changes: Any) -> StoredRun:
    return write_fake_run(folder / "run", (rnn(),), suite={"pictures": ["position"]}, **changes)


def test_the_waves_that_are_drawn_are_those_of_the_definition() -> None:
    expected = [[wave(i, column, 7) for column in range(7)] for i in range(50)]

    np.testing.assert_allclose(sinusoids(50, 7), expected, atol=1e-12)


def test_the_two_properties_of_the_encoding_are_told_in_numbers(tmp_path: Path) -> None:
    found = positions(run_with(tmp_path))

    absolute, relative = (
        described_figures("".join(found.absolute.pictures)),
        described_figures("".join(found.relative.pictures)),
    )
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

    assert described_figures("".join(found.pictures)) == {
        "Position left, layers as they are": "rnn: 75% before the first layer, 38% after it, 12% after 2.",
        "Position left, layers each added to its input": "rnn: 75% before the first layer, 75% after it, 50% after 2.",
    }
