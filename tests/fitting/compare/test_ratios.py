"""Ratios of two runs, against simulated runs whose effects are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.compare.ratios import ratios

MIN_CHANGE = 0.03
LAYERS, TRIALS, ROUNDS, BLOCKS = 5, 9, 2, 3
NAMES = [f"{number:02}" for number in range(LAYERS * TRIALS)]
GROUPS = pd.Series([f"layer {number // TRIALS}" for number in range(LAYERS * TRIALS)], NAMES)
UNCHANGED = np.ones(LAYERS * TRIALS)
ONE_LAYER = np.repeat([1.1, 1.0, 1.0, 1.0, 1.0], TRIALS)


def samples(
    rng: np.random.Generator,
    factor: np.ndarray = UNCHANGED,
    *,
    common: float = 0.01,
    own: float | np.ndarray = 0.01,
    noise: float = 0.02,
    processes: int = 2,
) -> pd.DataFrame:
    """One run of 45 trials: what a process does to all of them, to each, and what every block adds."""
    shape = (len(factor), processes, ROUNDS, BLOCKS)
    of_all = common * rng.standard_normal((1, processes, 1, 1))
    of_each = np.broadcast_to(own, len(factor))[:, None, None, None] * rng.standard_normal((*shape[:2], 1, 1))
    seconds = factor[:, None, None, None] * np.exp(of_all + of_each + noise * rng.standard_normal(shape))
    trial, process, turn, _ = (index.ravel() for index in np.indices(shape))
    columns = {"process": process, "round": process * ROUNDS + turn, "seconds": seconds.ravel()}
    return pd.DataFrame({"trial": [NAMES[number] for number in trial], **columns})


def share(found: list[float]) -> float:
    return float(np.mean(found))


@pytest.mark.parametrize("shift", [0.0, 0.03])
@pytest.mark.parametrize("effect", [0.01, 0.03])
def test_two_runs_of_the_same_differ_in_at_most_five_percent_of_trials(effect: float, shift: float) -> None:
    rng = np.random.default_rng(3)
    false = []
    for _ in range(30):
        pair = samples(rng, common=effect, own=effect), samples(rng, UNCHANGED * (1 + shift), common=effect, own=effect)
        false.append((ratios(*pair).chances(MIN_CHANGE) <= 0.05).mean())

    assert share(false) <= 0.05


def test_a_run_in_which_some_trials_are_much_noisier_differs_in_at_most_five_percent_of_them() -> None:
    rng, own = np.random.default_rng(4), np.repeat([0.005, 0.06], [40, 5])

    false = [
        (ratios(samples(rng, own=own), samples(rng, own=own)).chances(MIN_CHANGE)[40:] <= 0.05).mean()
        for _ in range(30)
    ]

    assert share(false) <= 0.05


@pytest.mark.parametrize("processes", [2, 4])
def test_ninety_percent_intervals_hold_the_true_ratio_in_ninety_percent_of_trials(processes: int) -> None:
    rng = np.random.default_rng(5)
    held, together = [], []
    for _ in range(50):
        found = ratios(samples(rng, processes=processes), samples(rng, ONE_LAYER, processes=processes))
        held.append(np.mean([e.low <= true <= e.high for e, true in zip(found.each(), ONE_LAYER, strict=True)]))
        together.append(found.shared().low <= 1 <= found.shared().high)

    assert 0.86 <= share(held) <= 0.95
    assert 0.84 <= share(together) <= 0.97


def test_a_layer_that_is_ten_percent_slower_is_found_though_single_trials_may_not_be() -> None:
    rng = np.random.default_rng(6)
    layers = []
    for _ in range(25):
        found = ratios(samples(rng, common=0.02), samples(rng, ONE_LAYER, common=0.02), GROUPS)
        layers.append(found.chances(MIN_CHANGE) <= 0.05)

    assert share([one[0] for one in layers]) >= 0.9
    assert share([one[1:].mean() for one in layers]) <= 0.05


def test_where_most_layers_are_slower_the_others_are_not_faster() -> None:
    rng, most = np.random.default_rng(7), np.repeat([1.1, 1.1, 1.1, 1.0, 1.0], TRIALS)

    others = [(ratios(samples(rng), samples(rng, most)).chances(MIN_CHANGE)[27:] <= 0.05).mean() for _ in range(25)]

    assert share(others) <= 0.05


def test_visits_of_one_process_do_not_count_as_independent() -> None:
    """A process effect of 5 % stays one effect, however often the process is asked: 40 rounds are no evidence."""
    rng = np.random.default_rng(8)
    false = []
    for _ in range(20):
        effects = np.exp(0.05 * rng.standard_normal((2, len(NAMES), 2)))
        runs = [
            pd.DataFrame(
                [(name, p, 20 * p + r, one[i, p]) for i, name in enumerate(NAMES) for p in (0, 1) for r in range(20)],
                columns=["trial", "process", "round", "seconds"],
            )
            for one in effects
        ]
        false.append((ratios(*runs).chances(MIN_CHANGE) <= 0.05).mean())

    assert share(false) <= 0.05


def test_without_noise_a_ratio_is_exact() -> None:
    rng = np.random.default_rng(0)
    quiet = {"common": 0.0, "own": 0.0, "noise": 0.0}

    found = ratios(samples(rng, **quiet), samples(rng, 1.25 * UNCHANGED, **quiet))

    assert [e.value for e in found.each()] == pytest.approx([1.25] * len(NAMES))
    assert max(e.half_width for e in found.each()) < 1e-6
    assert found.shared().value == pytest.approx(1.25)
    assert (found.chances(MIN_CHANGE) <= 0.05).all()


def test_the_interval_of_a_single_trial_is_the_textbook_one_of_two_samples_of_processes() -> None:
    """With one trial nothing can be borrowed: Student's t with equal variances, over the means of processes."""
    logs = {"base": [0.00, 0.02, 0.01], "new": [0.05, 0.09]}
    base, new = (
        pd.DataFrame({"trial": "x", "process": range(len(v)), "round": range(len(v)), "seconds": np.exp(v)})
        for v in logs.values()
    )

    found = ratios(base, new)

    squares = 0.0002 + 0.0008  # around the means 0.01 and 0.07
    error = math.sqrt(squares / 3 * (1 / 3 + 1 / 2))
    assert math.log(found.each()[0].value) == pytest.approx(0.06)
    assert math.log(found.each()[0].high) - 0.06 == pytest.approx(2.3534 * error, rel=1e-3)  # t of 3 degrees, 95 %


