"""Path lengths: the formula that equals every value, and none where a single one disagrees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from attnbench.counting.recover import recover_ceiling

if TYPE_CHECKING:
    from collections.abc import Callable

    from attnbench.trial import Sizes

WIDTHS = {"k": (3, 5, 7), "w": (1, 2, 3, 5), "l": (1, 2, 3)}
LENGTHS = range(2, 25)


def table(axis: str, value: Callable[[int, int], float]) -> list[tuple[Sizes, float]]:
    return [({"b": 1, "n": n, "d": 4, axis: part}, value(n, part)) for part in WIDTHS[axis] for n in LENGTHS]


def walk(distance: int, *reaches: int) -> int:
    """Steps until `distance` is covered when each step reaches so far, the last again and again."""
    steps = 0
    while distance > 0:
        distance -= reaches[min(steps, len(reaches) - 1)]
        steps += 1
    return steps


def growing(distance: int, base: int, factor: int) -> int:
    """Steps whose reach grows by `factor`, the first `base` long."""
    return walk(distance, *(base * factor**step for step in range(12)))


PATHS: dict[str, tuple[str, Callable[[int, int], float], str]] = {
    "attention": ("k", lambda n, k: 1, "1"),
    "recurrence": ("k", lambda n, k: n - 1, "n - 1"),
    "recurrence-with-its-ends": ("k", lambda n, k: n, "n"),
    "straight-line": ("k", lambda n, k: 3 * n + 3, "3*n + 3"),
    "centred": ("k", lambda n, k: walk(n - 1, (k - 1) // 2), "ceil(2*(n - 1)/(k - 1))"),
    "causal": ("k", lambda n, k: walk(n - 1, k - 1), "ceil((n - 1)/(k - 1))"),
    "window": ("w", lambda n, w: walk(n - 1, w), "ceil((n - 1)/w)"),
    "dilated": ("k", lambda n, k: growing(n - 1, k - 1, k), "ceil(log(n, k))"),
    "doubling": ("k", lambda n, k: growing(n - 1, k - 1, 2), "ceil(log2((n - 1)/(k - 1) + 1))"),
    "doubling-centred": ("k", lambda n, k: growing(n - 1, (k - 1) // 2, 2), "ceil(log2(2*(n - 1)/(k - 1) + 1))"),
    "tree": ("w", lambda n, w: growing(n - 1, 1, 2), "ceil(log2(n))"),
    "root": ("k", lambda n, k: math.isqrt(n - 1) + 1, "ceil(sqrt(n))"),
    "whole-blocks": ("w", lambda n, w: len(range(w, n + 1, w)), "floor(n/w)"),
    "stacks": ("l", lambda n, layers: layers * growing(n - 1, 1, 2), "l*ceil(log2(n))"),
    "stacked-steps": ("l", lambda n, layers: walk(n - 1, 2 * layers), "ceil((n - 1)/(2*l))"),
    "never": ("k", lambda n, k: math.inf, "inf"),
}


@pytest.mark.parametrize(("axis", "value", "text"), PATHS.values(), ids=PATHS)
def test_a_path_length_is_recovered_as_the_field_writes_it(
    axis: str, value: Callable[[int, int], float], text: str
) -> None:
    values = table(axis, value)
    recovered = recover_ceiling(values, ("b", "n", "d", axis))

    assert str(recovered.formula) == text
    assert len(recovered.proof) == len(values)
    half = len(values) // 2
    assert recovered.reason.endswith(f"at {len(values) - half} sizes and {half} held-out ones, n up to 24")


def test_paths_without_bound_from_some_length_on_say_so() -> None:
    recovered = recover_ceiling(table("k", lambda n, k: math.inf if n >= 5 else n - 1), ("b", "n", "d", "k"))

    assert str(recovered.formula) == "inf"
    assert recovered.reason.endswith(", for n >= 5; finite at some shorter lengths")
    assert recovered.window["n"] == (5, 24)


@pytest.mark.parametrize("changed", [0, 13, 68])
def test_one_step_more_at_one_size_leaves_no_formula(changed: int) -> None:
    """Wherever the wrong value is, among those that choose or among those that confirm."""
    values = table("k", lambda n, k: walk(n - 1, k - 1))
    sizes, right = values[changed]
    values[changed] = (sizes, right + 1)

    recovered = recover_ceiling(values, ("b", "n", "d", "k"))

    assert recovered.formula is None
    assert recovered.proof == ()
    assert f"at b=1, n={sizes['n']}, d=4, k={sizes['k']} it would say {right}, and {right + 1} is true" in (
        recovered.reason
    )


def test_rounding_down_is_not_rounding_up() -> None:
    up, down = (
        recover_ceiling(table("w", rule), ("n", "w")) for rule in (lambda n, w: -(-n // w), lambda n, w: n // w)
    )

    assert (str(up.formula), str(down.formula)) == ("ceil(n/w)", "floor(n/w)")


def test_sizes_that_never_change_are_numbers() -> None:
    values = [({"b": 1, "n": n, "k": 7}, walk(n - 1, 6)) for n in LENGTHS]

    assert str(recover_ceiling(values, ("b", "n", "k")).formula) == "ceil((n - 1)/6)"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([({"n": 4}, 1.0)], "one size or none is no evidence"),
        ([({"n": 4}, 1.0), ({"n": 5}, math.inf), ({"n": 6}, 2.0)], "inf at n=5, but 2 at n=6"),
        ([({"n": 4}, 1.0), ({"n": 5}, math.inf)], "inf at n=5, but 1 at n=4"),
    ],
    ids=["alone", "in-between", "only-the-last"],
)
def test_too_little_or_contradictory_evidence_leaves_no_formula(values: list[tuple[Sizes, float]], reason: str) -> None:
    recovered = recover_ceiling(values, ("n",))

    assert recovered.formula is None
    assert recovered.reason == f"no formula for path lengths reproduces the values: {reason}"
