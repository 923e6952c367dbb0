"""From probes to trials: which batch, which rows, and whose clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnbench.errors import SuiteError
from attnbench.formula import Formula
from attnbench.layers.base import Layer
from attnbench.plan.cost_model import CostModel, Limits, Probe
from attnbench.plan.decide import level, outpaced, probe, share_out
from attnbench.plan.window import CALLS_PER_PROBE, CALLS_PER_VISIT
from attnbench.spec import AUTO
from attnbench.trial import Choices, Sizes, slug
from tests.plan.machine import LIMITS, RATE, Machine, planned_sizes, round_seconds, subject

CORE = subject("attention-core", n="auto", d="auto")
RNN = subject("rnn", b="auto", n="auto", d="auto")


def reasons(plan_of: CostModel, limits: Limits = LIMITS) -> dict[str, str]:
    """Sizes of each skipped row, as in its id, and why."""
    plan = Machine(plan_of).plan(limits)
    prefix = f"{plan_of.layer.name}-cpu-float32-forward-t1-"
    return {trial.removeprefix(prefix): reason for trial, reason in plan.skipped.items()}


# ----------------------------------------------------------------------------------------------------------- the batch


@pytest.mark.parametrize("enough", [1, 4, 16, 64])
def test_the_batch_is_the_smallest_at_which_the_rate_is_nearly_the_best(enough: int) -> None:
    probed = Machine(RNN, efficiency=lambda sizes: min(1.0, sizes["b"] / enough)).probed()

    assert probed.batch == (enough,)


def test_a_batch_of_one_is_taken_where_larger_ones_fail() -> None:
    assert Machine(RNN, fails=lambda sizes: sizes["b"] > 1).probed().batch == (1,)


def test_a_given_batch_is_kept() -> None:
    probed = Machine(subject("rnn", b=(7,), n="auto", d="auto")).probed()

    assert probed.batch == (7,)
    assert {probe.sizes["b"] for probe in probed.probes} == {7}


def test_an_automatic_batch_with_all_other_sizes_given_needs_no_window() -> None:
    plan = Machine(subject("rnn", b="auto", n=(64, 128), d=(256,))).plan()

    assert [(size["n"], size["d"]) for size in planned_sizes(plan)] == [(64, 256), (128, 256)]


@pytest.mark.parametrize("efficiency", [1.0, 0.1, 0.01])
def test_comparing_batches_stays_within_the_probing_clock(efficiency: float) -> None:
    probed = Machine(RNN, efficiency=lambda _: efficiency).probed()

    ladder = [probe.seconds or 0.0 for probe in probed.probes[:7]]
    assert CALLS_PER_PROBE * sum(ladder) <= LIMITS.probing_seconds


# ---------------------------------------------------------------------------------------------------------- decoding


def decoding(**prefill: str) -> CostModel:
    """Attention that writes one token after a context, beside what is counted of the context's prefill."""
    formulas = {"flops": "4*b*n*d", "peak_bytes": "4*b*n*d", **prefill}
    counted = {metric: Formula(text) for metric, text in formulas.items()}
    return replace(CORE, choices=Choices(mode="decode"), formulas=counted, claim=Formula("n*d"))


@pytest.mark.parametrize(("prefill", "within"), [({}, False), ({"prefill_flops": "4*b*n**2*d"}, True)])
def test_a_prefill_is_waited_for_and_so_it_is_paid_for(prefill: dict[str, str], within: bool) -> None:
    """Without its count nobody would know: a context of 16384 costs a token's work 16384 times."""
    limits = replace(LIMITS, probing_seconds=200.0, round_seconds=200.0)
    plan = Machine(decoding(**prefill)).plan(limits)

    def waited(points: list[Sizes]) -> float:
        return sum(4 * sizes["b"] * sizes["n"] ** 2 * sizes["d"] / RATE for sizes in points)

    assert len(planned_sizes(plan)) >= 9
    assert (waited(planned_sizes(plan)) <= limits.round_seconds) == within
    assert (waited([probe.sizes for probe in plan.probed.probes]) <= limits.probing_seconds) == within


def test_a_prefill_that_needs_more_memory_than_there_is_is_left_out_before_it_is_tried() -> None:
    given_sizes = {"n": (1024, 65536), "d": (64,)}
    made = replace(decoding(prefill_bytes="4*b*n**2"), axes=given_sizes)

    plan = Machine(made).plan()

    assert [reason[:38] for reason in plan.skipped.values()] == ["its counted memory of 16.0 GiB exceeds"]
    assert [sizes["n"] for sizes in planned_sizes(plan)] == [1024]


# ---------------------------------------------------------------------------------------------------- sizes as given


