"""Every command, every block, every link and every table of columns in the pages of this repository, tried.

Commands run through the command line itself, page by page and from top to bottom, in a folder that holds the example
and two other runs. What would take minutes is cut, and only so: a clock that answers at once stands in for measuring
(`FakeMachine`), a shipped suite is run for one small layer where a page names none, `doctor` looks for half a second,
`check --all` meets a house of two layers, and make says what it would do. `docs/add-a-layer.md` is followed for real,
in a shell.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
import pytest
import torch

import attnbench
from attnbench import errors, spec
from attnbench.cli import main
from attnbench.layers import registry
from attnbench.report.words import tally, tally_text
from attnbench.store.run_info import with_hash
from attnbench.trial import AXES
from tests import two_runs
from tests.behaviour.pages import PAGES, ROOT, page
from tests.fake_machine import FakeMachine

if TYPE_CHECKING:
    from click.testing import Result

    from tests.behaviour.pages import Page

GUIDE = page("docs/add-a-layer.md")
#: Languages of blocks, and what is done with them: run, parsed, or nothing, as they are what a command said.
RUN, PARSED, OUTPUT = {"console", "sh", "python"}, {"toml"}, {"text"}
#: What a reader puts in for these words.
PLACEHOLDERS = {"RUN": "example", "BASE": "base", "NEW": "new", "LAYER": "rnn"}
#: What a shipped suite is run for where a page names no layer: one that is counted at once.
CUT = "identity"
#: What make would call.
CALLS = {"make run": "attnbench run --suite scaling"}
#: Layers that `check --all` meets.
FEW = ("identity", "feed-forward")
SHELL = re.compile(r"[|>&;]")


def commands(one: Page) -> list[str]:
    """What a reader types, line by line: lines after a prompt, or all lines of a script."""
    lines = ((kind, line) for kind, block in one.blocks if kind in ("console", "sh") for line in block.splitlines())
    return [line.removeprefix("$ ") for kind, line in lines if kind == "sh" or line.startswith("$ ")]


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


# --------------------------------------------------------------------------------------------- commands and blocks


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example run and two others."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(ROOT / "results" / "example", folder / "example")
    two_runs.write(folder / "base")
    two_runs.write(folder / "new", seed=2)
    return folder


def machine() -> FakeMachine:
    """A machine that answers at once."""
    return FakeMachine(lambda trial: 1e-10 * trial.sizes["n"] ** 2 * trial.sizes["d"], noise=0.02)


@pytest.fixture
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a reader with three runs and a table, on a machine that answers at once."""
    shutil.copytree(runs, tmp_path / "results")
    rows = [(n, d, 1e-9 * n**2 * d * noise) for n in (64, 256, 1024) for d in (64, 128, 256) for noise in (1.0, 1.01)]
    pd.DataFrame(rows, columns=["n", "d", "seconds"]).to_csv(tmp_path / "times.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(attnbench, "run", machine().run)
    return tmp_path


def invoke(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run attnbench with `words`, as typed but for what would take minutes."""
    words = [PLACEHOLDERS.get(word, word) for word in words]
    with monkeypatch.context() as patch:
        if words[:2] == ["check", "--all"]:
            patch.setattr(registry, "BUILT_IN", {name: registry.BUILT_IN[name] for name in FEW})
        if words[0] == "doctor" and "--seconds" not in words:
            words += ["--seconds", "0.5"]
        if words[0] in ("run", "plan") and not {"--layer", "--plugin"} & set(words):
            words += ["--layer", CUT] if words[words.index("--suite") + 1] in spec.shipped() else []
        return machine().invoke(words)


def try_command(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one line of a page, or have make say what it would do."""
    command = line.partition("  #")[0].strip()
    words = shlex.split(command)
    if words[0] == "make":
        said = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
        assert CALLS[command] in said.stdout
    elif SHELL.search(command):
        done = shell(f"set -o pipefail; {command}", folder)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    else:
        assert words[0] in ("attnbench", ".venv/bin/attnbench"), f"{command}: what runs this?"
        result = invoke(words[1:], monkeypatch)
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.mark.parametrize("one", [one for one in PAGES if one.blocks and one != GUIDE], ids=lambda one: one.name)
def test_every_command_and_every_block_of_python_on_a_page_works(
    one: Page, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    for name, text in one.files("python", "toml").items():
        (here / name).write_text(text, encoding="utf-8")

    for kind, block in one.blocks:
        if kind == "python":
            exec(compile(block, one.name, "exec"), names)  # noqa: S102
        for line in block.splitlines() if kind in ("console", "sh") else ():
            if kind == "sh" or line.startswith("$ "):
                try_command(line.removeprefix("$ "), here, monkeypatch)


def test_every_block_of_every_page_says_what_it_is() -> None:
    foreign = {(one.name, kind) for one in PAGES for kind, _ in one.blocks if kind not in RUN | PARSED | OUTPUT}

    assert foreign == set()


@pytest.mark.parametrize("text", [text for one in PAGES for kind, text in one.blocks if kind in PARSED])
def test_every_suite_or_part_of_one_on_a_page_can_be_read(text: str) -> None:
    content = tomllib.loads(text)
    sweep = {"layers": ["rnn"], **{key: content.pop(key) for key in AXES if key in content}}

    suite = spec.from_mapping({"sweep": [sweep], **content}, "part", "of a page")

    assert set(content) | {"sweep"} <= set(suite.as_json())


def test_every_command_that_a_page_mentions_has_the_options_it_mentions() -> None:
    unknown = {
        (one.name, code) for one in PAGES for code in one.codes if code.startswith("attnbench ") and not known(code)
    }

    assert unknown == set()


def known(code: str) -> bool:
    """Whether the command in `code` exists, with its options."""
    command: click.Command = main
    for word in code.removesuffix(" --help").split()[1:]:
        if isinstance(command, click.Group):
            if word not in command.commands:
                return False
            command = command.commands[word]
        elif word.startswith("--"):
            options = {text for option in command.params for text in (*option.opts, *option.secondary_opts)}
            if word not in options:
                return False
    return True


def test_every_target_of_make_that_a_page_mentions_exists() -> None:
    targets = {*re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)}
    mentioned = {word for one in PAGES for code in one.codes if (word := re.match(r"make ([a-z]+)$", code))}

    assert {word[1] for word in mentioned} - targets == set()
    assert {"docs", "run", "test"} <= {word[1] for word in mentioned}


# ------------------------------------------------------------------------------------------ links, lists and tables


def test_every_link_between_pages_leads_somewhere() -> None:
    lost = {
        (one.name, link)
        for one in PAGES
        for link in one.links
        if not link.startswith("https://") and not leads_somewhere(one, link)
    }

    assert lost == set()


def leads_somewhere(one: Page, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (one.path.parent / file).resolve() if file else one.path
    if not anchor:
        return target.exists()
    return any(other.path == target and anchor in other.anchors for other in PAGES)


def test_what_is_written_from_the_code_is_what_the_code_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()

    assert [str(one) for one, text in written.items() if one.read_text(encoding="utf-8") != text] == [], "make docs"


def test_every_page_is_in_the_index_of_pages() -> None:
    index = page("docs/README.md")
    others = {one.path.name for one in PAGES if one.path.parent == index.path.parent and one != index}

    assert {link for link in index.links if link.endswith(".md") and "/" not in link} == others


def test_the_page_about_suites_knows_every_key_metric_axis_and_suite() -> None:
    suites = page("docs/suites.md")
    metrics = suites.text.partition("### Metrics\n")[2].partition("###")[0]
    axes = {re.sub("`", "", axis): what for axis, what in suites.rows("Sweeps") if axis.startswith("`")}

    assert suites.entries("Keys") == list(spec._SUITE_KEYS)
    assert re.findall(r"`(\w+)`", metrics) == list(spec.METRICS)
    assert axes == AXES
    assert sorted(re.findall(r"\[(\w+)\]", " ".join(row[0] for row in suites.rows("What ships")))) == [*spec.shipped()]


def test_the_exit_codes_of_the_reference_are_those_of_the_errors() -> None:
    every = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    told = {int(code) for row in page("docs/commands.md").rows("Commands") for code in re.findall(r"\d+", row[0])}

    assert told == every | {0}


def test_the_picture_in_the_readme_is_small_and_its_text_says_what_the_example_says() -> None:
    alt, file = re.findall(r"!\[(.*?)\]\((.*?)\)", page("README.md").prose)[0]
    laws = [law for law in attnbench.load(example("")).found_laws if law.metric == "time"]

    assert (ROOT / file).stat().st_size < 300_000
    assert tally_text(tally(laws)) in alt
    assert [law.layer for law in laws if law.layer not in alt] == []


def example(name: str) -> Path:
    return ROOT / "results" / "example" / name


def keys_of(name: str) -> list[str]:
    """Columns or keys of one file of the example, as they are; those of ``run.json`` as they are written today."""
    if name == "run.json":
        return list(with_hash(attnbench.load(example("")).info))
    if name.endswith(".parquet"):
        return list(pd.read_parquet(example(name)))
    text = example(name).read_text(encoding="utf-8")
    if name.endswith(".jsonl"):
        return list(json.loads(text.splitlines()[0]))
    content = json.loads(text)
    return list(content) if isinstance(content, dict) else list(content[-1])


@pytest.mark.parametrize("name", ["records.parquet", "samples.parquet", "journal.jsonl", "run.json", "laws.json"])
def test_every_column_and_key_of_a_run_folder_is_described_and_nothing_else(name: str) -> None:
    described = page("results/README.md").entries(name)

    assert sorted(described) == sorted(keys_of(name))
    if name.endswith(".parquet"):
        assert described == keys_of(name)


def test_the_table_of_conditions_is_described() -> None:
    described = page("docs/files.md").entries("Tables on standard output")

    assert described == list(attnbench.load(example("")).conditions)


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        pytest.param(command, keys, id=command)
        for command, keys in page("docs/files.md").rows("JSON that commands print")
        if command.startswith("`")
    ],
)
def test_documents_have_the_keys_that_the_page_names(
    command: str, keys: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoke(shlex.split(command.strip("`"))[1:], monkeypatch)
    content = json.loads(result.stdout)
    found = content[0] if isinstance(content, list) else content
    named = re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", keys))

    assert result.exit_code == 0
    if "law" in re.sub("`laws`", "", keys):
        named = [key for key in keys_of("laws.json") if key != "curves"]
    assert sorted(found) == sorted(named)


# -------------------------------------------------------------------------------- the guide, followed for real


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """A folder in which the page was followed from top to bottom, and what each command said."""
    folder = tmp_path_factory.mktemp("empty")
    for name, text in GUIDE.files("python").items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder, {command.partition("  #")[0]: shell(command, folder) for command in commands(GUIDE)}


def test_every_command_ends_as_the_page_says(
    followed: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    _, said = followed
    expected = {command.partition("  #")[0]: int("exits with 1" in command) for command in commands(GUIDE)}

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
    lines = GUIDE.files("python")["shortest.py"].splitlines()

    assert len([line for line in lines if line and not line.startswith("#")]) == 3
