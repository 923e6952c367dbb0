"""What the rooms that have no clock of their own cost, by pytest-benchmark.

    python -m pytest benchmarks

Counting one layer, fitting the example run, and building its page. Not part of the test suite: it asserts nothing about
durations.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attnbench.counting.laws import count_laws
from attnbench.layers.registry import Registry
from attnbench.report.page import build_context, render
from attnbench.session.judge import fit_laws
from attnbench.session.reading import load

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

EXAMPLE = Path(__file__).parents[1] / "results" / "example"


@pytest.mark.parametrize("layer", ["attention-core", "multi-head-attention", "lstm", "conv1d"])
def test_counting(benchmark: BenchmarkFixture, layer: str) -> None:
    found = Registry().get(layer)

    laws = benchmark(count_laws, found)

    assert all(law.formula for law in laws)


def test_fitting_a_run(benchmark: BenchmarkFixture) -> None:
    run = load(EXAMPLE)

    laws = benchmark(fit_laws, run)

    assert laws


def test_building_a_page(benchmark: BenchmarkFixture) -> None:
    run = load(EXAMPLE)

    page = benchmark(lambda: render(build_context(run)))

    assert "</html>" in page
