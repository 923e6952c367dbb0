"""The forest of exponents: what is written on it."""

from __future__ import annotations

from matplotlib import pyplot as plt

from attnbench.law import Estimate, Verdict
from attnbench.report import figures
from attnbench.report.figures.canvas.svg import svg
from tests.report.reading import texts


def test_a_figure_leaves_nothing_open() -> None:
    before = plt.get_fignums()
    figures.forest("n", [figures.ForestRow("rnn", Estimate(1.0, 0.9, 1.1), 1.0, Verdict.CONFIRMED)])

    assert plt.get_fignums() == before


def test_a_forest_names_each_layer_with_its_interval() -> None:
    rows = [
        figures.ForestRow("rnn", Estimate(1.76, 1.71, 1.81), 2.0, Verdict.REFUTED),
        figures.ForestRow("x" * 60, Estimate(1.0, 0.9, 1.1), None, Verdict.INFERRED),
    ]
    seen = texts(svg(figures.forest("d", rows), "t", "d"))

    assert {"rnn", "1.76 [1.71, 1.81]", "x" * 33 + "…", "exponent of hidden size d"} <= seen