def test_given_sizes_need_no_probe_and_all_become_trials() -> None:
    layer = subject("attention-core", b=(2,), n=(64, 96), d=(64, 100))

    with pytest.raises(StopIteration) as stop:
        next(probe(layer, LIMITS))
    plan = Machine(layer).plan()

    assert stop.value.value.probes == ()
    assert [trial.trial.id for trial in plan.trials] == [
        f"attention-core-cpu-float32-forward-t1-b2-n{n}-d{d}-h1" for n in (64, 96) for d in (64, 100)
    ]
    assert plan.why == "b = 2, n 64–96, d 64–100, h = 1: sizes as given."


def test_a_given_size_against_a_constraint_is_a_skipped_row() -> None:
    layer = subject("conv1d", n=(64,), d=(32,), k=(3, 4))

    assert reasons(layer) == {
        "b1-n64-d32-k4": "the layer needs k % 2 == 1, which b=1, n=64, d=32, k=4 does not satisfy"
    }


def test_only_the_pairs_of_heads_and_width_that_do_not_divide_are_skipped() -> None:
    skipped = reasons(subject("multi-head-attention", n=(64,), d=(60, 64), h=(1, 3, 4)))

    assert list(skipped) == ["b1-n64-d64-h3"]


def test_a_given_size_beyond_the_memory_is_a_skipped_row_that_says_how_much() -> None:
    layer = subject("attention-core", n=(1024, 2048), d=(64,), peak="4*b*n**2")

    assert reasons(layer, replace(LIMITS, memory_bytes=5 * 2**20)) == {
        "b1-n2048-d64-h1": "its counted memory of 16.0 MiB exceeds the 5.00 MiB that a trial may take here"
    }


def test_parameters_count_towards_the_memory() -> None:
    assert reasons(subject("rnn", n=(2,), d=(1024,)), replace(LIMITS, memory_bytes=2.0**22)) == {
        "b1-n2-d1024": "its counted memory of 8.01 MiB exceeds the 4.00 MiB that a trial may take here"
    }


