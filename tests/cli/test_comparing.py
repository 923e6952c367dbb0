"""``attnbench compare``: what it prints where, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from attnbench.cli import main
from tests.report.fake_run import HOST
from tests.two_runs import attending, recurrent, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs: base, again (the same layers), late (one layer 20 % slower), elsewhere (another machine)."""
    folder = tmp_path_factory.mktemp("results")
    write(folder / "base")
    write(folder / "again", seed=2)
    write(folder / "late", recurrent(1.2), attending(), seed=3)
    write(folder / "elsewhere", seed=4, host=replace(HOST, cpu="Another"))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{", encoding="utf-8")
    return folder


def compare(results: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["compare", *words, "--results", str(results)])


def test_it_prints_trials_laws_and_the_answer_in_words(results: Path) -> None:
    result = compare(results, "base", "late")

    assert result.exit_code == 0
    assert "recurrent-cpu-float32-forward-t1-b1-n256-d64" in result.stdout
    assert "rate changed" in result.stdout
    assert "9 of 18 trials changed (9 slower, 0 faster)" in result.stdout
    assert "Laws: recurrent time (rate changed) among 4." in result.stdout
    assert result.stderr == ""


def test_json_is_one_document_with_every_interval(results: Path) -> None:
    result = compare(results, "base", "late", "--json")

    found = json.loads(result.stdout)
    slower = [trial for trial in found["trials"] if trial["change"] == "slower"]
    assert {trial["trial"].split("-")[0] for trial in slower} == {"recurrent"}
    assert [trial["ratio"]["value"] for trial in slower] == pytest.approx([1.2] * len(slower), rel=0.02)
    assert all(trial["ratio"]["low"] < trial["ratio"]["value"] < trial["ratio"]["high"] for trial in slower)
    assert found["together"]["level"] == 0.9
    assert found["summary"][0] in compare(results, "base", "late").stdout


def test_a_run_is_named_by_its_folder_too(results: Path) -> None:
    result = compare(results.parent, str(results / "base"), str(results / "again"))

    assert result.exit_code == 0
    assert "No change found in any of 18 trials" in result.stdout


@pytest.mark.parametrize(
    ("new", "fail_on", "code"),
    [("again", "changed", 0), ("again", "slower", 0), ("late", "changed", 1), ("late", "slower", 1)],
)
def test_fail_on_decides_the_exit_code(results: Path, new: str, fail_on: str, code: int) -> None:
    result = compare(results, "base", new, "--fail-on", fail_on)

    assert result.exit_code == code
    assert ("recurrent time" in result.stderr) == bool(code)


def test_faster_does_not_fail_on_slower(results: Path) -> None:
    assert compare(results, "late", "base", "--fail-on", "slower").exit_code == 0
    assert compare(results, "late", "base", "--fail-on", "changed").exit_code == 1


def test_a_change_smaller_than_the_least_that_matters_is_none(results: Path) -> None:
    assert "No change found" in compare(results, "base", "late", "--least", "0.5").stdout
    assert "No change found" in compare(results, "base", "late", "--least", "50%").stdout


def test_other_machines_are_refused_and_compared_when_asked(results: Path) -> None:
    refused, asked = compare(results, "base", "elsewhere"), compare(results, "base", "elsewhere", "--across-hosts")

    assert refused.exit_code == 2
    assert "Another" in refused.stderr
    assert asked.exit_code == 0
    assert "warning: different machines" in asked.stderr


def test_one_run_twice_is_identical(results: Path) -> None:
    result = compare(results, "base", "base", "--fail-on", "changed")

    assert result.exit_code == 0
    assert "identical" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("base", "bsae"), "Did you mean 'base'?"),
        (("nowhere", "base"), "nowhere is not a run"),
        (("base", "damaged"), "damaged"),
        (("base", "again", "--least", "much"), "write a share such as 3%"),
        (("base", "again", "--least", "-3%"), "positive share"),
        (("base", "again", "--least", "nan"), "positive share"),
        (("base",), "Missing argument"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line_and_exit_code_two(
    results: Path, words: tuple[str, ...], said: str
) -> None:
    result = compare(results, *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
