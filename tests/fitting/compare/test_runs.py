"""What changed between two runs: run folders whose differences are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from attnbench.errors import InputError
from attnbench.fitting.compare.runs import RunComparison, compare
from attnbench.law import Law, Verdict
from attnbench.store.run_folder import StoredRun
from attnbench.trial import Subject
from tests.report.fake_run import HOST, fake_layers, write_fake_run
from tests.two_runs import attending, changed_law, fitted, layer, recurrent, write

if TYPE_CHECKING:
    from pathlib import Path

OTHER = replace(HOST, cpu="Another", cores=2)


def words(found: RunComparison, name: str) -> dict[str, str]:
    """Metric → what became of a layer's law."""
    return {law.metric: law.change for law in found.laws if law.layer == name}


def changes(found: RunComparison, name: str) -> set[str]:
    """What became of a layer's trials."""
    return {trial.change for trial in found.trials if trial.trial.startswith(name)}


def test_two_quiet_runs_of_the_same_are_shown_to_be_the_same(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", seed=1), write(tmp_path / "b", seed=2))

    assert found.changed() == []
    assert words(found, "recurrent") == words(found, "attending") == {"flops": "same", "time": "same"}
    assert changes(found, "") <= {"same", "unclear"}
    assert found.sentences[0].startswith("No change found in any of 18 trials")
    assert found.warnings == ()
    assert found.together
    assert found.together.low <= 1 <= found.together.high


def test_a_layer_that_is_ten_percent_slower_is_found_and_its_law_is_not(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a"), write(tmp_path / "b", recurrent(1.1), attending(), seed=2))

    assert changes(found, "recurrent") == {"slower"}
    assert words(found, "recurrent") == {"flops": "same", "time": "rate changed"}
    assert "slower" not in changes(found, "attending") | {words(found, "attending")["time"]}
    rate = next(law.rate for law in found.laws if law.layer == "recurrent" and law.metric == "time")
    assert rate
    assert rate.value == pytest.approx(1.1, abs=0.01)


def test_a_layer_whose_law_changed_is_said_to_have_another_law(tmp_path: Path) -> None:
    """From n·d² to n²·d the ratio grows as n/d: the exponents differ by exactly +1 and -1."""
    found = compare(write(tmp_path / "a"), write(tmp_path / "b", changed_law(), attending(), seed=2))

    time = next(law for law in found.laws if law.layer == "recurrent" and law.metric == "time")
    assert words(found, "recurrent") == {"flops": "law changed", "time": "law changed"}
    assert words(found, "attending")["time"] != "law changed"
    assert {axis: round(e.value, 1) for axis, e in time.exponents.items()} == {"n": 1.0, "d": -1.0}
    assert all(e.low <= round(e.value) <= e.high for e in time.exponents.values())


def test_what_all_layers_share_is_said_once(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a"), write(tmp_path / "b", recurrent(1.2), attending(1.2), seed=2))

    assert found.together
    assert found.together.low <= 1.2 <= found.together.high
    assert "everything together" in found.changed(only_slower=True)
    assert "Everything together: ×1.2" in " ".join(found.sentences)


def test_faster_is_a_change_and_not_slower(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a"), write(tmp_path / "b", recurrent(0.8), attending(0.8), seed=2))

    assert found.changed()
    assert found.changed(only_slower=True) == []


@pytest.mark.parametrize("formula", ["4*b*n*d**2", "d**2*n*b*4"])
def test_a_formula_that_is_written_otherwise_is_the_same(tmp_path: Path, formula: str) -> None:
    other = layer("recurrent", recurrent().seconds, formula)

    found = compare(write(tmp_path / "a"), write(tmp_path / "b", other, attending(), seed=2))

    assert words(found, "recurrent")["flops"] == "same"


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [(1.0, 1.0, "unclear"), (1.0, 2.0, "law changed"), (1.0, 1.12, "unclear")],
)
def test_without_trials_in_common_the_fitted_exponents_are_compared(
    tmp_path: Path, old: float, new: float, change: str
) -> None:
    base = write(tmp_path / "a", layer("x", recurrent().seconds, grid={"n": (8, 16), "b": (1,), "d": (4,)}))
    other = write(tmp_path / "b", layer("x", recurrent().seconds, grid={"n": (32, 64), "b": (1,), "d": (4,)}))
    base, other = (
        StoredRun(run.path, run.info, run.visits, (fitted("x", n, 0.05),)) for run, n in ((base, old), (other, new))
    )

    found = compare(base, other)

    assert found.trials == ()
    assert (len(found.only_base), len(found.only_new)) == (2, 2)
    assert [law.change for law in found.laws] == [change]
    assert found.laws[0].exponents["n"].value == pytest.approx(new - old)


def test_one_run_twice_is_identical(tmp_path: Path) -> None:
    run = write(tmp_path / "a")

    found = compare(run, run)

    assert found.identical
    assert found.sentences == ["The two runs are identical: the same measurements."]
    assert changes(found, "") == {"same"}
    assert {law.change for law in found.laws} == {"same"}


def test_other_machines_are_named_and_refused_unless_asked_for(tmp_path: Path) -> None:
    base, other = write(tmp_path / "a"), write(tmp_path / "b", seed=2, host=OTHER)

    with pytest.raises(InputError, match=r"a on AMD EPYC 7B13.*b on Another · 2 cores.*--across-hosts"):
        compare(base, other)
    found = compare(base, other, across_hosts=True)

    assert found.warnings == (f"different machines: {HOST.key} and {OTHER.key}",)


def test_other_versions_and_settings_are_named(tmp_path: Path) -> None:
    base = write(tmp_path / "a")
    suite = base.info.plan.suite.as_json() | {"budget": "10s"}

    found = compare(base, write(tmp_path / "b", seed=2, version="0.2.0", suite=suite))

    assert "different versions of attnbench: 0.1.0 and 0.2.0" in found.warnings
    assert "the suite scaling was not run with the same settings" in found.warnings


def test_trials_that_failed_are_listed_with_their_reasons(tmp_path: Path) -> None:
    found = compare(write_fake_run(tmp_path / "a"), write_fake_run(tmp_path / "b", seed=8))

    reasons = {reason for row in found.failed.values() for reason in row.values()}
    assert len(found.failed) == 4
    assert "oom: needed 9.1 GiB, 8.0 GiB were free" in reasons
    assert len(found.trials) == sum(len(list(each.trials())) for each in fake_layers()) - 4


def test_runs_of_one_process_are_unclear_and_say_why(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 2)):
        run = write(tmp_path / name, recurrent(1.5 if name == "b" else 1.0), attending(), seed=seed)
        single = tuple(visit for visit in run.visits if visit.process == 0)
        runs.append(StoredRun(run.path, run.info, single, run.found_laws))

    found = compare(*runs)

    assert changes(found, "") == {"unclear"}
    assert {trial.ratio for trial in found.trials} == {None}
    assert found.together is None
    assert "in one process" in found.warnings[-1]


def test_runs_that_were_only_counted_are_compared_by_their_formulas(tmp_path: Path) -> None:
    laws = [Law(Subject("x"), "flops", Verdict.INFERRED, "", formula=formula) for formula in ("n", "n**2")]
    counted = {"trials": (), "counted": {}}
    runs = [write(tmp_path / law.formula, counted_laws=(law,), **counted) for law in laws]
    runs = [StoredRun(run.path, run.info, (), (law,)) for run, law in zip(runs, laws, strict=True)]

    found = compare(*runs)

    assert [law.change for law in found.laws] == ["law changed"]
    assert found.trials == ()


def test_runs_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    base, other = write(tmp_path / "a", recurrent()), write(tmp_path / "b", attending())

    with pytest.raises(InputError, match="a and b have no trial and no law in common"):
        compare(base, other)


@pytest.mark.parametrize("least", [0.0, -0.1, float("nan"), float("inf")])
def test_the_smallest_change_that_matters_is_positive(tmp_path: Path, least: float) -> None:
    run = write(tmp_path / "a")

    with pytest.raises(InputError, match="positive share"):
        compare(run, run, least=least)


def test_a_clock_that_did_not_move_is_no_measurement(tmp_path: Path) -> None:
    base, other = write(tmp_path / "a"), write(tmp_path / "b", seed=2)
    first, *others = other.visits
    stuck = replace(first, block_seconds=(0.0, 0.0, *first.block_seconds))

    found = compare(base, replace(other, visits=(stuck, *others)))

    assert found.trials == compare(base, other).trials
