"""What `attnbench new` writes is complete, keeps the contract as it stands, and never overwrites anything."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from attnbench.check.contract import check_layer
from attnbench.check.outcome import Mark
from attnbench.cli import main
from attnbench.layers.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def invoke(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def test_a_new_layer_passes_every_check_as_it_stands(tmp_path: Path) -> None:
    written = invoke("new layer my-mean")

    registry = Registry(["my_mean.py"])
    layer = registry.get("my-mean")
    outcomes = check_layer(layer)

    assert written.exit_code == 0
    assert written.stdout.splitlines()[:2] == [
        "my_mean.py is written. What next:",
        "  attnbench check --plugin my_mean.py                 # is what it claims true?",
    ]
    assert [file.name for file in tmp_path.iterdir() if file.suffix] == ["my_mean.py"]
    assert {outcome.mark for outcome in outcomes} == {Mark.PASSED}
    assert {outcome.check for outcome in outcomes if outcome.check.startswith("claim")} == {
        f"claim of {metric}" for metric in layer.claims.given
    }
    assert registry.summary("my-mean").endswith(".")


def test_the_three_lines_it_shows_are_a_layer_that_passes_every_check(tmp_path: Path) -> None:
    invoke("new layer mine")
    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    minimal = [line.strip() for line in text.splitlines() if line.startswith("    ")][1:4]
    assert [line.split()[0] for line in minimal] == ["from", "def", "LAYER"]

    (tmp_path / "short.py").write_text("import torch\n" + "\n".join(minimal), encoding="utf-8")
    outcomes = check_layer(Registry(["short.py"]).get("mine"))

    assert {outcome.mark for outcome in outcomes} == {Mark.PASSED}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "layer Mine!",
            "'Mine!' is no name for a new layer: small letters, digits and hyphens, such as my-layer, of 60 characters",
        ),
        (
            f"package {'a' * 61}",
            f"'{'a' * 61}' is no name for a new layer: small letters, digits and hyphens, such as my-layer, of 60",
        ),
        (
            "layer ../mine",
            "'../mine' is no name for a new layer: small letters, digits and hyphens, such as my-layer, ",
        ),
        ("layer rnn", "'rnn' is a layer of attnbench; take another name, such as my-rnn"),
        ("package torch", "'torch' is a name of Python's or of an installed package; take another, such as my-torch"),
        ("layer class", "'class' is a name of Python's or of an installed package; take another, such as my-class"),
        ("layer here", "here.py is there already; nothing was written. Take another name, or another folder"),
        ("package there", "there is there already; nothing was written. Take another name, or another folder"),
    ],
)
def test_a_name_that_will_not_do_is_refused_in_one_line_and_nothing_is_written(
    line: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "here.py").write_text("mine", encoding="utf-8")
    (tmp_path / "there").mkdir()

    result = invoke(f"new {line}")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["here.py", "there"]
    assert (tmp_path / "here.py").read_text(encoding="utf-8") == "mine"


def test_a_new_package_is_installed_listed_and_passes_its_own_test(tmp_path: Path) -> None:
    assert invoke("new package ring-layers").exit_code == 0

    def python(*arguments: str, folder: Path = tmp_path) -> str:
        site = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": site},
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python(
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-build-isolation",
        "--no-deps",
        "--target",
        "site",
        "./ring-layers",
    )
    listed = {row["name"]: row for row in json.loads(python("-m", "attnbench", "list", "layers", "--json"))}
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path / "ring-layers")

    assert listed["ring-layers"]["origin"] == "ring-layers 0.1.0"
    assert listed["ring-layers"]["summary"] == "Every position gets the mean of all positions up to it, projected."
    assert "11 passed" in tested
