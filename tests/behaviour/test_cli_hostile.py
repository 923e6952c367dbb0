"""Names from strangers in layer, suite, host, reasons and paths: text in every command and every export."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.trial import Subject
from tests.report.fake_run import HOST, HOSTILE, attention, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

#: A script, a colour of the terminal and its title, an end of line that is not ours, markup of tables, turned writing.
NAME = f"{HOSTILE} \x1b[31m\x1b]0;owned\x07\r\nError: spoofed\x9b2J [red]x[/red] [/] \u202e"
#: The same, as one line that a person can read.
SHOWN = HOSTILE + r" \x1b[31m\x1b]0;owned\x07\r\nError: spoofed\x9b2J [red]x[/red] [/] \u202e"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every name is hostile, in a folder with such a name; file systems allow all but a slash."""
    place = tmp_path_factory.mktemp("results") / NAME.replace("/", "|")
    layer = attention()
    law = replace(layer.law, subject=Subject(NAME), reason=NAME) if layer.law else None
    counted = tuple(replace(law, subject=replace(law.subject, layer=NAME), reason=NAME) for law in layer.counted_laws)
    hostile = replace(layer, name=NAME, law=law, counted_laws=counted, window=NAME)
    suite = {"title": NAME, "question": NAME, "metrics": ["flops", "time"], "budget": "60s", "device": ["cpu"]}
    suite["sweep"] = [{"layers": [NAME], "n": [256], "d": [64]}]
    host = replace(HOST, cpu=NAME)
    return write_fake_run(place, (hostile,), suite=suite, suite_name=NAME, host=host, command=NAME).path


COMMANDS = {
    "list": ["list", "runs", "--results", "{home}"],
    "laws": ["laws", "{run}"],
    "laws --fail-on": ["laws", "{run}", "--fail-on", "inconclusive", "--claim", "{name}=n**4*d**3"],
    "report": ["report", "{run}", "--reports", "{tmp}"],
    "predict": ["predict", "{run}", "{name}", "--at", "n=512,d=128"],
    "compare": ["compare", "{run}", "{run}"],
    "csv": ["export", "{run}"],
    "csv laws": ["export", "{run}", "--table", "laws"],
    "markdown": ["export", "{run}", "--format", "markdown", "--table", "laws"],
    "latex": ["export", "{run}", "--format", "latex", "--table", "laws"],
    "pytest-benchmark": ["export", "{run}", "--format", "pytest-benchmark"],
    "no such run": ["laws", "{name}"],
    "no such layer": ["count", "{name}"],
    "no such file": ["fit", "{name}"],
    "no such suite": ["plan", "--suite", "{name}"],
    "no such plugin": ["list", "layers", "--plugin", "{name}.py"],
    "no such folder": ["export", "{run}", "--output", "{tmp}/none/{name}"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_names_are_text(command: str, folder: Path, tmp_path: Path) -> None:
    values = {"run": str(folder), "home": str(folder.parent), "name": NAME, "tmp": str(tmp_path)}
    done = CliRunner().invoke(main, [part.format(**values) for part in COMMANDS[command]])
    said = done.stdout + done.stderr

    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert OBEYED.search(said) is None
    assert "spoofed" in said
    assert not any(line.startswith("Error: spoofed") for line in said.splitlines() if not command.startswith("csv"))


@pytest.mark.parametrize(
    "line", [["list", "runs", "--results", "{home}"], ["laws", "{run}"], ["report", "{run}", "--reports", "{tmp}"]]
)
def test_json_holds_the_names_as_they_are_and_nothing_that_a_terminal_obeys(
    line: list[str], folder: Path, tmp_path: Path
) -> None:
    values = {"run": str(folder), "home": str(folder.parent), "tmp": str(tmp_path)}
    done = CliRunner().invoke(main, [*(part.format(**values) for part in line), "--json"])

    assert OBEYED.search(done.stdout) is None
    assert (NAME in str_values(json.loads(done.stdout))) or folder.name in "".join(str_values(json.loads(done.stdout)))


def str_values(document: object) -> list[str]:
    """Every text in a document."""
    if isinstance(document, dict):
        return [text for value in document.values() for text in str_values(value)]
    if isinstance(document, list):
        return [text for value in document for text in str_values(value)]
    return [document] if isinstance(document, str) else []


def test_a_law_shows_its_name_whole(folder: Path) -> None:
    said = CliRunner().invoke(main, ["laws", str(folder)]).stdout

    assert SHOWN.split()[-1] in said
    assert "[red]x[/red]" in " ".join(said.split())
