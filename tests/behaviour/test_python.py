"""The door for Python: what ``attnbench.…`` offers, of which type, and one whole sentence for what it cannot do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes

import attnbench
from attnbench.fitting.compare.runs import RunComparison
from attnbench.fitting.predict.crossover import Crossover
from attnbench.fitting.predict.forecast import Forecast
from attnbench.law import Estimate, Law, Verdict
from attnbench.session.reading import Run
from attnbench.trial import Choices, Subject
from tests.cli.test_predicting import ATTENTION, FUSED, LINE, MIB, RNN, SQUARE, layer
from tests.report.fake_run import HOST, HOSTILE, fake_layers, write_fake_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two layers that are known, 4e-11 n²d and 32 sequences of 5e-11 nd² each, and a last cache of 16 MiB."""
    folder = tmp_path_factory.mktemp("results") / "asked"
    host = replace(HOST, caches={"L1": 32768, "L2": MIB, "L3": 16 * MIB})
    return attnbench.load(write_fake_run(folder, (ATTENTION, RNN, FUSED), host=host).path)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One layer that was measured in two ways."""
    cuda = layer("rnn", "n*d**2", LINE / 100, 32, "4*b*n*d**2", Choices("cuda"))
    folder = tmp_path_factory.mktemp("results") / "several"
    return attnbench.load(write_fake_run(folder, (RNN, replace(cuda, counted_laws=()))).path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with laws of every kind, and a hostile name."""
    return attnbench.load(write_fake_run(tmp_path_factory.mktemp("results") / "drawn", fake_layers()).path)


@pytest.fixture(autouse=True)
def _no_figure_is_left() -> Iterator[None]:
    yield
    plt.close("all")


# ------------------------------------------------------------------------------------------------------- the door


def test_everything_the_door_offers_is_there_and_documented() -> None:
    offered = {name: getattr(attnbench, name) for name in attnbench.__all__}
    documented = {name for name, found in offered.items() if name != "__version__" and not found.__doc__}

    assert documented == set()
    assert [name for name, found in offered.items() if name != "__version__" and not callable(found)] == []
    assert sorted(attnbench.__all__, key=str.lower) == [
        "__version__", "AttnbenchError", "Claims", "compare", "count", "fit", "Layer", "load", "operator", "run",
    ]  # fmt: skip
    assert set(attnbench.__all__) <= set(dir(attnbench))
    assert [name for name in attnbench.__all__ if name != "__version__" and name not in (attnbench.__doc__ or "")] == []


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'attnbench' has no attribute 'counts'$"):
        _ = attnbench.counts


def test_a_run_has_its_tables(run: Run) -> None:
    tables = {name: getattr(run, name) for name in ("records", "samples", "conditions", "laws")}

    assert {type(table) for table in tables.values()} == {pd.DataFrame}
    assert len(run.records) == 27
    assert len(run.samples) == 27 * 3 * 5
    assert len(run.conditions) == 27 * 3
    assert len(run.laws) == 12
    assert repr(run) == f"<Run asked: 27 trials (27 ok); {run.path}>"


# -------------------------------------------------------------------------------------------------------- one law


def test_a_law_is_one_object_and_predicts_with_its_interval(run: Run) -> None:
    law = run.law("rnn")
    found = law.predict(n=1024, d=1024)

    assert isinstance(law, Law)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(LINE * 1024 * 1024**2)
    assert found.low < found.value < found.high
    assert repr(Estimate(0.115, 0.1, 0.134)) == "Estimate(0.115 (0.1 to 0.134 at 90%))"


def test_a_counted_law_is_exact_at_any_size(run: Run) -> None:
    found = run.law("attention-core", "flops").predict(b=1, n=2**20, d=512)

    assert found == Estimate(4 * 2**40 * 512, 4 * 2**40 * 512, 4 * 2**40 * 512, level=1.0)
    assert repr(found) == "Estimate(2.25179981368525e+15, exact)"


def test_a_law_of_several_ways_is_chosen(several: Run) -> None:
    assert several.law("rnn", device="cuda").choices.device == "cuda"
    assert several.law("rnn", "flops", device="cuda").formula == "4*b*n*d**2"  # a count knows no device
    assert several.predict("rnn", n=512, d=256, device="cuda").seconds.value == pytest.approx(  # type: ignore[union-attr]
        LINE / 100 * 512 * 256**2
    )


