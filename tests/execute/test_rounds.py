"""The rounds of a run on a machine that answers at once: who is visited when, and when it ends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.execute.rounds import (
    MAX_ROUNDS,
    MIN_ROUNDS,
    ROUNDS_PER_PROCESS,
    Progress,
    Rounds,
    answer_probes,
    not_tried,
)
from attnbench.execute.setup import Setup
from attnbench.plan.cost_model import CostModel, Limits, Probe
from attnbench.plan.decide import PlannedTrial, Probed
from attnbench.record import Conditions, Status, Visit
from attnbench.trial import Choices, Subject, Trial
from tests.fake_machine import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from attnbench.trial import Sizes

SETUP = Setup(threads=1, plugins=(), seed=0)
TRIALS = tuple(Trial(Subject(layer), {"b": 1, "n": n, "d": 8}) for layer in ("rnn", "gru") for n in (2, 4, 8, 16))
IDS = {trial.id for trial in TRIALS}
BROKEN = TRIALS[2]


@pytest.fixture
def machine() -> FakeMachine:
    """A visit takes one second of its time."""
    return FakeMachine()


def visits(
    machine: FakeMachine,
    *,
    wanted: Collection[str] = (),
    budget: float = 1e9,
    seed: int = 0,
    shown: list[Progress] | None = None,
    **more: Any,
) -> list[Visit]:
    """Every visit of a run in which the `wanted` trials are asked for in every round."""
    planned = [PlannedTrial(trial, visit_seconds=1.0) for trial in TRIALS]
    rounds = Rounds(SETUP, planned, budget, seed, machine=machine, **more)
    return list(rounds.visits(lambda _: wanted, (shown if shown is not None else []).append, began=0.0))


def by_round(found: list[Visit]) -> dict[int, list[str]]:
    """Trials of each round, in order."""
    grouped: dict[int, list[str]] = {}
    for visit in found:
        grouped.setdefault(visit.round, []).append(visit.trial)
    return grouped


# --------------------------------------------------------------------------------------------------------------- order


def test_every_trial_is_visited_once_in_each_round(machine: FakeMachine) -> None:
    rounds = by_round(visits(machine, wanted=IDS))

    assert all(Counter(order) == Counter(IDS) for order in rounds.values())


def test_the_order_differs_between_rounds_and_seeds_and_is_the_same_for_the_same_seed(machine: FakeMachine) -> None:
    first, again, other = (by_round(visits(machine, seed=seed)) for seed in (3, 3, 4))

    assert first == again
    assert len({tuple(order) for order in [*first.values(), *other.values()]}) == 2 * MIN_ROUNDS


def test_a_new_process_starts_every_other_round(machine: FakeMachine) -> None:
    found = visits(machine, wanted={BROKEN.id})

    assert {(visit.round, visit.process) for visit in found} == {
        (number, number // ROUNDS_PER_PROCESS) for number in range(MAX_ROUNDS)
    }
    assert machine.started == MAX_ROUNDS // ROUNDS_PER_PROCESS
    assert [number for number, _ in machine.visits] == [visit.process for visit in found]


# -------------------------------------------------------------------------------------------------------------- the end


def test_a_run_that_asks_for_nothing_more_ends_after_three_rounds_in_two_processes(machine: FakeMachine) -> None:
    found = visits(machine)

    assert {visit.round for visit in found} == set(range(MIN_ROUNDS)) == {0, 1, 2}
    assert {visit.process for visit in found} == {0, 1}


def test_after_the_first_rounds_only_the_trials_that_are_asked_for_are_visited(machine: FakeMachine) -> None:
    asked = {trial.id for trial in TRIALS[1:4]}

    later = Counter(visit.trial for visit in visits(machine, wanted=asked) if visit.round >= MIN_ROUNDS)

    assert later == dict.fromkeys(asked, MAX_ROUNDS - MIN_ROUNDS)


def test_each_round_is_asked_for_once_and_before_any_of_its_visits(machine: FakeMachine) -> None:
    asked: list[tuple[int, int]] = []

    def wanted(round_: int) -> Collection[str]:
        asked.append((round_, len(machine.visits)))
        return {TRIALS[round_].id} if round_ < 5 else ()

    planned = [PlannedTrial(trial, 1.0) for trial in TRIALS]
    found = list(Rounds(SETUP, planned, 1e9, 0, machine=machine).visits(wanted, lambda _: None, 0.0))

    assert asked == [(0, 0), (1, 8), (2, 16), (3, 24), (4, 25), (5, 26)]
    assert [visit.trial for visit in found[24:]] == [TRIALS[3].id, TRIALS[4].id]


def test_a_run_that_settles_midway_ends_there(machine: FakeMachine) -> None:
    answers = iter([IDS] * 5)
    planned = [PlannedTrial(trial, 1.0) for trial in TRIALS]
    found = Rounds(SETUP, planned, 1e9, 0, machine=machine).visits(lambda _: next(answers, set()), lambda _: None, 0.0)

    assert {visit.round for visit in found} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("budget", "later"),
    [(0.0, []), (24.0, []), (27.9, []), (28.0, [4]), (31.9, [4]), (32.0, [8]), (47.9, [8, 8, 4]), (48.0, [8, 8, 8])],
)
def test_a_round_visits_the_layers_that_the_budget_has_room_for(
    budget: float, later: list[int], machine: FakeMachine
) -> None:
    found = by_round(visits(machine, wanted=IDS, budget=budget))

    assert [len(order) for order in found.values()] == [8, 8, 8, *later]
    assert all(len({trial.split("-")[0] for trial in order}) == len(order) / 4 for order in found.values())


def test_a_round_of_few_visits_needs_room_for_these_alone(machine: FakeMachine) -> None:
    found = visits(machine, wanted={BROKEN.id}, budget=26.0)

    assert [len(order) for order in by_round(found).values()] == [8, 8, 8, 1, 1]


def test_a_run_that_ends_with_a_process_starts_no_other(machine: FakeMachine) -> None:
    visits(machine, wanted=IDS, budget=32.0)

    assert machine.started == 2


def test_without_trials_no_process_is_started(machine: FakeMachine) -> None:
    assert list(Rounds(SETUP, [], 1e9, 0, machine=machine).visits(lambda _: (), lambda _: None, 0.0)) == []
    assert machine.started == 0


# ------------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("status", [Status.OOM, Status.ERROR, Status.TIMEOUT])
def test_a_trial_that_failed_is_not_visited_again(status: Status, machine: FakeMachine) -> None:
    largest = TRIALS[3]
    machine.failures = lambda trial: (status, "why") if trial == largest else None

    found = visits(machine, wanted=IDS)

    assert [(v.round, v.status, v.reason, v.block_seconds) for v in found if v.trial == largest.id] == [
        (0, status, "why", ())
    ]
    assert all(visit.status is Status.OK for visit in found if visit.trial != largest.id)
    assert len(found) == 1 + MAX_ROUNDS * (len(TRIALS) - 1)


@pytest.mark.parametrize(("status", "words"), [(Status.OOM, "ran out of memory"), (Status.TIMEOUT, "took too long")])
@pytest.mark.parametrize("seed", range(6))
def test_what_a_smaller_trial_could_not_have_is_not_tried(
    seed: int, status: Status, words: str, machine: FakeMachine
) -> None:
    machine.failures = lambda trial: (status, "why") if trial.layer == "rnn" and trial.sizes["n"] >= 4 else None

    found = visits(machine, wanted=IDS, seed=seed)

    order = [trial.sizes["n"] for _, trial in machine.visits if trial.layer == "rnn" and trial.sizes["n"] >= 4]
    assert order == sorted(order, reverse=True)  # no larger one is tried after a smaller one has failed
    skipped = {visit.trial: visit.reason for visit in found if visit.status is Status.SKIPPED}
    failed = {visit.trial for visit in found if visit.status is status}
    assert {*skipped, *failed} == {trial.id for trial in TRIALS[1:4]}
    assert len(order) == len(failed) == 3 - len(skipped)
    assert all(reason.startswith("not tried: the smaller b=1, n=") for reason in skipped.values())
    assert all(reason.endswith(f", d=8 {words}") for reason in skipped.values())
    assert sum(visit.status is Status.OK for visit in found) == MAX_ROUNDS * (len(TRIALS) - 3)


def test_what_differs_in_more_than_its_size_or_has_run_before_is_tried_all_the_same(machine: FakeMachine) -> None:
    trials = [
        smaller := Trial(Subject("rnn"), {"b": 1, "n": 4, "d": 8}),
        Trial(Subject("rnn"), {"b": 1, "n": 8, "d": 4}),
        Trial(Subject("gru"), {"b": 1, "n": 8, "d": 8}),
        Trial(Subject("rnn", Choices(dtype="float64")), {"b": 1, "n": 8, "d": 8}),
        ran := Trial(Subject("rnn"), {"b": 1, "n": 16, "d": 8}),
    ]
    failures = [(smaller, Status.OOM), (ran, Status.OK)]
    planned = [PlannedTrial(trial, 1.0) for trial in trials[1:]]

    rounds = Rounds(SETUP, planned, 1e9, 0, {(ran.id, 0)}, failures, machine=machine)
    found = list(rounds.visits(lambda _: (), lambda _: None, 0.0))

    assert {visit.status for visit in found} == {Status.OK}
    assert not_tried(Trial(Subject("rnn"), {"b": 1, "n": 8, "d": 8}), failures) != ""


@pytest.mark.parametrize("kept", range(9))
def test_a_resumed_run_leaves_out_what_the_whole_run_leaves_out(kept: int, machine: FakeMachine) -> None:
    machine.failures = lambda trial: (Status.OOM, "why") if trial.layer == "rnn" and trial.sizes["n"] >= 4 else None
    whole = visits(machine, seed=1)
    before = whole[:kept]
    by_id = {trial.id: trial for trial in TRIALS}
    failed = {visit.trial for visit in before if visit.status is not Status.OK}
    planned = [PlannedTrial(trial, 1.0) for trial in TRIALS if trial.id not in failed]
    ended = [(by_id[visit.trial], visit.status) for visit in before]

    rounds = Rounds(SETUP, planned, 1e9, 1, {(visit.trial, visit.round) for visit in before}, ended, machine=machine)
    after = rounds.visits(lambda _: (), lambda _: None, 0.0)

    said = [(v.trial, v.status, v.reason) for v in (*before, *after)]
    assert sorted(said) == sorted((v.trial, v.status, v.reason) for v in whole)
    assert any(status is Status.SKIPPED for _, status, _ in said)


def test_an_interrupt_passes_through(machine: FakeMachine) -> None:
    machine.interrupt_at = 3

    with pytest.raises(KeyboardInterrupt):
        visits(machine)

    assert len(machine.visits) == 3


# ------------------------------------------------------------------------------------------------------ to be continued


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 11, 24])
def test_a_resumed_run_makes_the_visits_it_lacks_in_new_processes(kept: int, machine: FakeMachine) -> None:
    whole = visits(machine)
    before = whole[:kept]
    done = {(visit.trial, visit.round) for visit in before}

    after = visits(machine, done=done, first_process=2)

    assert [(v.trial, v.round) for v in before + after] == [(v.trial, v.round) for v in whole]
    assert min((visit.process for visit in after), default=2) == 2


@pytest.mark.parametrize("kept", [25, 26, 27, 30])
def test_a_resumed_run_goes_on_within_a_round_of_few_visits(kept: int, machine: FakeMachine) -> None:
    asked = {trial.id for trial in TRIALS[2:5]}
    whole = visits(machine, wanted=asked)
    before = whole[:kept]

    after = visits(machine, wanted=asked, done={(visit.trial, visit.round) for visit in before}, first_process=9)

    assert [(v.trial, v.round) for v in before + after] == [(v.trial, v.round) for v in whole]


def test_a_resumed_run_asks_for_no_round_before_the_one_it_stopped_in(machine: FakeMachine) -> None:
    done = {(trial.id, number) for trial in TRIALS for number in range(MIN_ROUNDS)} | {(BROKEN.id, 5)}
    asked: list[int] = []

    def wanted(round_: int) -> Collection[str]:
        asked.append(round_)
        return {BROKEN.id} if round_ == 5 else ()

    planned = [PlannedTrial(trial, 1.0) for trial in TRIALS]
    found = list(Rounds(SETUP, planned, 1e9, 0, done, machine=machine).visits(wanted, lambda _: None, 0.0))

    assert (found, asked, machine.started) == ([], [5, 6], 0)


def test_the_clock_spent_before_counts_towards_the_budget(machine: FakeMachine) -> None:
    assert len(by_round(visits(machine, wanted=IDS, budget=40.0, spent_seconds=8.0))) == 4
    assert len(by_round(visits(machine, wanted=IDS, budget=40.0))) == 5


def test_a_resumed_run_with_nothing_left_in_its_first_rounds_starts_no_process_for_them(machine: FakeMachine) -> None:
    done = {(trial.id, number) for trial in TRIALS for number in (0, 1)}

    found = visits(machine, done=done, first_process=1)

    assert {(visit.round, visit.process) for visit in found} == {(2, 1)}
    assert machine.started == 1


# -------------------------------------------------------------------------------------------------------- each question


def test_a_visit_carries_what_the_process_said_and_when(machine: FakeMachine) -> None:
    found = visits(machine)

    assert found[1] == Visit(
        found[1].trial,
        process=0,
        round=0,
        iterations=1,
        block_seconds=(0.25, 0.25, 0.25),
        first_call_seconds=0.25,
        reference_seconds=1e-3,
        started=1.0,
        conditions=Conditions(load=0.5, steal=0.01, frequency_mhz=3000.0),
    )
    assert machine.time == len(found)


def test_a_visit_takes_the_time_that_was_planned(machine: FakeMachine) -> None:
    visits(machine)

    assert [pace["seconds"] for _, _, pace, _ in machine.asked] == [1.0] * 3 * len(TRIALS)


@pytest.mark.parametrize(("planned", "patience"), [(0.1, 60.0), (3.0, 60.0), (30.0, 600.0)])
def test_a_visit_is_given_up_after_twenty_times_its_plan_but_not_within_a_minute(
    planned: float, patience: float, machine: FakeMachine
) -> None:
    list(
        Rounds(SETUP, [PlannedTrial(BROKEN, planned)], 1e9, 0, machine=machine).visits(
            lambda _: (), lambda _: None, 0.0
        )
    )

    assert {timeout for _, _, _, timeout in machine.asked} == {patience}


def test_each_visit_is_announced_with_where_the_run_stands(machine: FakeMachine) -> None:
    shown: list[Progress] = []

    found = visits(machine, shown=shown)

    assert [progress.trial.id for progress in shown] == [visit.trial for visit in found]
    assert shown[9] == Progress(round=1, done=1, total=8, trial=shown[9].trial, spent_seconds=9.0)


# -------------------------------------------------------------------------------------------------------------- probes


@pytest.mark.parametrize(
    ("status", "seconds", "asked"),
    [
        (Status.ERROR, [1.0, None, 4.0], (2, 4, 8)),
        (Status.OOM, [1.0, None, None], (2, 4)),
        (Status.TIMEOUT, [1.0, None, None], (2, 4)),
    ],
)
def test_probes_are_answered_with_the_smallest_time_seen_or_none(
    status: Status, seconds: list[float | None], asked: tuple[int, ...], machine: FakeMachine
) -> None:
    machine.failures = lambda trial: (status, "too much") if trial.sizes["n"] == 4 else None
    machine.seconds = lambda trial: 0.5 * trial.sizes["n"]
    limits = Limits(1.0, 1.0, 1.0, 1.0)

    def planner() -> Generator[Sizes, float | None, Probed]:
        seen = []
        for n in (2, 4, 8):
            sizes = {"b": 1, "n": n, "d": 8}
            seen.append(Probe(sizes, (yield sizes)))
        return Probed(CostModel(None, Choices()), limits, (1,), tuple(seen), 0.0)  # type: ignore[arg-type]

    announced = []
    answering = answer_probes(machine.process(SETUP), planner(), Subject("rnn"))  # type: ignore[arg-type]
    try:
        while True:
            announced.append(next(answering).id)
    except StopIteration as stop:
        probed = stop.value

    assert [probe.seconds for probe in probed.probes] == seconds
    assert announced == [f"rnn-cpu-float32-forward-t1-b1-n{n}-d8" for n in asked]
    assert {(pace["least_blocks"], timeout) for _, _, pace, timeout in machine.asked} == {(1, 60.0)}


def test_a_planner_without_questions_is_not_asked(machine: FakeMachine) -> None:
    def planner() -> Generator[Sizes, float | None, Probed]:
        return "done"  # type: ignore[return-value]
        yield

    with pytest.raises(StopIteration) as stop:
        next(answer_probes(machine.process(SETUP), planner(), Subject("rnn")))  # type: ignore[arg-type]

    assert (stop.value.value, machine.asked) == ("done", [])
