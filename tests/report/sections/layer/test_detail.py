"""What is drawn of a run that is too large to draw whole, and that nothing else is lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from attnbench.record import Visit
from attnbench.report.data.columns import RANK
from attnbench.report.data.points import drawn_lines, line_count, timed_points
from attnbench.report.page import build_context, render
from attnbench.report.sections.layer import detail
from attnbench.report.sections.layer.detail import Detail, left_out
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Choices, Subject, Trial
from tests.report.reading import read

SIZES = {"n": range(64, 464, 40), "d": range(32, 182, 10), "b": range(1, 11)}


@pytest.fixture(scope="module")
def large(run: StoredRun) -> StoredRun:
    """Two layers of 1500 trials, two visits of each, without laws; never on disk."""
    grid = [dict(zip(SIZES, sizes, strict=True)) for sizes in product(*SIZES.values())]
    trials = tuple(Trial(Subject(layer), sizes) for layer in ("first", "second") for sizes in grid)
    seconds = {trial.id: 1e-6 * trial.sizes["n"] * trial.sizes["d"] for trial in trials}
    visits = tuple(
        Visit(trial.id, number, number, block_seconds=(seconds[trial.id], 1.1 * seconds[trial.id]), started=place)
        for number in range(2)
        for place, trial in enumerate(trials)
    )
    nothing = {"counted": {}, "counted_laws": (), "calibration": (), "skipped": {}, "windows": {}, "claims": {}}
    info = replace(run.info, plan=replace(run.info.plan, trials=trials, **nothing))
    return StoredRun(run.path, info, visits, ())


@pytest.fixture(scope="module")
def large_page(large: StoredRun) -> str:
    """Its page, with figures of growth for the first layer and none for the second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detail, "_ALL", 0)
        patch.setattr(detail, "_SOME", 1)
        return render(build_context(large))


class TestALargeRun:
    def test_draws_few_lines_and_no_more_figures_than_a_page_can_hold(self, large_page: str) -> None:
        elements = read(large_page)
        drawn = [element for element in elements if element.tag == "svg"]
        tips = [element for element in elements if "data-tip" in element.attributes]

        # Three axes of the first layer, twelve lines of 10, 15 and 10 sizes; nothing of the second.
        assert len(drawn) == 3
        assert len(tips) == 12 * (10 + 15 + 10)

    def test_has_every_trial_in_less_than_a_kilobyte_each(self, large_page: str, large: StoredRun) -> None:
        rows = {element.text for element in read(large_page) if element.tag == "th"}

        assert {trial.id for trial in large.info.plan.trials} <= rows
        assert len(large_page.encode()) < 1000 * len(large.info.plan.trials)

    def test_says_what_it_does_not_draw(self, large_page: str) -> None:
        said = [element.text for element in read(large_page) if element.attributes.get("class") == "caption"]

        assert any(
            text.startswith("Figures show 12 lines of 150 along b, 150 along n and 100 along d") for text in said
        )
        assert any("The run is large" in text for text in said)


def test_lines_are_chosen_from_the_smallest_to_the_largest(large: StoredRun) -> None:
    points = timed_points(large, Subject("first", Choices()), None)
    lined = drawn_lines(points, "n")
    ends = lined[lined[RANK].isin([0, 11])]

    assert line_count(points, "n") == 150
    assert sorted(lined[RANK].unique()) == list(range(12))
    assert {(row.d, row.b) for row in ends.itertuples()} == {(32, 1), (172, 10)}


def test_an_ordinary_run_is_drawn_whole(run: StoredRun) -> None:
    points = timed_points(run, Subject("rnn", Choices()), None)

    assert detail.detail(run, 99) is Detail.ALL
    assert left_out(points, ["n", "d"], Detail.ALL) == ""
