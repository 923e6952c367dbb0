"""The window that is chosen on machines whose truth is known: every way to misread a law is avoided, or admitted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from attnbench.formula import Formula
from attnbench.layers.base import Layer
from attnbench.plan.cost_model import CostModel, Limits
from attnbench.plan.window import Window, tiny
from attnbench.trial import Sizes
from tests.plan.machine import LIMITS, RATE, Efficiency, Machine, planned_sizes, subject

CORE = subject("attention-core", n="auto", d="auto")
RNN = subject("rnn", b="auto", n="auto", d="auto")
CONV = subject("conv1d", n="auto", d="auto", k="auto")
FEED_FORWARD = subject("feed-forward", n="auto", d="auto", claim="n*d**2")


def multi_head(claim: str | None = None) -> CostModel:
    return subject("multi-head-attention", n="auto", d="auto", claim=claim)


def warms_up(axis: str, until: int) -> Efficiency:
    """A rate that grows as a power of one size, and is flat from `until` on."""
    return lambda sizes: min(1.0, sizes[axis] / until) ** 0.3


def tires(axis: str, beyond: int) -> Efficiency:
    """A rate that falls as a power of one size once it is larger than `beyond`."""
    return lambda sizes: min(1.0, beyond / sizes[axis]) ** 0.3


def breaks(footprint: int) -> Efficiency:
    """A cache: half the rate once the input is larger than `footprint` bytes."""
    return lambda sizes: 1.0 if 4 * sizes["n"] * sizes["d"] <= footprint else 0.5


def exponents(machine: Machine, sizes: list[Sizes]) -> dict[str, float]:
    """What a straight line through the logarithms of the times says, axis by axis."""
    swept = [axis for axis in sizes[0] if len({size[axis] for size in sizes}) > 1]
    logs = np.log([[size[axis] for axis in swept] for size in sizes])
    times = np.log([machine.seconds(size) for size in sizes])
    solution, *_ = np.linalg.lstsq(np.column_stack([logs, np.ones(len(sizes))]), times, rcond=None)
    return dict(zip(swept, map(float, solution), strict=False))


def shares(of: CostModel, sizes: list[Sizes]) -> list[tuple[float, ...]]:
    return [of.shares(size) for size in sizes]


# ---------------------------------------------------------------------------------------- what a machine does to a law


@pytest.mark.parametrize("overhead", [1e-5, 3e-4])
@pytest.mark.parametrize("layer", [CORE, RNN, CONV, FEED_FORWARD], ids=lambda s: s.layer.name)
def test_the_fixed_cost_of_a_call_is_small_everywhere_in_the_window(layer: CostModel, overhead: float) -> None:
    machine = Machine(layer, overhead=overhead, noise=0.02)

    sizes = planned_sizes(machine.plan())

    assert max(overhead / machine.seconds(size) for size in sizes) < 0.1


@pytest.mark.parametrize(
    ("layer", "efficiency", "flat"),
    [
        (CORE, warms_up("d", 512), lambda sizes: sizes["d"] >= 512),
        (CORE, warms_up("n", 512), lambda sizes: sizes["n"] >= 512),
        (CORE, tires("n", 512), lambda sizes: sizes["n"] <= 512),
        (CORE, tires("d", 256), lambda sizes: sizes["d"] <= 256),
        (RNN, warms_up("d", 256), lambda sizes: sizes["d"] >= 256),
        (CONV, warms_up("d", 256), lambda sizes: sizes["d"] >= 256),
        (CONV, tires("d", 256), lambda sizes: sizes["d"] <= 256),
    ],
    ids=["d rises", "n rises", "n falls", "d falls", "rnn d rises", "conv d rises", "conv d falls"],
)
def test_sizes_at_which_the_rate_still_drifts_are_avoided(
    layer: CostModel, efficiency: Efficiency, flat: Efficiency
) -> None:
    plan = Machine(layer, efficiency=efficiency, noise=0.01).plan()

    assert all(flat(size) for size in planned_sizes(plan))


@pytest.mark.parametrize("footprint", [2**19, 2**20, 2**21])
@pytest.mark.parametrize("layer", [CORE, RNN], ids=lambda s: s.layer.name)
def test_a_window_does_not_reach_across_a_cache(layer: CostModel, footprint: int) -> None:
    cache = breaks(footprint)

    plan = Machine(layer, efficiency=cache, noise=0.01).plan()

    *others, _dearest = sorted(planned_sizes(plan), key=layer.work)  # which may be read off the others
    assert len({cache(size) for size in others}) == 1


@pytest.mark.parametrize("cache_bytes", [2.0**20, 2.0**22, 2.0**24])
def test_a_window_lies_on_one_side_of_the_cache_for_its_weights(cache_bytes: float) -> None:
    plan = Machine(RNN, noise=0.01).plan(replace(LIMITS, cache_bytes=cache_bytes))

    assert len({RNN.weight_bytes(size) <= cache_bytes for size in planned_sizes(plan)}) == 1


@pytest.mark.parametrize(
    ("layer", "law"),
    [
        (CORE, {"n": 2, "d": 1}),
        (RNN, {"n": 1, "d": 2}),
        (CONV, {"n": 1, "d": 2, "k": 1}),
        (FEED_FORWARD, {"n": 1, "d": 2}),
    ],
    ids=lambda value: value.layer.name if isinstance(value, CostModel) else "",
)
def test_times_in_the_window_grow_as_the_law_on_a_machine_with_every_fault(
    layer: CostModel, law: dict[str, int]
) -> None:
    faults = (warms_up("d", 256), tires("n", 4096), breaks(2**23))
    machine = Machine(layer, 1e-4, lambda s: math.prod(fault(s) for fault in faults), noise=0.01)

    found = exponents(machine, planned_sizes(machine.plan()))

    assert found == pytest.approx(law, abs=0.06)


def test_the_window_says_how_flat_it_is_and_what_it_was_chosen_from() -> None:
    window = Window({"b": (1,), "n": (64, 128)}, {"n": -0.0123}, 0.01, (9.5e9, 1.04e10), 0.912, 3.5, candidates=17)

    assert window.sentence == (
        "b = 1, n 64–128: the best of 17 windows within the budget, for its flat rate and its price. "
        "The probes ran at 9.50 GFLOP/s to "
        "10.4 GFLOP/s there, and the rate drifts with exponents -0.012 in n. The claimed work is 91.2 % of the "
        "counted work where it is least."
    )


# ---------------------------------------------------------------------------------- where the claimed term can be read


@pytest.mark.parametrize("speed", [1, 1000])
def test_quadratic_growth_of_multi_head_attention_is_read_where_n_is_18_d_or_nowhere(speed: int) -> None:
    limits = replace(LIMITS, probing_seconds=speed * 6.0, round_seconds=speed * 20.0, memory_bytes=2.0**50)

    plan = Machine(multi_head("n**2*d"), noise=0.02).plan(limits)

    assert all(size["n"] >= 18 * size["d"] for size in planned_sizes(plan))
    assert (plan.window is None) == (not planned_sizes(plan))


def test_with_one_length_given_the_claimed_term_carries_the_work_at_all_widths() -> None:
    layer = subject("multi-head-attention", n=(4096, 16384), d="auto", claim="n**2*d")

    plan = Machine(layer).plan(replace(LIMITS, probing_seconds=600, round_seconds=2000))

    assert all(size["n"] >= 18 * size["d"] for size in planned_sizes(plan))


def test_a_claimed_term_carries_nine_tenths_of_the_work_at_every_size() -> None:
    layer = multi_head("n*d**2")

    plan = Machine(layer, noise=0.02).plan(replace(LIMITS, probing_seconds=60, round_seconds=200))

    assert min(share for (share,) in shares(layer, planned_sizes(plan))) >= 0.9


def test_each_of_two_claimed_terms_carries_three_quarters_of_the_work_somewhere() -> None:
    layer = multi_head()

    plan = Machine(layer, overhead=2e-5, noise=0.02).plan()

    assert min(max(column) for column in zip(*shares(layer, planned_sizes(plan)), strict=True)) >= 0.75


@pytest.mark.parametrize("layer", [CORE, RNN, CONV, FEED_FORWARD], ids=lambda s: s.layer.name)
def test_a_single_claim_carries_nine_tenths_at_every_size(layer: CostModel) -> None:
    carried = shares(layer, planned_sizes(Machine(layer).plan()))

    assert min(share for (share,) in carried) >= 0.9


def test_a_claim_that_the_count_does_not_know_still_gets_a_window() -> None:
    plan = Machine(subject("attention-core", n="auto", d="auto", claim="n*d")).plan()

    assert len(planned_sizes(plan)) >= 9
    assert "claimed work" not in plan.why


# ------------------------------------------------------------------------------------------------ layers without work


@pytest.mark.parametrize(
    ("formulas", "machine"),
    [
        ({"flops": Formula("0")}, {"overhead": 2e-6}),
        ({"flops": Formula("0")}, {"overhead": 2e-6, "efficiency": lambda _: 1e9}),
        ({}, {"overhead": 2e-6}),
    ],
    ids=["moves data", "does nothing", "no formula"],
)
def test_a_layer_whose_work_was_not_counted_gets_a_window_too(
    formulas: dict[str, Formula], machine: dict[str, float]
) -> None:
    layer = replace(CORE, formulas=formulas, claim=None)

    plan = Machine(layer, **machine).plan()

    assert len(planned_sizes(plan)) >= 9
    assert plan.skipped == {}


def test_a_layer_that_moves_data_is_read_where_its_fixed_cost_is_small() -> None:
    machine = Machine(replace(CORE, formulas={"flops": Formula("0")}, claim=Formula("n*d")), overhead=2e-5)

    sizes = planned_sizes(machine.plan())

    assert max(machine.overhead / machine.seconds(size) for size in sizes) < 0.1


def test_a_layer_without_a_claim_is_read_where_its_leading_work_is() -> None:
    layer = replace(multi_head(), claim=None)

    assert [monomial.text for monomial in layer.claimed] == ["b*n*d**2", "b*n**2*d"]
    assert Machine(layer).plan().window == Machine(replace(layer, claim=Formula("n*d**2 + n**2*d"))).plan().window


# ----------------------------------------------------------------------------------------------------- what is refused


def test_nothing_beyond_the_memory_is_probed_or_planned() -> None:
    layer = subject("attention-core", n="auto", d="auto", peak="4*b*n*d + 4*b*n**2")
    limits = replace(LIMITS, memory_bytes=2.0**21)

    plan = Machine(layer).plan(limits)

    asked = [*(probe.sizes for probe in plan.probed.probes), *planned_sizes(plan)]
    assert plan.skipped == {}
    assert max(4 * s["n"] * s["d"] + 4 * s["n"] ** 2 for s in asked) <= 2**21


def test_the_batches_compared_fit_the_memory() -> None:
    limits = replace(LIMITS, memory_bytes=2.0**23)

    probed = Machine(RNN).probed(limits)

    assert [probe for probe in probed.probes if RNN.unfit(probe.sizes, limits.memory_bytes)] == []


def test_a_size_that_failed_under_the_probe_is_in_no_window() -> None:
    plan = Machine(CORE, fails=lambda sizes: sizes["n"] * sizes["d"] > 2**17).plan()

    assert len(planned_sizes(plan)) >= 9
    assert [size for size in planned_sizes(plan) if size["n"] * size["d"] > 2**17] == []


NOTHING_TO_PROBE = (
    "No window: no size keeps the layer's constraints, fits the budget and the memory, and lets the claimed term carry "
    "the work."
)
NO_BOX = (
    "No window: no box of the {} probed sizes fits the budget and the memory, with the claimed term carrying the work."
)


@pytest.mark.parametrize(
    ("machine", "limits", "sentence"),
    [
        (Machine(CORE, fails=lambda _: True), LIMITS, "No window: none of the {} probed sizes could be run."),
        (Machine(CORE, efficiency=lambda _: 1e-4), LIMITS, NO_BOX),
        (Machine(subject("attention-core", n="auto", d="auto", h=(3,))), LIMITS, NOTHING_TO_PROBE),
        (Machine(CORE), replace(LIMITS, memory_bytes=1024.0), NOTHING_TO_PROBE),
    ],
    ids=["broken", "slow", "three heads", "no memory"],
)
def test_without_a_window_the_plan_says_so_and_has_no_trials(machine: Machine, limits: Limits, sentence: str) -> None:
    plan = machine.plan(limits)

    assert (plan.window, plan.trials, plan.skipped) == (None, (), {})
    assert plan.why == sentence.format(len(plan.probed.probes))


# ------------------------------------------------------------------------------------------------ the sizes of a window


def test_up_to_three_swept_axes_are_a_full_grid() -> None:
    window = Window({"b": (2,), "n": (8, 16, 32), "d": (64, 128), "k": (3, 5)})

    assert len(window.design) == 3 * 2 * 2
    assert window.design[0] == {"b": 2, "n": 8, "d": 64, "k": 3}
    assert window.design[-1] == {"b": 2, "n": 32, "d": 128, "k": 5}


def test_four_swept_axes_are_corners_centre_and_face_centres() -> None:
    window = Window(dict.fromkeys("bndk", (2, 4, 8)))

    points = {tuple(size.values()) for size in window.design}

    corners = {(b, n, d, k) for b in (2, 8) for n in (2, 8) for d in (2, 8) for k in (2, 8)}
    faces = {tuple(end if i == axis else 4 for i in range(4)) for axis in range(4) for end in (2, 8)}
    assert points == corners | faces | {(4, 4, 4, 4)}
    assert len(window.design) == len(points)


def test_a_call_at_tiny_sizes_is_one_that_the_layer_allows() -> None:
    assert tiny(subject("attention-core", n="auto", d=(512,))) == {"b": 1, "n": 8, "d": 64, "h": 1}
    assert tiny(subject("conv1d", n=(4096,), d=(512,), k=(9, 17))) == {"b": 1, "n": 8, "d": 64, "k": 3}
    odd = Layer("odd", lambda d: None, constraints="d % 3 == 0")  # type: ignore[arg-type,return-value]
    assert tiny(replace(CORE, layer=odd)) is None


def test_sizes_as_given_say_so() -> None:
    assert Window({"b": (2,), "n": (8, 64)}).sentence == "b = 2, n 8–64: sizes as given."


def test_the_simulated_machine_runs_a_product_at_its_rate() -> None:
    assert Machine(CORE, overhead=0.5).seconds({"b": 1, "n": 50_000, "d": 1, "h": 1}) == 0.5 + 1e10 / RATE
