"""A plugin whose import does not come back, or does harm on the way, is one line about it and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from attnbench.errors import LayerError, PluginError
from attnbench.layers import attempt
from attnbench.layers.registry import BUILT_IN, Registry

if TYPE_CHECKING:
    from pathlib import Path

DECENT = """
from attnbench import Layer
LAYER = Layer("mine", lambda d: None)
"""


def write(path: Path, text: str) -> str:
    path.write_text(text + DECENT, encoding="utf-8")
    return str(path)


def install(site: Path, name: str, text: str) -> None:
    """What an installer leaves behind of a distribution with one module."""
    about = site / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[attnbench.layers]\nany = {name}_module\n", encoding="utf-8")
    (site / f"{name}_module.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os; os._exit(3)", ": importing it ended the process (exit status 3)"),
        ("import os; os._exit(0)", ": importing it ended the process (exit status 0)"),
        ("import ctypes; ctypes.string_at(0)", ": importing it ended the process (signal 11)"),
        (
            "import os; os.kill(os.getpid(), 9)",
            ": importing it ended the process (signal 9, most likely because memory ran out)",
        ),
        ("import threading; threading.Event().wait()", ": importing it did not end within 1 s"),
        (
            "import os, time\nif os.fork() == 0:\n    time.sleep(3600)\nos._exit(4)",
            ": importing it ended the process (exit status 4)",  # although its child holds the line open
        ),
        ("held = [bytearray(2**24) for _ in iter(int, 1)]", ", line 1: MemoryError: "),
        ("raise KeyboardInterrupt('mine')", ", line 1: KeyboardInterrupt: mine"),
        ("import os; os.closerange(3, 256); os._exit(5)", ": importing it ended the process (exit status 5)"),
        ("import os, time; os.closerange(3, 256); time.sleep(3600)", ": importing it did not end within 1 s"),
    ],
)
def test_a_plugin_whose_import_ends_its_process_is_one_sentence(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(attempt, "_MEMORY_SHARE", 0.01)
    plugin = write(tmp_path / "evil.py", text)

    with pytest.raises(PluginError) as caught:
        Registry([plugin])

    assert str(caught.value) == f"plugin {plugin}{message}"


def test_what_an_import_does_to_its_process_is_done_once_and_not_to_the_streams(tmp_path: Path) -> None:
    before = [os.fstat(descriptor) for descriptor in range(3)]
    plugin = write(tmp_path / "evil.py", "import os, sys\nheard = os.read(0, 9), os.closerange(0, 3)")

    registry = Registry([plugin])

    assert registry.get("mine").name == "mine"
    assert [os.fstat(descriptor) for descriptor in range(3)] == before


@pytest.mark.parametrize(
    "text",
    [
        "import os\nprint('{]')\nos.write(1, b'garbage')",
        "import os, sys\nsys.stdout.close(), sys.stderr.close(), os.closerange(0, 3)",
        "import sys\nsys.stdout = sys.stderr = None",
    ],
)
def test_a_plugin_that_meddles_with_the_streams_is_listed_and_leaves_json_alone(text: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "attnbench",
        "list",
        "layers",
        "--json",
        "--plugin",
        write(tmp_path / "x.py", text),
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout)] == [*BUILT_IN, "mine"]


@pytest.mark.parametrize("command", ["list layers", "count rnn", "run --suite smoke"])
def test_every_command_says_it_in_one_line_and_exits_with_two(command: str, tmp_path: Path) -> None:
    write(tmp_path / "evil.py", "import os; os._exit(3)")
    words = [sys.executable, "-m", "attnbench", *command.split(), "--plugin", "evil.py"]

    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: plugin evil.py: importing it ended the process (exit status 3)\n"
    assert not (tmp_path / "results").exists()


def test_an_installed_plugin_that_ends_its_process_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "evil", "import os; os._exit(3)")
    install(tmp_path, "good", DECENT)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry()

    with pytest.raises(LayerError, match=r"unknown layer 'yours'.* Not loaded: plugin evil 1.0: importing it ended"):
        registry.get("yours")

    assert registry.get("mine").name == "mine"
    assert registry.names == (*BUILT_IN, "mine")
    assert registry.installed == ("good_module",)
    elsewhere = Registry(installed=registry.installed)  # as a measuring process makes it
    assert (elsewhere.get("mine").name, elsewhere.broken) == ("mine", {})