def test_an_axis_without_a_size_is_an_error_that_says_how_to_give_one() -> None:
    layer = Layer("mine", lambda d, w: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(SuiteError) as caught:
        next(probe(CostModel(layer, Choices(), {"n": AUTO}), LIMITS))

    assert str(caught.value) == "layer 'mine' needs sizes for axis 'w'; give some with --set w=…"


# --------------------------------------------------------------------------------------------------------- the clock


def test_the_clock_that_is_left_over_goes_to_the_worst_window() -> None:
    worse = Machine(CORE, overhead=3e-3)
    cheap = Machine(subject("rnn", b=(1,), n=(16,), d=(64,)))
    alone = share_out([worse.probed()], 4.0)[0]

    together, _ = share_out([worse.probed(), cheap.probed()], 8.0)

    assert alone.window is not None
    assert together.window is not None
    assert together.window.round_seconds > 4.0
    assert together.window.unflatness < alone.window.unflatness


@pytest.mark.parametrize(
    ("seconds", "visits"),
    [
        (0.0, [0.02, 0.08, 0.32, 1.29]),  # they take what they need
        (1.83, [0.11, 0.11, 0.32, 1.29]),
        (100.0, [0.2, 0.2, 0.32, 1.29]),  # a longer visit teaches less than another round
    ],
)
def test_what_is_left_makes_the_shortest_visits_longer(seconds: float, visits: list[float]) -> None:
    layer = subject("attention-core", b=(1,), n=(512, 1024, 2048, 4096), d=(64,))

    (plan,) = share_out([Machine(layer).probed()], seconds)

    assert [planned.visit_seconds for planned in plan.trials] == pytest.approx(visits, abs=0.006)


@given(
    needs=st.lists(st.floats(0.001, 10), min_size=1, max_size=12),
    more=st.floats(0, 20),
)
def test_visits_brought_to_one_level_last_as_long_as_there_is_room(needs: list[float], more: float) -> None:
    shared = level(needs, sum(needs) + more)

    assert sum(max(need, shared) for need in needs) == pytest.approx(sum(needs) + more)


def test_without_room_there_is_no_level() -> None:
    assert level([1.0, 2.0], 2.5) == 0.0
    assert level([], 5.0) == 0.0


@pytest.mark.parametrize(
    "layer",
    [
        subject("attention-core", b=(1, 2, 8), n="auto", d="auto"),
        subject("attention-core", n="auto", d=(64, 128, 2048)),
        subject("attention-core", n="auto", d="auto", h=(1, 4)),
        subject("conv1d", b=(1, 4), n="auto", d="auto", k="auto"),
    ],
    ids=["batches", "widths", "heads", "four axes"],
)
def test_given_sizes_beside_automatic_ones_are_paid_for(layer: CostModel) -> None:
    machine = Machine(layer)

    plan = machine.plan()

    assert planned_sizes(plan)
    assert CALLS_PER_VISIT * sum(map(machine.seconds, planned_sizes(plan))) <= LIMITS.round_seconds
    assert round_seconds(plan) <= LIMITS.round_seconds


AXES = {
    "attention-core": ("b", "n", "d"),
    "multi-head-attention": ("n", "d", "h"),
    "rnn": ("b", "n", "d"),
    "conv1d": ("n", "d", "k"),
    "feed-forward": ("b", "n", "d"),
}
GIVEN = {"b": (1, 4, 32), "n": (64, 256), "d": (64, 96), "h": (1, 2, 3), "k": (3, 4)}


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """A layer with some axes automatic, some given and some left out, on a machine with faults."""
    name = draw(st.sampled_from(sorted(AXES)))
    sweep = {axis: draw(st.sampled_from([AUTO, AUTO, GIVEN[axis][:1], GIVEN[axis]])) for axis in AXES[name]}
    knee, slope = draw(st.sampled_from([64, 256, 1024])), draw(st.floats(0, 0.4))
    return Machine(
        subject(name, peak="4*b*n*d + 4*b*n**2", claim="n*d**2" if name == "feed-forward" else None, **sweep),
        overhead=draw(st.floats(0, 1e-3)),
        efficiency=lambda sizes: min(1.0, sizes["d"] / knee) ** slope,
        noise=draw(st.floats(0, 0.05)),
        seed=draw(st.integers(0, 99)),
    )


def limits() -> st.SearchStrategy[Limits]:
    return st.builds(
        Limits,
        probing_seconds=st.floats(0.1, 10),
        round_seconds=st.floats(0.1, 40),
        memory_bytes=st.sampled_from([2.0**22, 2.0**26, 2.0**34]),
        rate=st.just(RATE),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(machine=machines(), limits=limits())
def test_whatever_the_machine_an_automatic_plan_keeps_its_promises(machine: Machine, limits: Limits) -> None:
    plan, memory = machine.plan(limits), limits.memory_bytes
    asked = [probe.sizes for probe in plan.probed.probes]

    assert [sizes for sizes in asked if machine.costs.unfit(sizes, memory)] == []
    if machine.costs.auto:
        assert plan.skipped == {}
        assert [sizes for sizes in planned_sizes(plan) if machine.costs.unfit(sizes, memory)] == []
        assert round_seconds(plan) <= limits.round_seconds * (1 + 1e-9)
        assert all(probe.seconds is not None for probe in plan.probed.probes)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(several=st.lists(machines(), min_size=1, max_size=3), seconds=st.floats(0.5, 60))
def test_one_round_of_all_layers_takes_no_more_clock_than_there_is(several: list[Machine], seconds: float) -> None:
    automatic = [machine for machine in several if machine.costs.auto]

    plans = share_out([machine.probed() for machine in automatic], seconds)

    assert sum(map(round_seconds, plans)) <= seconds * (1 + 1e-9)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(machine=machines())
def test_the_same_answers_give_the_same_plan(machine: Machine) -> None:
    assert machine.plan() == machine.plan()


# ----------------------------------------------------------------------------------------------------- second looks


def box(*, middle: float) -> list[Probe]:
    """Nine probes of a layer at one rate, but for the one in the middle, which took so many times longer."""
    return [
        Probe(sizes, CORE.work(sizes) / RATE * (middle if n == d == 128 else 1.0))
        for n in (64, 128, 256)
        for d in (64, 128, 256)
        if (sizes := {"b": 1, "n": n, "d": d, "h": 1})
    ]


def test_a_probe_that_was_slower_than_those_around_it_stands_out() -> None:
    assert [probe.sizes for probe in outpaced(CORE, box(middle=1.2))] == [{"b": 1, "n": 128, "d": 128, "h": 1}]
    assert outpaced(CORE, box(middle=1.05)) == []
    assert outpaced(CORE, box(middle=1.0)) == []


@pytest.mark.parametrize("disturbed", [1, 3, 10])
def test_a_disturbed_first_look_at_some_sizes_does_not_reach_the_window(disturbed: int) -> None:
    """Every so manyth size is met at a moment in which the machine does something else."""
    looks: dict[str, int] = {}

    def efficiency(sizes: Sizes) -> float:
        key = slug(sizes)
        number = list(looks).index(key) if key in looks else len(looks)
        looks[key] = looks.get(key, 0) + 1
        return 0.5 if number % 10 < disturbed and looks[key] == 1 else 1.0

    plan = Machine(CORE, efficiency=efficiency).plan()

    window = [slug(size) for size in planned_sizes(plan)]
    rates = [CORE.work(p.sizes) / p.seconds for p in plan.probed.probes if p.seconds and slug(p.sizes) in window]
    assert len(rates) >= 9
    assert rates == pytest.approx([RATE] * len(rates))
