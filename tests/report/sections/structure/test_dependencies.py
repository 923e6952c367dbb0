"""Dependency maps on the page: each says what it shows, and layers with the same share it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from attnbench.record import PathMap
from attnbench.report.sections.structure.dependencies import dependency_maps
from tests.report.fake_run import write_fake_run
from tests.report.reading import described_figure, read
from tests.report.sections.structure.small_maps import CAUSAL, PATHS, SIZES

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.sections.structure.dependencies import DependencyMaps
    from attnbench.store.run_folder import StoredRun


def run_with(folder: Path, paths: dict[str, PathMap]) -> StoredRun:
    return write_fake_run(folder / "run", (), paths=paths)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> DependencyMaps:
    return dependency_maps(run_with(tmp_path_factory.mktemp("structure"), PATHS))


def test_layers_with_the_same_map_share_one_that_names_them_all(found: DependencyMaps) -> None:
    maps = found.maps

    assert [one.layers for one in maps] == [
        ("attention-core", "multi-head-attention"),
        ("rnn",),
        ("feed-forward",),
        ("windowed (w = 1)",),
    ]
    assert [fact.name for fact in found.refused] == ["attention-axial"]
    assert "n = 3 and d = 8" in found.caption


def test_a_map_says_how_far_how_many_and_in_which_direction(found: DependencyMaps) -> None:
    assert [described_figure(one.picture) for one in found.maps] == [
        (
            "Path length from each position to each other: attention-core and multi-head-attention",
            "One hop; all pairs connected, in both directions.",
        ),
        (
            "Path length from each position to each other: rnn",
            "2 hops at most, 1.33 on average; 50% of the pairs connected, to later ones only.",
        ),
        ("Path length from each position to each other: feed-forward", "No two positions are connected."),
        (
            "Path length from each position to each other: windowed (w = 1)",
            "2 hops at most, 1.33 on average; all pairs connected, in both directions.",
        ),
    ]


def test_what_is_never_connected_is_hatched_and_the_scale_has_a_word_for_it(found: DependencyMaps) -> None:
    hatched = ["<pattern" in one.picture for one in found.maps]

    assert hatched == [False, True, True, False]
    assert {"0", "1", "2", "never"} <= {e.text for e in read(found.scale) if e.tag == "text"}


def test_maps_of_one_scale_give_equal_hops_equal_colours(found: DependencyMaps) -> None:
    """One hop is the colour of the whole first map; the causal map has it, too, beside those of 0 and 2 hops."""
    even, causal, *_ = (set(re.findall(r"fill: (#[0-9a-f]{6})", one.picture)) - {"#000000"} for one in found.maps)

    assert len(even) == 1
    assert even < causal
    assert len(causal) == 3


@pytest.mark.parametrize("rows", [["1 1", "1"], ["1"], ["x y", "1 1"], ["nan 1", "1 1"], ["-1 1", "1 1"], []])
def test_a_map_from_elsewhere_that_is_none_is_left_out(tmp_path: Path, rows: list[str]) -> None:
    paths = {"broken": PathMap(SIZES, rows), "rnn": PathMap(SIZES, CAUSAL)}

    assert [one.layers for one in dependency_maps(run_with(tmp_path, paths)).maps] == [("rnn",)]
