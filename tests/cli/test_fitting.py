"""The command ``fit``: anyone's file in, a law out, and one line for whatever cannot be."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import attnbench
from attnbench.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def table() -> pd.DataFrame:
    """n·d² with 2 % of noise, four replicates."""
    sizes = itertools.product((64, 128, 256, 512), (32, 64, 128, 256), range(4))
    frame = pd.DataFrame(sizes, columns=["n", "d", "replicate"])
    noise = np.exp(0.02 * np.random.default_rng(3).standard_normal(len(frame)))
    return frame.assign(seconds=2e-9 * frame["n"] * frame["d"] ** 2 * noise)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "times.csv"
    table().to_csv(path, index=False)
    return str(path)


def invoke(*arguments: str, content: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["fit", *arguments], input=content)


def test_a_file_is_fitted_as_its_frame_is(file: str) -> None:
    result = invoke(file, "--claim", "n*d**2", "--json")
    expected = attnbench.fit(table(), claim="n*d**2").as_json(curves=False) | {"layer": "times"}

    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json.loads(json.dumps(expected))
    assert expected["verdict"] == "CONFIRMED"


def test_a_person_reads_verdict_formula_exponents_and_window(file: str) -> None:
    result = invoke(file, "--claim", "n*d**2")
    rows = dict(line.split("  ", 1) for line in result.stdout.splitlines() if "  " in line.strip())

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("CONFIRMED ")
    assert "time grows as n^" in result.stdout
    assert rows["claim"].strip() == "n*d**2"
    assert rows["window"].strip() == "n from 64 to 512, d from 32 to 256"
    assert {"formula", "exponent of n", "exponent of d"} <= set(rows)


def test_standard_input_is_read_and_notes_stay_out_of_the_document() -> None:
    content = table().assign(n=lambda frame: frame["n"].where(frame.index != 5), b=8).to_csv(index=False, sep=";")

    result = invoke("-", "--over", "n,d,b", "--json", content=content.encode("utf-8-sig"))

    assert result.exit_code == 0
    assert json.loads(result.stdout)["fixed"] == {"b": 8}
    assert result.stderr == (
        "Note: 1 of 64 rows was left out: n has no value\nNote: b is 8 in every row, so it has no part in the fit\n"
    )


@pytest.mark.parametrize(
    ("claim", "fail_on", "code"),
    [("n*d**2", "refuted", 0), ("n*d**2", "inconclusive", 0), ("n**2*d", "refuted", 1), ("n**2*d", "inconclusive", 1)],
)
def test_fail_on_turns_a_verdict_into_an_exit_code(file: str, claim: str, fail_on: str, code: int) -> None:
    result = invoke(file, "--claim", claim, "--fail-on", fail_on)

    assert result.exit_code == code
    assert result.stderr == (f"--fail-on {fail_on}: REFUTED\n" if code else "")


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (["--y", "second"], b"n,d,seconds\n1,1,1\n", ("there is no column 'second' among n, d, seconds. "
         "Did you mean 'seconds'?")),
        ([], b"n,d,seconds\n1,1,fast\n", ("column 'seconds', row 1: 'fast' is not a number; correct it, or leave it "
         "empty where a value is missing")),
        ([], b"n,n,d,seconds\n1,1,1,1\n", "2 columns are named 'n'; rename or remove all but one"),
        ([], b"", "standard input is empty; a header such as n,d,seconds and rows are needed"),
        (["--claim", "n^2"], b"n,d,seconds\n1,1,1\n2,1,2\n", None),
        (["--claim", "n*k"], b"n,d,seconds\n1,1,1\n2,2,2\n", ("the claim 'n*k' names 'k', which is not among the axes "
         "n, d. Correct the claim, or fit over that axis too")),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_one_line(arguments: list[Any], content: bytes, message: str | None) -> None:
    result = invoke("-", *arguments, content=content)
    last = result.stderr.splitlines()[-1]

    assert (result.exit_code, result.stdout) == (2, "")
    assert last.startswith("Error: ")
    assert message is None or last == f"Error: {message}"


def test_asking_for_help_is_light(tmp_path: Path) -> None:
    from tests.behaviour.test_lightness import COMMAND, loaded

    assert loaded(COMMAND, ["fit", "--help"], tmp_path) == [0, []]
