"""Gains against visits that are simulated, and batches against all others."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attnbench.fitting.model.observations import Observations
from attnbench.fitting.stake import Stake, visit_variances
from tests.fitting.test_next_visits import GRID, contest, observed, square

if TYPE_CHECKING:
    from attnbench.fitting.model.observations import Array, Mask


def simulated(stake: Stake, visited: Mask, seed: int) -> float:
    """Variance of the combination over many repetitions of such visits."""
    rng = np.random.default_rng(seed)
    own = np.sqrt(stake.own) * rng.standard_normal((100_000, *visited.shape))
    shared = np.sqrt(stake.shared) * rng.standard_normal((100_000, 1, visited.shape[1]))
    located = ((own + shared) * visited).sum(axis=2) / visited.sum(axis=1)
    return float((located @ stake.reads).var())


def stake_of(
    reads: list[float], visited: Any = ((1, 1, 1),) * 4, own: float = 0.01, shared: float = 0.0, **more: Any
) -> Stake:
    """A combination of which each configuration shows what it reads."""
    return Stake(np.array(reads), np.square(reads), np.array(visited, dtype=bool), own, shared, **more)


ENDS = [-0.5, -0.1, 0.1, 0.5]


STAKE = stake_of(
    [-0.6, -0.3, 0.1, 0.8], ((1, 1, 1, 1), (1, 1, 1, 0), (1, 1, 1, 1), (1, 1, 1, 0)), own=0.04, shared=0.02
)


@pytest.mark.parametrize("batch", [(0, 0, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 1, 1, 1)])
def test_the_gain_of_a_round_is_what_simulated_visits_gain(batch: tuple[int, ...]) -> None:
    chosen = np.array(batch, dtype=bool)
    then = simulated(STAKE, np.column_stack([STAKE.visited, chosen]), seed=1)

    assert STAKE.noise == pytest.approx(simulated(STAKE, STAKE.visited, seed=2), rel=0.02)
    assert STAKE.noise - STAKE.with_round(chosen).noise == pytest.approx(STAKE.noise - then, abs=0.02 * STAKE.noise)


def test_the_noise_that_an_interval_shows_is_that_of_simulated_residuals() -> None:
    visited = np.ones((len(GRID), 3), dtype=bool)
    visited[::2, 1:] = False
    stake, shown = contest(observed(square, 0.01))._stakes[0], []
    curve = contest(observed(square, 0.01))._models.mixture.best.curve
    off = np.eye(len(GRID)) - curve.jacobian @ curve.inverse @ curve.jacobian.T
    rng = np.random.default_rng(4)
    for _ in range(20_000):
        located = 0.1 * rng.standard_normal(len(GRID)) / np.sqrt(visited.sum(axis=1))
        shown.append(float(np.square(off @ located).sum() / curve.degrees_of_freedom * (stake.reads @ stake.reads)))

    assert replace(stake, visited=visited, own=0.01).shown_noise == pytest.approx(np.mean(shown), rel=0.03)


def test_one_visit_more_gains_by_the_square_of_its_reading_and_by_what_it_shows() -> None:
    reads, shows = STAKE.reads, np.array([0.1, 0.2, 0.3, 0.4])
    stake = Stake(reads, shows, np.ones((4, 3), dtype=bool), own=0.04, shared=0.0)

    gains = [stake.gain(one) for one in np.eye(4, dtype=bool)]

    assert gains == pytest.approx(0.04 * (reads**2 + shows) / 2 * (1 / 3 - 1 / 4))


def test_a_visit_in_a_round_that_differs_by_more_than_visits_do_is_a_loss() -> None:
    stake = stake_of(ENDS, own=0.01, shared=0.04)

    assert max(stake.gain(one) for one in np.eye(4, dtype=bool)) < 0


@pytest.mark.parametrize(("own", "shared"), [(0.1, 0.02), (0.02, 0.1), (0.05, 0.0)])
def test_the_noise_of_visits_is_told_from_that_of_rounds(own: float, shared: float) -> None:
    logs = np.log(observed(square, own, shared=shared, rounds=4000).by_round)
    logs[0, :100] = np.nan  # rounds that left something out

    found = visit_variances(np.exp(logs))

    assert found == pytest.approx((own**2, shared**2), rel=0.08, abs=1e-5)


def test_the_reading_of_a_configuration_is_how_the_exponent_moves_with_its_value() -> None:
    seen = observed(square, 0.001, seed=2)
    step, found = 1e-3, []
    for number in range(len(GRID)):
        moved = seen.by_round.copy()
        moved[number] *= np.exp(step)
        before, after = contest(seen), contest(Observations(GRID, moved))
        found.append(float((after._models.plain.exponents - before._models.plain.exponents)[0]) / step)

    assert contest(seen)._stakes[0].reads == pytest.approx(np.array(found), abs=0.02)


def best_batch(stake: Stake, seconds: Array) -> float:
    """The most that any batch of at least a third of a round gains per second."""
    batches = [np.array(bits, dtype=bool) for bits in itertools.product((0, 1), repeat=len(seconds))]
    large = [batch for batch in batches if seconds[batch].sum() >= seconds.sum() / 3]
    return max(stake.gain(batch) / float(seconds[batch].sum()) for batch in large)


@pytest.mark.parametrize("seed", range(8))
def test_a_batch_gains_nearly_as_much_per_second_as_the_best_of_all_batches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    visited = np.column_stack([np.ones((9, 3)), rng.random((9, 2)) < 0.5]).astype(bool)
    reads = rng.standard_normal(9)
    stake = stake_of(list(reads - reads.mean()), visited, own=0.04, shared=0.01)
    seconds = rng.uniform(1, 3, 9)

    batch = stake.batch(seconds)

    assert seconds[batch].sum() >= seconds.sum() / 3
    assert stake.gain(batch) / seconds[batch].sum() >= 0.75 * best_batch(stake, seconds)


def test_what_is_cheap_and_far_out_is_visited_first() -> None:
    stake = stake_of([-0.5, -0.4, 0.1, 0.5])

    assert stake.batch(np.array([1.0, 1.0, 1.0, 1.0])).tolist() == [True, False, False, True]
    assert stake.batch(np.array([1.0, 1.0, 1.0, 9.0])).tolist() == [True, True, False, True]
    assert stake.batch(np.array([3.0, 1.0, 1.0, 3.0])).tolist() == [True, True, False, False]


def test_rounds_that_differ_are_visited_whole() -> None:
    assert stake_of(ENDS, own=0.01, shared=0.02).batch(np.ones(4)).all()


def test_processes_that_differ_call_for_a_whole_round_in_a_new_process() -> None:
    stake = stake_of(ENDS, between=0.02, processes=2)

    assert stake.batch(np.ones(4), fresh=True).all()
    assert not stake.batch(np.ones(4), fresh=False).all()


def test_a_round_is_long_enough_for_its_process() -> None:
    stake = stake_of(ENDS)

    assert stake.batch(np.ones(4), least_seconds=3.0).sum() == 3
    assert stake.batch(np.ones(4), least_seconds=99.0).all()
