"""Asking what there is must not cost the seconds that torch and pandas take to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("matplotlib", "numpy", "pandas", "pyarrow", "scipy", "scipy.stats", "seaborn", "sympy", "torch")
TABLES = ["numpy", "pandas", "pyarrow", "scipy"]
EXAMPLE = str(Path(__file__).parents[2] / "results" / "example")

#: Runs what it is given, then says on the last line which heavy modules came with it, and the exit code.
PROBE = """
import json, sys
code = 0
try:
    exec(sys.argv.pop(1))
except SystemExit as done:
    code = done.code or 0
print("\\n" + json.dumps([code, [name for name in {heavy} if name in sys.modules]]))
"""
COMMAND = "from attnbench.cli import main; main()"


def loaded(statement: str, arguments: list[str], folder: Path) -> list[object]:
    """Exit code of `statement` in a fresh interpreter, and the heavy modules it imported."""
    program = [sys.executable, "-c", PROBE.format(heavy=HEAVY), statement, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, cwd=folder, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_the_probe_sees_what_is_imported(tmp_path: Path) -> None:
    assert loaded("import numpy.linalg; sys.exit(3)", [], tmp_path) == [3, ["numpy"]]


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    assert loaded("import attnbench", [], tmp_path) == [0, []]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list"], ["list", "layers"], ["list", "suites"]])
def test_a_command_that_only_tells_is_light(arguments: list[str], tmp_path: Path) -> None:
    assert loaded(COMMAND, arguments, tmp_path) == [0, []]


def test_a_list_of_runs_reads_no_table(tmp_path: Path) -> None:
    assert loaded(COMMAND, ["list", "runs", "--results", str(Path(EXAMPLE).parent)], tmp_path) == [0, ["numpy"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["laws", EXAMPLE],
        ["predict", EXAMPLE, "rnn", "--at", "n=4096,d=512"],
        ["crossover", EXAMPLE, "rnn", "attention-core"],
        ["export", EXAMPLE],
        ["export", EXAMPLE, "--format", "latex", "--table", "laws"],
        ["compare", EXAMPLE, EXAMPLE],
        ["fit", "times.csv", "--over", "n"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_reads_runs_and_tables_loads_what_tables_and_fits_need(
    arguments: list[str], tmp_path: Path
) -> None:
    rows = "".join(f"{2**k},{4.0**k * (1 + k % 2 / 50)}\n" for k in range(4, 12))
    (tmp_path / "times.csv").write_text(f"n,seconds\n{rows}", encoding="utf-8")

    assert loaded(COMMAND, arguments, tmp_path) == [0, TABLES]


def test_a_report_draws_without_torch(tmp_path: Path) -> None:
    statement = "import attnbench.report.page, attnbench.session.reading"

    assert loaded(statement, [], tmp_path) == [0, ["matplotlib", *TABLES, "scipy.stats", "seaborn"]]
