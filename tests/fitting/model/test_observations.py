"""What was observed: how visits become values and processes, what ties axes, and which windows there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from attnbench.fitting.model.observations import Observations, observe
from tests.fitting.worlds import World, doubling, quiet

NAN = math.nan


def along_n(by_round: list[list[float]], processes: tuple[int, ...] = ()) -> Observations:
    return Observations(pd.DataFrame({"n": [2**i for i in range(len(by_round))]}), np.array(by_round), processes)


def at(*points: tuple[float, ...], axes: str = "nd") -> Observations:
    return Observations(pd.DataFrame(points, columns=list(axes)), np.ones((len(points), 1)))


# --------------------------------------------------------------------------------------------------------------- values


def test_a_configuration_is_located_by_the_faster_half_of_its_visits_at_the_level_of_their_medians() -> None:
    """Of four visits two, of three two; the medians are √8 and 5, and one factor puts both back to their level."""
    observed = along_n([[1, 4, 2, 8], [5, NAN, 3, 100]])

    faster = np.array([math.sqrt(1 * 2), math.sqrt(3 * 5)])
    level = math.sqrt((math.sqrt(2 * 4) / faster[0]) * (5 / faster[1]))
    np.testing.assert_allclose(observed.values, faster * level)


def test_delays_of_most_visits_of_one_configuration_hardly_move_it() -> None:
    quiet, late = along_n([[1.0, 1, 1]] * 20), along_n([[1.0, 1, 1]] * 19 + [[1, 1.2, 1.2]])

    assert late.values[-1] == pytest.approx(math.sqrt(1.2), rel=0.01)
    np.testing.assert_allclose(late.values[:-1], quiet.values[:-1], rtol=0.01)


def test_processes_are_the_means_of_their_rounds() -> None:
    observed = along_n([[1, 4, 2, 8], [2, 2, 8, 2]], processes=(7, 7, 9, 9))

    np.testing.assert_allclose(np.exp(observed.of_processes), [[2, 4], [2, 4]])


def test_a_round_that_missed_a_configuration_is_no_part_of_its_process() -> None:
    observed = along_n([[1, 4, 2, 8], [2, NAN, 8, 2]], processes=(7, 7, 9, 9))
    nothing = along_n([[1, NAN], [NAN, 2]])

    np.testing.assert_allclose(np.exp(observed.of_processes), [[1, 4], [2, 4]])
    assert nothing.of_processes.shape == (2, 0)


def test_each_round_is_a_process_where_nothing_is_said() -> None:
    np.testing.assert_allclose(np.exp(along_n([[1, 4, 2], [2, 2, 8]]).of_processes), [[1, 4, 2], [2, 2, 8]])


def test_logarithms_are_centred_on_their_mean() -> None:
    observed = at((2, 8), (8, 2))

    np.testing.assert_allclose(np.exp(observed.centre), [4, 4])
    np.testing.assert_allclose(np.exp(observed.logs), [[0.5, 2], [2, 0.5]])


# ------------------------------------------------------------------------------------------------------------ tied axes

LINE = [(2**p, 2**p) for p in range(6, 11)]
TIED = {
    "equal": (LINE, "nd"),
    "nearly-equal": ([(n, n + 1) for n, _ in LINE], "nd"),
    "a-power": ([(n, n * n) for n, _ in LINE], "nd"),
    "inversely": ([(n, 2**20 // n) for n, _ in LINE], "nd"),
    "one-that-stands-still": ([(n, 48) for n, _ in LINE], "d"),
    "a-third-axis-apart": ([(n, n, d) for (n, _), d in itertools.product(LINE, (16, 64))], "nd"),
    "a-product": ([(n, d, n * d) for n, d in itertools.product((64, 128, 256), (16, 32, 64))], "ndh"),
}


@pytest.mark.parametrize(("points", "tied"), TIED.values(), ids=TIED)
def test_axes_that_vary_only_together_are_named(points: list[tuple[float, ...]], tied: str) -> None:
    observed = at(*points, axes="ndh"[: len(points[0])])

    assert observed.tied == tuple(tied)
    assert observed.resting_on_one == tuple(tied)


@pytest.mark.parametrize("scale", [1, 1.05, 4])
def test_axes_of_a_grid_are_not_tied_however_short_one_is(scale: float) -> None:
    observed = at(*itertools.product((64, 128, 256, 512), (100, 100 * scale * 1.01)))

    assert observed.tied == ()
    assert observed.resting_on_one == ()


@pytest.mark.parametrize("count", [3, 10, 199, 1000])
def test_an_axis_that_stands_still_is_tied_however_its_mean_is_rounded(count: int) -> None:
    """The mean of equal logarithms may differ from each of them in its last digit, which is no variation."""
    assert at(*((i + 1, 48) for i in range(count))).tied == ("d",)


def test_what_rests_on_one_configuration_is_named() -> None:
    assert at(*LINE, (1024, 64)).tied == ()
    assert at(*LINE, (1024, 64)).resting_on_one == ("n", "d")
    assert at(*LINE, (1024, 64), (64, 1024)).resting_on_one == ()


def test_a_large_design_is_not_tried_configuration_by_configuration() -> None:
    """Ten thousand random configurations rest on none. Where d varies in a single one, what is seen of d does."""
    rng = np.random.default_rng(0)
    n = rng.integers(64, 65536, 10_000)

    assert at(*zip(n, rng.integers(32, 4096, 10_000), strict=True)).resting_on_one == ()
    assert at(*zip(n[:200], [64] * 199 + [128], strict=True)).resting_on_one == ("d",)


# -------------------------------------------------------------------------------------------------------------- windows


def test_windows_leave_out_the_ends_of_axes_that_have_three_sizes() -> None:
    observed = quiet("n*d", {"n": (1, 2, 4), "d": (3, 5)}).observed()

    left = {name: sorted(set(observed.sizes["n"][kept])) for name, kept in observed.windows()}

    assert left == {"without n = 1": [2, 4], "without n = 4": [1, 2]}


def test_a_window_in_which_axes_are_tied_is_none() -> None:
    names = [name for name, _ in at((1, 1), (2, 2), (4, 4), (4, 1), (4, 2)).windows()]

    assert "without n = 4" not in names  # the rest is (1, 1) and (2, 2)
    assert "without n = 1" in names


def test_part_of_the_configurations_keeps_its_rounds_and_processes() -> None:
    observed = World("1e-9*n**2*d").observed(1)
    kept = (observed.sizes["n"] > 200).to_numpy()

    part = observed.only(kept)

    np.testing.assert_array_equal(part.by_round, observed.by_round[kept])
    assert part.processes == observed.processes
    assert list(part.sizes.index) == list(range(kept.sum()))


# ---------------------------------------------------------------------------------------------------------- from tables


def test_observations_are_the_fastest_blocks_of_visits_in_the_order_of_the_records() -> None:
    records = pd.DataFrame({"trial": ["b", "a"], "n": [2, 1]})
    rows = [
        ("a", 0, 5, 1.5),
        ("a", 0, 5, 1.0),
        ("a", 0, 5, 9.0),
        ("a", 1, 6, 1.2),
        ("b", 1, 6, 5.0),
        ("b", 1, 6, 9.0),
        ("other", 0, 5, 7.0),
    ]
    samples = pd.DataFrame(rows, columns=["trial", "round", "process", "seconds"])

    observed = observe(records, samples.sample(frac=1, random_state=13), ("n",))

    assert observed.axes == ("n",)
    assert observed.sizes["n"].tolist() == [2, 1]
    np.testing.assert_array_equal(observed.by_round, [[NAN, 5.0], [1.0, 1.2]])
    assert observed.processes == (5, 6)


def test_tables_of_a_run_give_what_was_seen() -> None:
    world = World("1e-9*n**2*d", sizes={"n": doubling(64, 3), "d": (32, 64)}, rounds=4)
    seen = world.blocks_seen(3)

    observed = observe(*world.tables(3), ("n", "d"))

    np.testing.assert_allclose(observed.by_round, seen.min(axis=2))
    assert observed.processes == (0, 0, 1, 1)


# --------------------------------------------------------------------------------------------------------------- floors


def test_the_floor_of_a_run_is_a_column_of_its_records() -> None:
    seen = World("2e-6 + 3e-10*n**2*d", process=0, noise=0, late=0).observed()
    trials = [f"t{i}" for i in range(len(seen.sizes))]
    records = seen.sizes.assign(trial=trials, floor_seconds=[4e-6] * 8 + [None] * (len(trials) - 8))
    samples = records[["trial"]].assign(seconds=seen.values, round=0, process=0)

    assert observe(records, samples, ("n", "d")).floor == 4e-6
    assert observe(records.drop(columns="floor_seconds"), samples, ("n", "d")).floor is None