def test_a_trial_that_was_visited_in_one_slow_round_only_is_not_called_slower() -> None:
    rng = np.random.default_rng(9)
    base, new = samples(rng, own=0.002, noise=0.002), samples(rng, own=0.002, noise=0.002)
    new.loc[new["round"] == 0, "seconds"] *= 1.2
    seldom = new[(new["trial"] != "07") | (new["round"] == 0)]

    found = ratios(base, seldom)

    assert found.table.loc["07", "new"] / found.table["new"].median() == pytest.approx(1.0, abs=0.02)


def test_more_blocks_in_a_visit_are_not_a_faster_layer() -> None:
    """The smallest of many blocks is smaller than that of few; 5 % of noise would make it 4 %."""
    rng = np.random.default_rng(11)
    changes = []
    for _ in range(20):
        base = samples(rng, noise=0.05)
        blocks = samples(rng, noise=0.05).loc[lambda rows: rows.index.repeat(4)]
        blocks["seconds"] *= np.exp(0.05 * rng.standard_normal(len(blocks)))
        base["seconds"] *= np.exp(0.05 * rng.standard_normal(len(base)))
        changes.append(ratios(base, blocks).together)

    assert share(changes) == pytest.approx(0.0, abs=0.01)


def test_one_process_in_each_run_says_nothing_about_the_next() -> None:
    rng = np.random.default_rng(10)

    found = ratios(samples(rng, processes=1), samples(rng, processes=1))

    assert not found.judged
