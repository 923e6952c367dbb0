"""Every command of docs/add-a-layer.md does what the page says, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "add-a-layer.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
FILES = {block.splitlines()[0].removeprefix("# "): block for kind, block in BLOCKS if kind == "python"}
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one line as a reader would, where pip finds nothing but this machine and installs beside the folder."""
    site = folder / "site"
    pip = {"PIP_TARGET": str(site), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "false"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    modules = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **pip, "PATH": path, "PYTHONPATH": modules}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """A folder in which the page was followed from top to bottom, and what each command said."""
    folder = tmp_path_factory.mktemp("empty")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder, {command.partition("  #")[0]: shell(command, folder) for command in COMMANDS}


def test_every_command_ends_as_the_page_says(
    followed: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    _, said = followed
    expected = {command.partition("  #")[0]: int("exits with 1" in command) for command in COMMANDS}

    assert {command: done.returncode for command, done in said.items()} == expected, [
        done.stderr for done in said.values()
    ]


def test_the_page_leads_to_a_verdict_and_a_report(
    followed: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    folder, said = followed
    (run,) = (folder / "results").iterdir()
    (law,) = (law for law in json.loads((run / "laws.json").read_text(encoding="utf-8")) if law["metric"] == "time")

    assert law["layer"] == "my-layer"
    assert law["verdict"] in ("CONFIRMED", "INCONCLUSIVE", "OUT-OF-REGIME")
    assert (folder / "reports" / f"{run.name}.html").is_file()
    assert "counted 4bn²d" in said["attnbench check --plugin hopeful.py"].stdout
    assert "✗" not in said["attnbench check --plugin my_layer.py"].stdout
    assert "2bnd²" in said["attnbench count my-layer --plugin my_layer.py"].stdout
    assert "ring-layers" in said["attnbench list layers"].stdout


def test_the_shortest_layer_of_the_page_has_three_lines() -> None:
    lines = FILES["shortest.py"].splitlines()

    assert len([line for line in lines if line and not line.startswith("#")]) == 3
