"""The roofline, on trials whose rate, bytes and roof are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.record import Peaks
from attnbench.report.figures import Roof
from attnbench.report.page import render
from attnbench.report.sections.rooflines import rooflines
from tests.report.fake_run import FakeLayer, write_fake_run
from tests.report.reading import read

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext
    from attnbench.report.sections.rooflines import Roofline
    from attnbench.store.run_folder import StoredRun

#: Arithmetic is the limit from 10 FLOPs for each byte on.
PEAKS = Peaks("cpu", "float32", 1, 1e11, 1024, 1e10, 2**26)


def at_rate(name: str, rate: float, flops_each: int, lengths: tuple[int, ...] = (64, 128, 256)) -> FakeLayer:
    """`flops_each` operations for each number of the input, at a fixed rate and without noise."""
    return FakeLayer(
        name,
        {"b": (1,), "n": lengths, "d": (32,)},
        lambda b, n, d: flops_each * b * n * d / rate,
        lambda b, n, d: flops_each * b * n * d,
        noise=0.0,
    )


def made(folder: Path, *layers: FakeLayer, peaks: tuple[Peaks, ...] = (PEAKS,)) -> StoredRun:
    return write_fake_run(folder / "run", layers, peaks=peaks)


def tips_of(found: Roofline) -> list[str]:
    elements = read(found.picture.pictures[0])
    return [element.attributes["data-tip"] for element in elements if "data-tip" in element.attributes]


def share(n: int, rate: float, flops_each: int) -> float:
    """By hand: the fake counts 4·d² parameters and 4nd bytes of live tensors, beside an input of nd numbers."""
    moved = 4 * (n * 32 + 4 * 32**2) + 4 * n * 32
    return rate / min(1e11, flops_each * n * 32 / moved * 1e10)


def test_each_layer_has_its_median_and_best_share_of_the_roof(tmp_path: Path) -> None:
    [found] = rooflines(made(tmp_path, at_rate("slow", 1e9, 16), at_rate("fast", 8e10, 10_000)))

    slow, fast = found.rows
    shares = sorted(share(n, 1e9, 16) for n in (64, 128, 256))
    assert (slow.median, slow.best) == (f"{shares[1]:.1%}".replace("%", " %"), f"{shares[2]:.1%}".replace("%", " %"))
    assert (slow.limit, slow.best_at, slow.trials) == ("memory", "b=1, n=64, d=32", "3")
    assert (fast.median, fast.best, fast.limit) == ("80.0 %", "80.0 %", "arithmetic")
    assert [fact.value for fact in found.roof] == [
        "100 GFLOP/s, 1024 × 1024",
        "9.31 GiB/s, a buffer of 64.0 MiB",
        "10.0 FLOP/B",
    ]
    assert found.remarks == ()


def test_every_trial_is_a_mark_with_its_values_and_the_share_is_in_words(tmp_path: Path) -> None:
    [found] = rooflines(made(tmp_path, at_rate("slow", 1e9, 16), at_rate("fast", 8e10, 10_000)))

    tips = tips_of(found)
    assert len(tips) == 6
    assert sum(tip.startswith("slow, b=1, n=64, d=32: 1.00 GFLOP/s at ") for tip in tips) == 1
    assert sum(tip.endswith("80.0 % of the roof") for tip in tips) == 3
    [told] = [element.text for element in read(found.picture.pictures[0]) if element.tag == "desc"]
    assert "reached from 10.0 FLOPs for each byte on" in told
    assert "fast: 80.0 % of the roof in the median, 80.0 % at best" in told


def test_a_trial_above_the_roof_is_shown_and_told(tmp_path: Path) -> None:
    [found] = rooflines(made(tmp_path, at_rate("cached", 9e10, 16), at_rate("fast", 2e11, 10_000, (64,))))

    assert found.remarks == (
        "4 trials above the roof, of cached and fast. 3 of them move no more than the last cache of 32.0 MiB holds.",
    )
    tips = tips_of(found)
    assert sum("200.0 % of the roof" in tip for tip in tips) == 1


def test_marks_of_counts_that_are_lower_bounds_are_named(tmp_path: Path) -> None:
    [found] = rooflines(made(tmp_path, replace(at_rate("part", 1e9, 16), uncounted=("aten::odd",))))

    assert found.remarks == ("Counted FLOPs are a lower bound for part: its marks stand too low, and too far left.",)


@pytest.mark.parametrize(
    ("peaks", "reason"),
    [
        ((), None),
        ((replace(PEAKS, dtype="float64"),), None),
        ((replace(PEAKS, threads=2),), None),
        ((replace(PEAKS, flops_per_second=None, reason="no fast one is here"),), "Unknown: no fast one is here."),
    ],
)
def test_without_peaks_of_the_same_kind_there_is_no_roofline(
    context: PageContext, tmp_path: Path, peaks: tuple[Peaks, ...], reason: str | None
) -> None:
    found = rooflines(made(tmp_path, at_rate("slow", 1e9, 16), peaks=peaks))

    assert [one.reason for one in found] == ([] if reason is None else [reason])
    assert not any(one.rows for one in found)
    assert ('id="roofline"' in render(replace(context, rooflines=found))) == (reason is not None)


def test_the_roof_is_the_lower_of_both() -> None:
    roof = Roof(1e11, 1e10)

    assert roof.ridge == 10
    assert [roof.at(intensity) for intensity in (0.1, 10, 1000)] == [1e9, 1e11, 1e11]
