"""Which layers changed beside the machine as a whole, on runs whose changes are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.fitting.compare.runs import RunComparison, compare
from attnbench.store.run_folder import StoredRun
from tests.two_runs import layer, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.fake_run import FakeLayer

ALONE = "with so few layers, a change of the machine looks like a change of the layer: "
ALL_OR_NONE = "all layers changed alike and the reference kernel did not: the machine, or all of them: "
ODD_ONE = "the reference kernel changed as it did: it may be the other layers that changed: "


def costing(name: str, factor: float) -> FakeLayer:
    return layer(name, lambda b, n, d: factor * 4e-11 * b * n * d**2)


def compared(folder: Path, factors: tuple[float, ...], reference: float) -> RunComparison:
    """Two runs of layers called a, b, …; the second took so many times as long, and so did its reference kernel."""
    names = "abcde"[: len(factors)]
    base = write(folder / "base", *(costing(name, 1.0) for name in names))
    new = write(folder / "new", *map(costing, names, factors), seed=2)
    visits = (replace(visit, reference_seconds=reference * (visit.reference_seconds or 0)) for visit in new.visits)
    return compare(base, StoredRun(new.path, new.info, tuple(visits), new.found_laws))


def words(found: RunComparison) -> list[str]:
    return [law.change for law in found.laws if law.metric == "time"]


@pytest.mark.parametrize(
    ("factors", "reference", "expected"),
    [
        ((0.91,) * 4, 0.91, ["same"] * 4),
        ((0.91,) * 4, 1.0, ["same"] * 4),
        ((0.91, 0.91, 1.1 * 0.91, 0.91), 0.91, ["same", "same", "rate changed", "same"]),
        ((1.1, 1.0, 1.0, 1.0), 1.0, ["rate changed", "same", "same", "same"]),
        ((0.91, 1.0, 0.91, 0.91), 1.0, ["same", "unclear", "same", "same"]),
        ((0.91, 0.91), 0.91, ["same"] * 2),
        ((0.91, 0.91), 1.0, ["unclear"] * 2),
        ((1.1, 1.0), 1.0, ["rate changed", "same"]),
        ((1.2,), 1.0, ["unclear"]),
        ((1.0,), 1.0, ["same"]),
    ],
)
def test_a_layer_changed_where_it_left_what_the_machine_as_a_whole_did(
    factors: tuple[float, ...], reference: float, expected: list[str], tmp_path: Path
) -> None:
    assert words(compared(tmp_path, factors, reference)) == expected


def test_a_machine_that_was_faster_is_named_once_beside_its_reference_kernel(tmp_path: Path) -> None:
    found = compared(tmp_path, (0.91,) * 4, 0.91)
    _, together, laws = found.sentences

    assert together.startswith("Everything together: ×0.9")
    assert "That is the machine as a whole, or all that was measured: laws are judged beside it." in together
    assert "The reference kernel, the same code in both runs: ×0.9" in together
    assert found.reference["cpu"].value == pytest.approx(0.91, abs=0.01)
    assert laws == "Laws: no change found among 8."


@pytest.mark.parametrize(
    ("factors", "changed", "doubt"),
    [((1.2,), 0, ALONE), ((0.91, 0.91), 0, ALL_OR_NONE), ((0.91, 1.0, 0.91, 0.91), 1, ODD_ONE)],
)
def test_what_cannot_be_told_apart_is_unclear_and_says_why(
    factors: tuple[float, ...], changed: int, doubt: str, tmp_path: Path
) -> None:
    time = [law for law in compared(tmp_path, factors, 1.0).laws if law.metric == "time"]

    assert time[changed].reason.startswith(doubt)


def test_slower_beside_a_faster_machine_is_slower(tmp_path: Path) -> None:
    found = compared(tmp_path, (0.9, 0.9, 1.08, 0.9), 0.9)

    assert [law.layer for law in found.laws if law.change == "rate changed"] == ["c"]
    assert "c time" in found.changed(only_slower=True)
