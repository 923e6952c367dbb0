"""Two thousand damaged runs and suites: each is refused in one line, or read with the values it had before."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from attnbench.cli import main
from attnbench.errors import InputError, RunError
from attnbench.session import judge as judging
from attnbench.session import reading
from attnbench.session.request import request
from attnbench.spec import from_mapping, load_suite, shipped, shipped_folder
from attnbench.store.derived import read_laws
from attnbench.store.run_folder import StoredRun, load_stored
from tests.fake_machine import FakeMachine, as_counted
from tests.older_run import make_older

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUITE = """
metrics = ["flops", "parameters", "peak_bytes", "memory", "time"]
budget = "60s"
device = ["cpu"]
[[sweep]]
layers = ["attention-core-fused"]
n = [64, 128, 256]
d = [64, 128]
"""
NUMBER = re.compile(rb"-?\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b")
WORDS = (b"NaN", b"-Infinity", b"null", b"true", b'"7"', b'"x"', b"[]", b"{}", b"-1", b"0", b"1e308", b"9" * 30)
#: Python itself refuses to read so many digits, and to walk so deep.
WORDS += (b"9" * 5000, b"[" * 5000)


def flip(content: bytes, lot: random.Random) -> bytes:
    place = lot.randrange(len(content))
    return content[:place] + bytes([lot.randrange(256)]) + content[place + 1 :]


def flip_bits(content: bytes, lot: random.Random) -> bytes:
    place = lot.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << lot.randrange(8)]) + content[place + 1 :]


def truncate(content: bytes, lot: random.Random) -> bytes:
    return content[: lot.randrange(len(content))]


def drop_some(content: bytes, lot: random.Random) -> bytes:
    start = lot.randrange(len(content))
    return content[:start] + content[start + lot.randrange(1, 40) :]


def repeat_some(content: bytes, lot: random.Random) -> bytes:
    start = lot.randrange(len(content))
    return content[: start + lot.randrange(1, 40)] + content[start:]


def drop_line(content: bytes, lot: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[lot.randrange(len(lines))]
    return b"".join(lines)


def double_line(content: bytes, lot: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines, lot.choice(lines)]) if lot.random() < 0.5 else b"".join([lines[0], *lines])


def swap_lines(content: bytes, lot: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    one, other = lot.randrange(len(lines)), lot.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def change_number(content: bytes, lot: random.Random) -> bytes:
    if not (found := [*NUMBER.finditer(content)]):
        return content
    match = lot.choice(found)
    return content[: match.start()] + lot.choice(WORDS) + content[match.end() :]


def change_digit(content: bytes, lot: random.Random) -> bytes:
    if not (places := [place for place, byte in enumerate(content) if 48 <= byte <= 57]):
        return content
    place = lot.choice(places)
    return content[:place] + str(lot.randrange(10)).encode() + content[place + 1 :]


def drop_key(content: bytes, lot: random.Random) -> bytes:
    match = lot.choice([*re.finditer(rb'"\w+": (?:"[^"]*"|[^,\[\]{}"]+),?\s*', content), re.match(b"", content)])
    assert match
    return content[: match.start()] + content[match.end() :]


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    flip, flip_bits, truncate, drop_some, repeat_some, drop_line, double_line, swap_lines, change_number, change_digit,
    drop_key,
]  # fmt: skip
BLIND = MUTATIONS[:5]


def mutants(content: bytes, number: int, seed: str) -> Iterator[bytes]:
    """That many contents that were changed in one or two places."""
    lot = random.Random(seed)
    kinds = BLIND if b"\0" in content else MUTATIONS
    for _ in range(number):
        mutant = content
        for _ in range(lot.choice([1, 1, 1, 2])):
            mutant = lot.choice(kinds)(mutant, lot) or b"\n"
        yield mutant


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> reading.Run:
    """A small run."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "grid.toml").write_text(SUITE, encoding="utf-8")
    return FakeMachine(as_counted(), noise=0.02).run(folder / "grid.toml", results=folder / "results")


@pytest.fixture
def copy(run: reading.Run, tmp_path: Path) -> Path:
    """The run, to be damaged."""
    return Path(shutil.copytree(run.path, tmp_path / "copy"))


def read(folder: Path) -> StoredRun | None:
    """The run as it is read; None when it is refused, which takes one line."""
    try:
        return load_stored(folder)
    except RunError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 600
    return None


