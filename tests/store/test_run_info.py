"""What ``run.json`` says is what was known before the first round, or is refused in one sentence."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from attnbench.record import SCHEMA
from attnbench.store.run_folder import load_stored
from tests.older_run import make_older
from tests.store.small_run import COUNTED_LAW, INFO, PLAN, refusal

if TYPE_CHECKING:
    from pathlib import Path


#: What an older attnbench wrote of it.
INFO_JSON = {key: value for key, value in INFO.as_json().items() if key != "code"}


def test_a_run_whose_host_told_less_is_read_with_nothing_in_those_places(folder: Path) -> None:
    """Runs made before these facts were recorded do not have their keys."""
    make_older(folder)
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    newer = ("logical_cores", "physical_cores", "frequency_mhz", "governor", "turbo", "steal", "cpu_limit")
    for key in (*newer, "memory_limit_bytes", "thread_settings", "accelerators"):
        del content["host"][key]
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")

    assert load_stored(folder).info == INFO


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"version": "0.1.1"}, {"windows": {}}, {"suite": {}}, {"code": {"attnbench": "another"}}],
    ids=lambda change: next(iter(change)),
)
def test_a_run_json_that_was_edited_is_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **change}), encoding="utf-8")

    assert refusal(load_stored, folder) == (
        f"{path} is damaged: it was changed since the run began, so nothing can be read from it; start a new run"
    )


def test_a_run_json_that_is_written_in_another_way_says_the_same(folder: Path) -> None:
    run, path = load_stored(folder), folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(content.items()))), encoding="utf-8")

    assert load_stored(folder) == run


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "JSONDecodeError Expecting value: line 1 column 1 (char 0)"),
        ("{}", "KeyError 'schema'"),
        ("[]", "TypeError list indices must be integers or slices, not str"),
        ({}, "KeyError 'suite'"),
        ({**INFO_JSON, "trials": None}, "TypeError 'NoneType' object is not iterable"),
        ({**INFO_JSON, "counted": []}, "AttributeError 'list' object has no attribute 'items'"),
        ({**INFO_JSON, "seed": "three"}, "Expected `int`, got `str` - at `$.seed`"),
        ({**INFO_JSON, "windows": {"rnn": 7}}, "Expected `str`, got `int` - at `$.windows[...]`"),
        ({**INFO_JSON, "visit_seconds": {"rnn": math.nan}}, "no number can be NaN"),
        ({**INFO_JSON, "seed": 2**63}, f"no number can be {2**63}"),
        ({**INFO_JSON, "host": {**INFO_JSON["host"], "core": 3}}, "no run has 'core'"),
        ({**INFO_JSON, "suite": {"sweep": []}}, "suite run.json needs at least one [[sweep]] table with layers"),
        ({**INFO_JSON, "claims": {"rnn": {"time": "n*f"}}}, "n*f of rnn has f, which no trial has"),
        ({**INFO_JSON, "scopes": {}}, "it does not say what scope attention-core has"),
        (
            {**INFO_JSON, "counted_laws": [{**COUNTED_LAW.as_json(), "window": {"n": []}}]},
            "Expected `array` of length 2, got 0 - at `$.counted_laws[0].window[...]`",
        ),
        ({**INFO_JSON, "paths": {"rnn": {"rows": [["0"]]}}}, "Expected `str`, got `array` - at `$.paths[...].rows[0]`"),
        ({**INFO_JSON, "reach": {"rnn": [[0, "far"]]}}, "Expected `float`, got `str` - at `$.reach[...][0][1]`"),
    ],
)
def test_a_damaged_run_json_is_one_sentence(folder: Path, content: str | dict[str, Any], error: str) -> None:
    path = folder / "run.json"
    text = content if isinstance(content, str) else json.dumps({"schema": SCHEMA, **content})
    path.write_text(text, encoding="utf-8")

    assert refusal(load_stored, folder) == f"{path} is damaged: {error}"


def test_only_the_counted_laws_that_the_suite_asks_for_are_shown() -> None:
    suites = {"all": PLAN, "others": replace(PLAN, suite=replace(PLAN.suite, metrics=("time", "parameters")))}

    assert {name: plan.shown_laws for name, plan in suites.items()} == {"all": (COUNTED_LAW,), "others": ()}