COUNTED = Law(
    Subject("conv"),
    "peak_bytes",
    Verdict.INFERRED,
    "exact",
    formula="8*b*n**2",
    window={"b": (1, 4), "n": (1, 9), "h": (1, 1)},
)


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda run: run.law("rnm"), "LayerError", "the run has no layer 'rnm'. Did you mean 'rnn'?"),
        (
            lambda run: run.law("rnn", "tme"),
            "InputError",
            "the run has no law of 'tme' for rnn; it has flops, parameters, peak_bytes and time. Did you mean 'time'?",
        ),
        (
            lambda run: run.law("rnn", "memory"),
            "InputError",
            "the run has no memory of rnn; run a suite whose metrics include memory",
        ),
        (
            lambda run: run.law("rnn", devic="cpu"),
            "InputError",
            (
                "a law is chosen by device, dtype, mode, threads, compile and sdpa, and not by 'devic'. "
                "Did you mean 'device'?"
            ),
        ),
        (
            lambda run: run.law("rnn", device="cuda"),
            "ChoiceError",
            (
                "rnn was not measured so; leave out device=, dtype=, mode=, threads=, compile= or sdpa= "
                "to see what there is"
            ),
        ),
        (lambda run: run.law("rnn").predict(n=64), "LayerError", "rnn needs a size for d, such as d=1024"),
        (
            lambda run: run.law("rnn").predict(n=64, d=64, k=3),
            "LayerError",
            "rnn was measured over b, n, d, and not over 'k'.",
        ),
        (
            lambda run: run.law("rnn").predict(n=-1, d=64),
            "LayerError",
            "n needs a positive number, not -1",
        ),
        (lambda run: run.predict("rnn", n="64", d=64), "LayerError", "n needs a positive number, not '64'"),
        (
            lambda run: run.law("rnn").predict(n=65536, d=256),
            "InputError",
            (
                "rnn: n = 65536 is 64 times the largest measured, 1024, "
                "and a forecast goes 16 times beyond the window at most"
            ),
        ),
        (
            lambda run: run.law("rnn").predict(b=1, n=512, d=256),
            "InputError",
            "rnn: every trial had b = 32, so nothing is known of b = 1",
        ),
        (
            lambda _: COUNTED.predict(b=1, n=8, k=2),
            "LayerError",
            "conv was counted over b, n, h, and not over 'k'.",
        ),
        (
            lambda _: COUNTED.predict(b=1, n=8, h=2),
            "InputError",
            "conv: every count had h = 1, so nothing is known of h = 2",
        ),
        (
            lambda _: replace(COUNTED, formula="4*b", uncounted=("aten::x",), reason="a lower bound").predict(b=1),
            "InputError",
            "conv: a lower bound",
        ),
        (
            lambda run: run.crossover("rnn", "rnn"),
            "InputError",
            "crossover compares two layers, and rnn was named twice",
        ),
        (
            lambda run: run.plot("tiem", "rnn"),
            "InputError",
            (
                "there is no figure 'tiem'; there are time, memory, exponents, ways, rates, crossover, forest "
                "and steadiness. Did you mean 'time'?"
            ),
        ),
        (
            lambda run: run.plot("time"),
            "InputError",
            "name one layer, layer=…; the run has attention-core, rnn and fused",
        ),
        (lambda run: run.plot("time", "rnm"), "LayerError", "the run has no layer 'rnm'. Did you mean 'rnn'?"),
        (
            lambda run: run.plot("time", "rnn", "k"),
            "InputError",
            "the time of rnn varies over n, d, and not over 'k'.",
        ),
        (
            lambda run: run.plot("crossover", "rnn"),
            "InputError",
            "crossover compares two layers: name both, as in layer=('attention-core', 'rnn')",
        ),
        (
            lambda run: run.plot("ways", "rnn"),
            "InputError",
            "there is nothing to draw of the ways to fit rnn: no size varies",
        ),
        (
            lambda run: run.plot("forest"),
            "InputError",
            "there is nothing to draw of the exponents of the run: no size varies",
        ),
        (
            lambda _: attnbench.load("nowhere"),
            "RunError",
            "nowhere is not a run: it has no run.json; `attnbench list runs` shows the runs",
        ),
        (
            lambda run: attnbench.compare(run, "nowhere"),
            "RunError",
            "nowhere is not a run: it has no run.json; `attnbench list runs` shows the runs",
        ),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(
    run: Run, ask: Callable[[Run], object], kind: str, message: str
) -> None:
    with pytest.raises(attnbench.AttnbenchError) as refused:
        ask(run)

    assert (type(refused.value).__name__, str(refused.value)) == (kind, message)


def test_several_laws_are_named(several: Run) -> None:
    with pytest.raises(attnbench.AttnbenchError) as refused:
        several.law("rnn")

    assert str(refused.value) == (
        "rnn was measured in several ways (cpu · float32 · forward · 1 thread, cuda · float32 · forward · 1 thread); "
        "choose with device=, dtype=, mode=, threads=, compile= or sdpa="
    )