def fits(folder: Path) -> bool:
    """Whether a run that can be read can be fitted too, or is refused in a sentence."""
    try:
        loaded = reading.load(folder)
        assert loaded.records.shape[0] == len(loaded.info.plan.trials)
        judging.fit_laws(loaded)
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("journal.jsonl", 600),
        ("run.json", 350),
        ("laws.json", 200),
        ("SHA256SUMS", 50),
        ("records.parquet", 50),
        ("samples.parquet", 50),
    ],
)
def test_a_damaged_file_of_a_run_is_refused_or_changes_nothing(
    run: reading.Run, copy: Path, file: str, number: int
) -> None:
    fitted = 0
    for count, mutant in enumerate(mutants((copy / file).read_bytes(), number, file)):
        (copy / file).write_bytes(mutant)
        found = read(copy)
        if found is None:
            assert file in ("journal.jsonl", "run.json")
            continue
        assert found.info == run.info
        assert found.visits == run.visits[: len(found.visits)]  # a journal may end early, as where a run was cut off
        assert len(found.visits) == len(run.visits) or file == "journal.jsonl"
        assert read_laws(copy) in (None, run.found_laws)
        if found.visits == run.visits and count % 20 == 0:
            assert reading.load(copy).found_laws == run.found_laws
            fitted += 1
    assert fitted or file in ("journal.jsonl", "run.json")


@pytest.mark.parametrize(("file", "number"), [("journal.jsonl", 200), ("run.json", 200)])
def test_a_damaged_run_without_checksums_is_refused_or_holds_what_can_be(copy: Path, file: str, number: int) -> None:
    make_older(copy)
    loaded = 0
    for mutant in mutants((copy / file).read_bytes(), number, f"older {file}"):
        (copy / file).write_bytes(mutant)
        if found := read(copy):
            assert not any(visit.flaw for visit in found.visits)
            assert {visit.trial for visit in found.visits} <= {trial.id for trial in found.info.plan.trials}
            loaded += 1
            if loaded % 5 == 0:
                fits(copy)
    assert loaded > 10


def asked_of(suite: Path) -> str | None:
    """What is said of a suite that is refused; None where it is read as it says, and can be run."""
    try:
        found = load_suite(str(suite))
        assert from_mapping(found.as_json(), found.name, "again") == found
        request(found)
    except InputError as error:
        return str(error)
    return None


def test_a_damaged_suite_is_refused_or_read_as_it_says(tmp_path: Path) -> None:
    path, said = tmp_path / "mine.toml", []
    for name in shipped():
        for mutant in mutants((shipped_folder() / f"{name}.toml").read_bytes(), 300 // len(shipped()) + 1, name):
            path.write_bytes(mutant)
            said.append(asked_of(path))

    refusals = [one for one in said if one is not None]
    assert 50 < len(refusals) < len(said) - 50
    assert not any("\n" in one for one in refusals)


# ------------------------------------------------------------------------------------------------- and what a user sees


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda run: change(run / "journal.jsonl", '"block_seconds": [', '"block_seconds": [9'),
            "{run}/journal.jsonl, line 1, is damaged: its checksum does not fit: it was changed, or lines before it",
        ),
        (
            lambda run: change(run / "run.json", '"flops": ', '"flops": 9'),
            "{run}/run.json is damaged: it was changed since the run began, so nothing can be read from it",
        ),
        (
            lambda run: change(run / "run.json", '"schema": 1', '"schema": 99'),
            "{run}/run.json has schema 99; this version reads schema 1",
        ),
        (lambda run: cut(run / "run.json"), "{run}/run.json is damaged: JSONDecodeError "),
        (
            lambda run: (run / "run.json").unlink(),
            "{run} is not a run. `attnbench list runs` shows the runs in results",
        ),
    ],
    ids=["journal", "run.json", "schema", "cut", "no run"],
)
@pytest.mark.parametrize("command", ["laws", "report", "export", "run --resume"])
def test_what_is_no_run_any_more_is_one_line(
    copy: Path, damage: Callable[[Path], object], said: str, command: str
) -> None:
    damage(copy)

    result = CliRunner().invoke(main, [*command.split(), str(copy)])

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {said.format(run=copy)}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("file", ["records.parquet", "samples.parquet", "laws.json", "SHA256SUMS"])
def test_nobody_reads_a_derived_file_that_is_cut_off(run: reading.Run, copy: Path, file: str) -> None:
    whole = CliRunner().invoke(main, ["laws", str(copy), "--json"]).stdout
    cut(copy / file)

    assert CliRunner().invoke(main, ["laws", str(copy), "--json"]).stdout == whole
    assert reading.load(copy).found_laws == run.found_laws
