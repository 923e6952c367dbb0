"""Layers side by side, at sizes that all of them share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.report.sections.side_by_side import side_by_side
from tests.report.fake_run import attention, conv, rnn, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

GRID = {"b": (2,), "n": (64, 128, 256), "d": (32, 64)}
LAYERS = tuple(replace(layer, grid=layer.grid | GRID) for layer in (attention(), rnn(), conv()))


def test_layers_stand_side_by_side_at_the_largest_sizes_they_share_beside_the_first_of_the_suite(
    tmp_path: Path,
) -> None:
    suite = {"sweep": [{"layers": ["rnn", "attention-core", "conv1d"]}]}
    run = write_fake_run(tmp_path / "run", LAYERS, suite=suite)
    at = run.records[(run.records["n"] == 256) & (run.records["d"] == 32)].drop_duplicates("layer").set_index("layer")

    found = side_by_side(run)

    assert (found.first, found.sizes) == ("rnn", "b=2, n=256, d=32")  # convolutions of 64 failed there
    assert [row.layer for row in found.rows] == ["rnn", "attention-core", "conv1d"]
    assert found.rows[0].ratio == "1×"
    ratio = at.loc["attention-core", "seconds"] / at.loc["rnn", "seconds"]
    assert float(found.rows[1].ratio.rstrip("×")) == pytest.approx(ratio, rel=0.05)
    assert "A dot for each of the 5 sizes" in found.spread.caption


def test_layers_that_share_no_sizes_and_fewer_than_three_are_not_set_side_by_side(tmp_path: Path) -> None:
    apart = replace(LAYERS[2], grid=LAYERS[2].grid | {"d": (48,)})

    assert side_by_side(write_fake_run(tmp_path / "apart", (*LAYERS[:2], apart))).rows == ()
    assert side_by_side(write_fake_run(tmp_path / "two", LAYERS[:2])).rows == ()
