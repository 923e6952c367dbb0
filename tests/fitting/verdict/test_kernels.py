"""Laws where a library runs other kernels at some sizes: one set is judged, and the law says where the switch is."""

from __future__ import annotations

import numpy as np
import pytest

from attnbench.fitting.time_law import Question, time_law
from attnbench.formula import Formula
from attnbench.law import Law, Verdict
from tests.fitting.worlds import World

NARROW, WIDE = (
    "aten::mkldnn_convolution;onednn::convolution/jit_dw",
    "onednn::convolution/gemm;aten::mkldnn_convolution",
)
SIZES = {"n": (64, 128, 256, 512), "d": (64, 128, 256), "k": (3, 5, 9, 17, 33)}
TRUTH = "1e-9*k*n*d"


def law_where(kernels: dict[tuple[str, float], tuple[str, str]], slower: float, seed: int = 1) -> Law:
    """The law of a layer that is `slower` where a product of axes is past a threshold, with other kernels there."""
    ((axes, threshold),), ((below, beyond),) = kernels.keys(), kernels.values()
    world = World(TRUTH, SIZES, noise=0.01, process=0.0, late=0.0)
    records, samples = world.tables(seed)
    past = (records[list(axes)].prod(axis=1) > threshold).to_numpy()
    records = records.assign(kernels=[beyond if one else below for one in past])
    records["seconds"] *= np.where(past, slower, 1.0)
    trials = set(records["trial"][past])
    factors = samples["trial"].isin(trials).map({True: slower, False: 1.0})
    samples = samples.assign(seconds=samples["seconds"] * factors)
    return time_law(records, samples, Question(Formula("k*n*d"), Formula("2*k*n*d")))


def test_no_law_is_fitted_across_a_switch_and_the_reason_says_where_it_is() -> None:
    law = law_where({("k", 10): (NARROW, WIDE)}, slower=3.4)

    assert law.verdict is Verdict.CONFIRMED
    assert law.window == {"n": (64, 512), "d": (64, 256), "k": (3, 9)}
    assert law.trials == 36
    assert law.exponents["k"].estimate.value == pytest.approx(1, abs=0.02)
    assert law.reason.endswith(
        "; the kernels change at k = 17 (convolution/jit_dw → convolution/gemm): "
        "sizes below are judged, and 24 trials are left out"
    )


@pytest.mark.parametrize("slower", [3.4, 0.4])
def test_a_forecast_holds_what_the_other_kernels_would_take(slower: float) -> None:
    law = law_where({("k", 10): (NARROW, WIDE)}, slower=slower)
    truth = 1e-9 * 65 * 1024 * 256
    found = law.predict(n=1024, d=256, k=65)

    assert found.low < slower * truth < found.high
    assert found.low < truth < found.high
    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.high / found.low < 1.3 * max(slower, 1 / slower)
    assert Law.from_json(law.as_json()).predict(n=1024, d=256, k=65) == found


def test_the_side_with_more_trials_is_judged() -> None:
    law = law_where({("n", 100): ("aten::_slow_conv2d_forward", NARROW)}, slower=0.5)

    assert law.window["n"] == (128, 512)
    assert (
        "the kernels change at n = 128 (_slow_conv2d_forward → convolution/jit_dw, mkldnn_convolution): " in law.reason
    )
    assert "sizes from there on are judged, and 15 trials are left out" in law.reason


def test_a_switch_may_be_at_a_product_of_sizes() -> None:
    law = law_where({("nd", 10000): ("aten::_slow_conv2d_forward", NARROW)}, slower=0.5)

    assert (law.verdict, law.trials) == (Verdict.CONFIRMED, 45)
    assert "the kernels change at n·d = 16384 (" in law.reason


@pytest.mark.parametrize(
    ("below", "beyond"),
    [
        ("aten::mm;aten::tanh", "aten::tanh;aten::mm"),
        ("aten::mm;device::gemm_64x64", "aten::mm;device::gemm_128x64"),
        ("aten::mm", ""),
    ],
    ids=["another order", "another tile of a GPU", "nobody knows"],
)
def test_what_is_no_switch_leaves_the_law_whole(below: str, beyond: str) -> None:
    law = law_where({("k", 10): (below, beyond)}, slower=1.0)

    assert (law.verdict, law.trials, law.regimes) == (Verdict.CONFIRMED, 60, ())


def test_kernels_of_which_each_runs_too_few_sizes_leave_nothing_to_judge() -> None:
    world = World("1e-9*n", {"n": (64, 128, 256, 512)}, noise=0.01, process=0.0, late=0.0)
    records, samples = world.tables(1)
    law = time_law(records.assign(kernels=["a::a", "a::a", "b::b", "b::b"]), samples, Question(Formula("n")))

    assert law.verdict is Verdict.OUT_OF_REGIME
    assert law.reason == (
        "2 configurations along 1 swept axis: too few to read a law from; "
        "the kernels change at n = 256 (a → b): sizes from there on are judged, and 2 trials are left out"
    )
