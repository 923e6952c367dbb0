"""Depth and path length on the page: shared curves, nothing where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attnbench.record import PathMap
from attnbench.report.page import build_context, render, script
from attnbench.report.sections.structure.growth import structure
from tests.report.fake_run import HOSTILE, attention, conv, counted, rnn, write_fake_run
from tests.report.reading import described_figure, read
from tests.report.sections.structure.small_maps import CAUSAL, PATHS, SIZES

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.sections.structure.growth import Structure
    from attnbench.store.run_folder import StoredRun


FORMULAS = {
    "attention-core": ("1", "4"),
    "rnn": ("n - 1", "3*n + 2"),
    "conv1d": ("ceil(2*(n - 1)/(k - 1))", "1"),
    "feed-forward": ("inf", "3"),
    "stack": ("ceil(log(n, k))", "l"),
    "core-fused": ("1", "1"),
}
LAWS = tuple(
    counted(layer, metric, formula, None)
    for layer, formulas in FORMULAS.items()
    for metric, formula in zip(("hops", "depth"), formulas, strict=True)
)


def run_with(folder: Path, layers: tuple[Any, ...] = (), **changes: Any) -> StoredRun:
    return write_fake_run(folder / "run", layers, **({"counted_laws": LAWS, "paths": PATHS} | changes))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Structure:
    return structure(run_with(tmp_path_factory.mktemp("structure")))


def test_layers_with_the_same_curve_are_named_together_and_what_has_no_bound_comes_last(found: Structure) -> None:
    hops, depth = found.growth

    assert [name.value for name in hops.names] == [
        "rnn",
        "conv1d",
        "stack",
        "attention-core, core-fused",
        "feed-forward",
    ]
    assert "∞" in hops.names[-1].name
    assert "nothing to draw" in hops.gallery.caption
    title, text = described_figure(hops.gallery.pictures[0])
    assert title == "Maximum path length against n"
    # k = 5: two positions a layer, so half as many layers as steps
    assert "n − 1: 3 at n=4, 4095 at n=4096. ⌈2(n − 1)/(k − 1)⌉: 2 at n=4, 2048 at n=4096." in text
    assert [name.value for name in depth.names] == [
        "rnn",
        "stack",
        "attention-core",
        "feed-forward",
        "conv1d, core-fused",
    ]


def test_other_sizes_are_the_medians_of_the_trials(tmp_path: Path) -> None:
    """Kernels of 3, 7 and 15 in the trials: one of 7 moves three positions a layer."""
    hops = structure(run_with(tmp_path, (attention(), rnn(), conv()))).growth[0]

    [kernel] = [name.name for name in hops.names if name.value == "conv1d"]
    assert kernel.endswith("<small>at k = 7</small></span>")
    assert "⌈2(n − 1)/(k − 1)⌉: 1 at n=4, 1365 at n=4096." in described_figure(hops.gallery.pictures[0])[1]


def test_a_run_that_counted_neither_has_no_such_section(tmp_path: Path) -> None:
    page = render(build_context(run_with(tmp_path, (rnn(),), counted_laws=(), paths={})))

    assert 'id="structure"' not in page


def test_the_section_is_on_the_page_once_with_text_for_every_figure(tmp_path: Path) -> None:
    elements = read(render(build_context(run_with(tmp_path, reach={"rnn": [[0.0, 1.0], [1.0, 0.5]]}))))

    assert [e.text for e in elements if e.attributes.get("id") == "structure"] == ["Depth and path length"]
    assert sum(e.tag == "svg" for e in elements) == len(["hops", "depth", "scale"]) + 4 + len(["reach"])


def test_hostile_names_are_text(tmp_path: Path) -> None:
    paths = {HOSTILE: PathMap(SIZES, CAUSAL), "other": PathMap(refused=HOSTILE)}
    laws = tuple(counted(HOSTILE, metric, HOSTILE if metric == "depth" else "n", None) for metric in ("hops", "depth"))
    elements = read(render(build_context(run_with(tmp_path, paths=paths, counted_laws=laws))))

    assert [element.pieces for element in elements if element.tag == "script"] == [[str(script())]]
    assert {"title", "p", "dd"} <= {element.tag for element in elements if HOSTILE in element.text}
