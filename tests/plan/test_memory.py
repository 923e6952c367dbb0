"""Windows for memory, from counts alone: where the claimed term carries the bytes, or a sentence that there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attnbench.formula import Formula
from attnbench.plan.cost_model import CostModel
from attnbench.plan.memory import MIN_BYTES, plan_memory
from tests.plan.machine import LIMITS, planned_sizes, subject

CORE = "8*b*n**2 + 4*b*n*d"


def for_memory(name: str, claim: str | None, peak: str, **axes: object) -> CostModel:
    found = subject(name, peak=peak, **axes)  # type: ignore[arg-type]
    return replace(found, metric="memory", claim=Formula(claim) if claim else None)


@pytest.mark.parametrize(
    ("name", "claim", "peak"),
    [
        ("attention-core", "n**2", CORE),
        ("rnn", "n*d", "12*b*n*d + 4*b*d"),
        ("attention-additive", "n**2*d", "max(4*b*n**2*d + 8*b*n**2 + 4*b*n*d, 8*b*n**2*d + 4*b*n**2)"),
        ("conv1d", None, "4*b*n*d"),
    ],
)
def test_the_claimed_term_carries_the_bytes_and_they_grow_far(name: str, claim: str | None, peak: str) -> None:
    layer = for_memory(name, claim, peak, n="auto", d="auto")

    plan = plan_memory(layer, LIMITS)

    sizes = planned_sizes(plan)
    peaks = [float(Formula(peak).evaluate(one)) for one in sizes]
    assert len(sizes) >= 9
    assert min(layer.shares(one)[0] for one in sizes) >= 0.9
    assert MIN_BYTES <= min(peaks) <= max(peaks) / 12
    assert max(peaks) <= LIMITS.memory_bytes / 2
    assert sum(planned.visit_seconds for planned in plan.trials) <= LIMITS.round_seconds
    assert "windows, for its counted peak of" in plan.why


def test_terms_of_a_sum_each_lead_somewhere_in_the_window() -> None:
    layer = for_memory("attention-core", "n**2 + n*d", CORE, n="auto", d="auto")

    sizes = planned_sizes(plan_memory(layer, LIMITS))

    squares, products = zip(*map(layer.shares, sizes), strict=True)
    assert max(squares) >= 0.75
    assert max(products) >= 0.75


def test_given_sizes_are_taken_and_those_beyond_the_memory_skipped_before_anything_is_allocated() -> None:
    plan = plan_memory(for_memory("attention-core", "n**2", CORE, n=(1024, 32768), d=(64,)), LIMITS)

    small, large = (planned.trial for planned in plan.trials)
    assert plan.skipped == {large.id: "its counted memory of 8.01 GiB exceeds the 4.00 GiB that a trial may take here"}
    assert small.sizes == {"b": 1, "n": 1024, "d": 64, "h": 1}
    assert plan.why.endswith("sizes as given.")


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (
            replace(for_memory("attention-core", "n**2", CORE, n="auto", d="auto"), formulas={}),
            "No window: its peak has no counted formula to choose sizes by.",
        ),
        (
            for_memory("attention-core", "n*d", "8*b*n**3 + 4*b*n*d", n="auto", d="auto"),
            "No window: no box of sizes lets the claimed term carry the bytes, fits memory and budget",
        ),
    ],
)
def test_without_a_window_the_plan_says_why(layer: CostModel, why: str) -> None:
    plan = plan_memory(layer, LIMITS)

    assert plan.trials == ()
    assert plan.why.startswith(why)
