"""A whole third-party package: installed with pip, listed, held to the contract by its own test, run and judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "example_plugin"

Python = Callable[..., str]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """A Python for which the package is installed, in a folder of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(PACKAGE, folder / "package")
    modules = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": modules},
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    offline = ("--quiet", "--no-index", "--no-build-isolation", "--no-deps")
    call("-m", "pip", "install", *offline, "--target", "site", "./package")
    return call


def test_it_is_listed_with_what_it_is_and_where_it_comes_from(python: Python) -> None:
    rows = {row["name"]: row for row in json.loads(python("-m", "attnbench", "list", "layers", "--json"))}

    assert rows["gate"] == {
        "name": "gate",
        "summary": "A gate: one projection of the input decides how much of another one passes.",
        "origin": "gated-layers 0.1.0",
    }
    assert "gate-for-half" in rows
    assert "rnn" in rows


def test_its_own_test_passes_where_it_is_installed(python: Python) -> None:
    assert "12 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", "package/tests")


def test_it_is_run_and_judged_and_a_wrong_claim_is_refuted(python: Python) -> None:
    layers = ("--layer", "gate", "--layer", "gate-for-half")
    document = json.loads(python("-m", "attnbench", "run", "--suite", "smoke", *layers, "--budget", "1s", "--json"))
    verdicts = {(law["layer"], law["metric"]): law["verdict"] for law in document["laws"]}

    assert verdicts["gate", "flops"] == verdicts["gate", "parameters"] == "CONFIRMED"
    assert verdicts["gate-for-half", "flops"] == "REFUTED"
    assert verdicts["gate", "time"] in ("CONFIRMED", "INCONCLUSIVE", "OUT-OF-REGIME")
    assert verdicts["gate-for-half", "time"] in ("INFERRED", "INCONCLUSIVE", "OUT-OF-REGIME")
