"""Where each layer crosses over with the first attention, on layers whose times are known formulas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnbench.law import Curves, Estimate, FittedTerm, Law, Verdict
from attnbench.report.page import render
from attnbench.report.sections.crossovers import crossovers
from attnbench.trial import Choices, Subject
from tests.report.fake_run import FakeLayer, counted, write_fake_run
from tests.report.reading import read

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext
    from attnbench.report.sections.crossovers import CrossoverCell, CrossoverTable

LENGTHS, WIDTHS = (128, 512, 2048, 8192), (64, 128)


def layer(
    name: str, term: str, rate: float, flops: str, choices: Choices | None = None, spread: float = 0.02
) -> FakeLayer:
    """Time is `rate` × `term`, known up to a factor of about `spread`."""
    levels = [1.0, *np.exp(spread * np.random.default_rng(len(name)).normal(size=200))]
    exponents = {"n**2*d": (2, 1), "n*d**2": (1, 2)}[term]
    choices = choices or Choices()
    law = Law(
        Subject(name, choices),
        "time",
        Verdict.INFERRED,
        "because",
        terms=(FittedTerm(term, Estimate(rate, rate, rate), 1.0),),
        window={"n": (LENGTHS[0], LENGTHS[-1]), "d": (WIDTHS[0], WIDTHS[-1])},
        fixed={"b": 2},
        curves=Curves((term,), (), tuple((0.0, rate * float(level)) for level in levels)),
    )
    return FakeLayer(
        name,
        {"b": (2,), "n": LENGTHS, "d": WIDTHS},
        lambda b, n, d: rate * n ** exponents[0] * d ** exponents[1],
        lambda b, n, d: 1,
        law,
        noise=0.0,
        counted_laws=(counted(name, "flops", flops, None),),
        choices=choices,
    )


#: A layer of d² listed first, which is no attention; then the baseline, and others that it meets at n = factor × d.
GATE = layer("gate", "n*d**2", 16e-11, "16*b*n*d**2")
ATTENTION = layer("my-attention", "n**2*d", 1e-11, "4*b*n**2*d")
NEVER = layer("slow-attention", "n**2*d", 3e-11, "4*b*n**2*d")
ALWAYS = layer("early", "n*d**2", 0.5e-11, "2*b*n*d**2")
LATE = layer("late", "n*d**2", 500e-11, "500*b*n*d**2")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> CrossoverTable:
    layers = (GATE, ATTENTION, NEVER, ALWAYS, LATE)
    (group,) = crossovers(write_fake_run(tmp_path_factory.mktemp("crossovers") / "run", layers))
    return group


def cells(found: CrossoverTable, name: str) -> tuple[CrossoverCell, ...]:
    return next(row.cells for row in found.rows if row.layer == name)


def test_all_are_held_against_the_first_attention_at_the_widths_measured(found: CrossoverTable) -> None:
    assert found.baseline == "my-attention"
    assert found.widths == ("d = 64", "d = 128")
    assert [row.layer for row in found.rows] == ["gate", "slow-attention", "early", "late"]


def test_a_layer_crosses_over_where_the_two_times_are_equal(found: CrossoverTable) -> None:
    for d, cell in zip(WIDTHS, cells(found, "gate"), strict=True):  # n²d = 16nd² at n = 16d, counted 4n²d = 16nd² at 4d
        text, low, high = cell.text, *map(float, cell.text.partition("(")[2].partition(")")[0].split(" to "))

        assert cell.mark.word == "faster"
        assert text.startswith(f"from n = {16 * d} (")
        assert text.endswith(" on")
        assert 0.9 * 16 * d < low < 16 * d < high < 1.1 * 16 * d
        assert cell.by_count == f"fewer from n = {4 * d if d > 64 else '256'} on"


def test_what_never_or_always_leads_within_the_measured_sizes_says_so(found: CrossoverTable) -> None:
    assert {(cell.mark.word, cell.text) for cell in cells(found, "slow-attention")} == {
        ("slower", "at every length measured")
    }
    for name, word, where in (("early", "faster", "below"), ("late", "slower", "beyond")):
        for cell in cells(found, name):
            assert cell.mark.word == word
            assert cell.text.startswith(f"at every length measured; the curves meet {where}, at n = ")


def test_the_figure_has_every_layer_and_a_ring_at_each_crossing(found: CrossoverTable, context: PageContext) -> None:
    (drawn,) = found.picture.pictures
    text = next(element.text for element in read(str(drawn)) if element.tag == "desc")

    assert "my-attention: 10.5 µs at n=128, 42.9 ms at n=8192." in text
    assert text.endswith("gate and my-attention meet at n=2048.")
    page = render(replace(context, crossovers=(found,)))
    assert "Where each overtakes" in [element.text for element in read(page) if element.tag == "h2"]


def test_modes_are_compared_each_with_its_own(tmp_path: Path) -> None:
    training = Choices(mode="train")
    both = (ATTENTION, GATE, layer("my-attention", "n**2*d", 3e-11, "12*b*n**2*d", training))
    alone = write_fake_run(tmp_path / "one", both)
    several = write_fake_run(tmp_path / "two", (*both, layer("gate", "n*d**2", 24e-11, "48*b*n*d**2", training)))

    assert [group.conditions for group in crossovers(alone)] == ["cpu · float32 · forward · 1 thread"]
    assert [cells(group, "gate")[0].text.partition(" (")[0] for group in crossovers(several)] == [
        "from n = 1024",
        "from n = 512",
    ]


def test_a_layer_without_a_curve_or_alone_is_left_out(tmp_path: Path) -> None:
    assert GATE.law is not None
    without = replace(GATE, law=replace(GATE.law, curves=None))

    assert crossovers(write_fake_run(tmp_path / "run", (ATTENTION, without))) == ()