# ------------------------------------------------------------------------------- forecasts, crossovers, comparisons


def test_a_forecast_refuses_where_the_command_does(run: Run) -> None:
    found, beyond = run.predict("attention-core", n=1024, d=2048), run.predict("attention-core", n=2048, d=256)

    assert isinstance(found, Forecast)
    assert found.seconds is not None
    assert found.seconds.value == pytest.approx(SQUARE * 1024**2 * 2048)
    assert (found.peak_bytes, found.extrapolation) == (8 * MIB, 4)
    assert beyond.seconds is None
    assert beyond.reason == (
        "its live tensors need 32.0 MiB there, beyond the last cache of 16.0 MiB, and every trial stayed within it"
    )


def test_a_crossover_answers_by_count_and_by_the_clock(run: Run) -> None:
    found = run.crossover("attention-core", "rnn")
    [row] = [row for row in found.rows if row.d == 512]

    assert isinstance(found, Crossover)
    assert found.operations == "attention-core needs fewer counted operations than rnn where n < d"
    assert row.clock is not None
    assert row.clock.value == pytest.approx(640)


def test_runs_and_folders_are_compared(run: Run) -> None:
    found = attnbench.compare(run, run.path)

    assert isinstance(found, RunComparison)
    assert repr(found) == "<Comparison of asked with asked: The two runs are identical: the same measurements.>"


# -------------------------------------------------------------------------------------------------------- figures


def points(axes: Axes) -> set[tuple[float, float]]:
    """Whatever dots were drawn, rounded."""
    found = (pair for one in axes.collections for pair in getattr(one, "get_offsets", list)())
    return {(float(x), float(f"{y:.6g}")) for x, y in found if math.isfinite(float(y))}


def test_a_figure_shows_the_measured_times_on_the_axes_that_were_given(run: Run) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    mine = run.records[run.records["layer"] == "rnn"]

    drawn_on = run.plot("time", layer="rnn", over="d", ax=right)

    assert drawn_on is right
    assert figure.axes == [left, right]
    assert not left.has_data()
    assert points(right) >= {(d, float(f"{s:.6g}")) for d, s in zip(mine["d"], mine["seconds"], strict=True)}
    assert (right.get_xscale(), right.get_yscale(), right.get_xlabel()) == ("log", "log", "hidden size d")
    assert right.get_title(loc="left") == "rnn: time per call"


@pytest.mark.parametrize(
    ("kind", "layer", "over", "title"),
    [
        ("time", HOSTILE, "n", f"{HOSTILE}: time per call"),
        ("exponents", HOSTILE, "d", f"{HOSTILE}: local exponent"),
        ("ways", "conv1d", "k", "conv1d: exponent of k"),
        ("rates", "rnn", None, "hidden size d"),
        ("forest", None, "n", ""),
        ("steadiness", None, None, "reference kernel, against its median"),
    ],
)
def test_every_kind_is_a_figure_of_its_own(
    drawn: Run, kind: str, layer: str | None, over: str | None, title: str
) -> None:
    axes = drawn.plot(kind, layer, over)
    axes.get_figure(root=True).canvas.draw()  # type: ignore[union-attr]

    assert isinstance(axes, Axes)
    assert axes.has_data()
    assert axes.get_title(loc="left") == title
    assert plt.get_fignums() == [axes.get_figure(root=True).number]  # type: ignore[union-attr]


def test_a_name_with_signs_of_mathematics_is_drawn_as_it_is(tmp_path: Path) -> None:
    named = layer("$x^{", "n*d**2", LINE, 32, "4*b*n*d**2")
    found = attnbench.load(write_fake_run(tmp_path / "run", (named,)).path)
    _, axes = plt.subplots()

    found.plot("time", ax=axes)
    axes.get_figure(root=True).canvas.draw()  # type: ignore[union-attr]

    assert axes.get_title(loc="left") == "$x^{: time per call"


def test_the_crossover_is_drawn_where_the_curves_meet(run: Run) -> None:
    """By the clock n* = 1.25 d; by count n = d."""
    axes = run.plot("crossover", ("attention-core", "rnn"))
    clock, counted = (
        {line.get_label(): line for line in axes.lines}[name] for name in ("by the clock", "by operations")
    )
    widths, lengths = clock.get_data()

    assert list(lengths) == pytest.approx([1.25 * d for d in widths])
    assert counted.get_data()[0] == pytest.approx(counted.get_data()[1])
    assert axes.get_title(loc="left") == "above the line rnn is faster\nthan attention-core"


def test_the_style_of_figures_does_not_stay(drawn: Run) -> None:
    before = dict(plt.rcParams)

    drawn.plot("time", "rnn")

    assert dict(plt.rcParams) == before
