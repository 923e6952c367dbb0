"""The map of the house, proved by reading every import: rooms open upwards only, nothing goes round in a circle."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import attnbench
from attnbench.counting import operators

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE = Path(attnbench.__file__).parent
ROOT = Path(__file__).parents[1]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"

#: A room may import the rooms before it and nothing after it.
ROOMS = (
    "version",
    "errors",
    "units",
    "escape_controls",
    "formula",
    "html_tables",
    "trial",
    "record",
    "child",
    "law",
    "published",
    "layers",
    "adapters",
    "new",
    "spec",
    "counting",
    "check",
    "plan",
    "measure",
    "execute",
    "store",
    "export",
    "fitting",
    "report",
    "session",
    "terminal",
    "cli",
)
#: The ways in: the public door and ``python -m attnbench``. Nothing inside imports them; they may import any room.
DOORS = ("__init__", "__main__")
TORCH_ROOMS = ("layers", "adapters", "counting", "check", "measure")
EMPTY_NAMES = ("utils", "common", "helpers", "manager")
#: Modules of one folder, sub-folders apart. The catalogue has a file for each layer.
MAX_MODULES = 14
CATALOGUE = "layers"
#: Modules beside the rooms that are folders.
MAX_LOOSE_MODULES = 10


class Source(NamedTuple):
    """One file of the package, parsed."""

    path: Path
    package: Path

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.relative_to(self.package).with_suffix("").parts

    @property
    def room(self) -> str:
        return self.parts[0]

    @property
    def module(self) -> tuple[str, ...]:
        """Names that lead from the package to this module; those of a folder lead to its ``__init__``."""
        return self.parts[:-1] if self.parts[-1] == "__init__" else self.parts

    @property
    def nodes(self) -> Sequence[ast.AST]:
        return parsed(self.path)

    def where(self, line: int) -> str:
        return f"{self.path.relative_to(self.package)}:{line}"

    def imports(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The line of each import and the dotted name it asks for, wherever in the file it stands."""
        inside = self.path.relative_to(self.package.parent).parent.parts
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, tuple(alias.name.split("."))) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                start = inside[: len(inside) + 1 - node.level] if node.level else ()
                module = tuple(node.module.split(".")) if node.module else ()
                yield from ((node.lineno, (*start, *module, alias.name)) for alias in node.names)


@functools.cache
def parsed(path: Path) -> Sequence[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def sources_of(package: Path) -> list[Source]:
    return [Source(path, package) for path in sorted(package.rglob("*.py"))]


def offences(package: Path) -> list[str]:
    """Every breach of the rules below `package`, as ``file:line: what``."""
    sources = sources_of(package)
    rules = (misnamed, against_the_order, torch_elsewhere, printing)
    of_files = [offence for source in sources for rule in rules for offence in rule(source)]
    return [*of_files, *circles(sources), *crowds(sources)]


def misnamed(source: Source) -> Iterator[str]:
    if source.room not in (*ROOMS, *DOORS):
        yield f"{source.where(1)}: {source.room} is not on the map"
    for part in source.parts:
        if part in EMPTY_NAMES:
            yield f"{source.where(1)}: the name {part} says nothing"


def against_the_order(source: Source) -> Iterator[str]:
    for line, (top, *rest) in source.imports():
        if top != source.package.name:
            continue
        target = rest[0] if rest else ""
        if target not in ROOMS:
            yield f"{source.where(line)}: imports the package root"
        elif source.room in ROOMS and ROOMS.index(target) > ROOMS.index(source.room):
            yield f"{source.where(line)}: {source.room} imports {target}, which comes after it"


def torch_elsewhere(source: Source) -> Iterator[str]:
    for line, name in source.imports():
        if name[0] == "torch" and source.room not in TORCH_ROOMS:
            yield f"{source.where(line)}: {source.room} imports torch"


def printing(source: Source) -> Iterator[str]:
    calls = (node for node in source.nodes if isinstance(node, ast.Call) and source.room != "cli")
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id == "print":
            yield f"{source.where(call.lineno)}: {source.room} prints"


def circles(sources: Sequence[Source]) -> Iterator[str]:
    """A circle of modules, and one of the files and folders of any folder; imports for type checkers are imports."""
    arrows = [(source.module, target) for source in sources for target in imported(source, sources)]
    folders = sorted({source.parts[:depth] for source in sources for depth in range(len(source.parts))}, key=len)
    for folder in folders:
        depth = len(folder)
        inside = [
            (one[: depth + 1], other[: depth + 1]) for one, other in arrows if one[:depth] == other[:depth] == folder
        ]
        yield from circle(
            [(one, other) for one, other in inside if len(one) == len(other) == depth + 1 and one != other]
        )
    yield from circle(arrows)


def circle(arrows: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> Iterator[str]:
    targets: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for one, other in arrows:
        targets.setdefault(one, set()).add(other)
    try:
        graphlib.TopologicalSorter(targets).prepare()
    except graphlib.CycleError as error:
        yield f"circle: {' ← '.join('.'.join(name) for name in error.args[1])}"


def imported(source: Source, sources: Sequence[Source]) -> set[tuple[str, ...]]:
    """Modules of the package that a module asks for."""
    known = {other.module for other in sources}
    asked = {name[1:] for _, name in source.imports() if name[0] == source.package.name}
    found = {name if name in known else name[:-1] for name in asked}
    return (found & known) - {source.module, ()}


def crowds(sources: Sequence[Source]) -> Iterator[str]:
    names = [source.parts for source in sources if source.parts[-1] not in DOORS]
    for folder, number in Counter(name[:-1] for name in names if name[0] != CATALOGUE).items():
        most = MAX_MODULES if folder else MAX_LOOSE_MODULES
        if number > most:
            yield f"{'/'.join(folder) or 'the package'} holds {number} modules; {most} are enough"


def test_the_house_keeps_its_rules() -> None:
    assert offences(PACKAGE) == []


def test_the_map_names_the_rooms_there_are() -> None:
    found = {source.room for source in sources_of(PACKAGE)} - set(DOORS)

    assert found == set(ROOMS)


def test_the_map_of_contributing_is_this_one() -> None:
    the_map = CONTRIBUTING.read_text(encoding="utf-8").partition("\n## The map\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(/|\.py)` \|", the_map, re.MULTILINE)
    found = [room + (".py" if (PACKAGE / f"{room}.py").exists() else "/") for room in ROOMS]

    assert [name + kind for name, kind in rows] == found


def test_the_walk_of_a_trial_names_ten_types_that_exist() -> None:
    walk = CONTRIBUTING.read_text(encoding="utf-8").partition("\n## How a trial walks")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", walk))
    classes = {node.name for source in sources_of(PACKAGE) for node in source.nodes if isinstance(node, ast.ClassDef)}
    paths = re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", walk)

    assert (len(named), named - classes) == (10, set())
    assert [path for path in paths if not (PACKAGE / path).exists()] == []


def test_an_operator_is_registered_once() -> None:
    operator = operators.FAMILIES[0].OPERATORS[0]

    with pytest.raises(ValueError, match="is registered twice"):
        operators.by_name([operator, operator])


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_every_path_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])((?:attnbench|tests|benchmarks|suites|docs|results|reports)/[\w./-]*\w/?)", text)

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("file", "text", "offence"),
    [
        ("units.py", "\nimport attnbench.formula", "units.py:2: units imports formula, which comes after it"),
        ("units.py", "from attnbench.cli import main", "units.py:1: units imports cli, which comes after it"),
        ("units.py", "from attnbench import law", "units.py:1: units imports law, which comes after it"),
        (
            "counting/flops.py",
            "from ..fitting import x",
            "counting/flops.py:1: counting imports fitting, which comes after it",
        ),
        (
            "counting/__init__.py",
            "from ..plan import x",
            "counting/__init__.py:1: counting imports plan, which comes after it",
        ),
        ("fitting/law.py", "def f():\n  import torch", "fitting/law.py:2: fitting imports torch"),
        ("report/page.py", "from torch.nn import Module", "report/page.py:1: report imports torch"),
        ("__init__.py", "import torch", "__init__.py:1: __init__ imports torch"),
        ("cli.py", "import attnbench", "cli.py:1: imports the package root"),
        ("cli.py", "from attnbench import load", "cli.py:1: imports the package root"),
        ("layers/rnn.py", "from .. import Layer", "layers/rnn.py:1: imports the package root"),
        ("store.py", "print('done')", "store.py:1: store prints"),
        ("extras.py", "", "extras.py:1: extras is not on the map"),
        ("fitting/utils.py", "", "fitting/utils.py:1: the name utils says nothing"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, file: str, text: str, offence: str) -> None:
    path = tmp_path / "attnbench" / file
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")

    assert offences(tmp_path / "attnbench") == [offence]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("fitting/law.py", "from attnbench.units import seconds\nfrom attnbench.fitting.estimate import fit"),
        ("counting/flops.py", "from . import trace\nfrom ..formula import parse"),
        ("store.py", "from attnbench import units"),
        ("measure/loop.py", "import torch\nfrom torch import nn"),
        ("__main__.py", "from attnbench.cli import main"),
        ("cli.py", "print('done')"),
        ("plan.py", "import torchless\nimport attnbenchmark"),
    ],
)
def test_what_the_rules_allow_is_left_alone(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / "attnbench" / file
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")

    assert offences(tmp_path / "attnbench") == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {
                "law/a.py": "from attnbench.law import b",
                "law/b.py": "if TYPE_CHECKING:\n    from attnbench.law.a import A",
            },
            {"law.a", "law.b"},
        ),
        (
            {
                "law/__init__.py": "def f():\n    from attnbench.law.a import x",
                "law/a.py": "from attnbench.law import y",
            },
            {"law", "law.a"},
        ),
        (
            {
                "law/one/a.py": "from attnbench.law.other.b import x",
                "law/other/b.py": "",
                "law/other/c.py": "from attnbench.law.one.d import x",
                "law/one/d.py": "",
            },
            {"law.one", "law.other"},
        ),
    ],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], found: set[str]) -> None:
    for file, text in files.items():
        path = tmp_path / "attnbench" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    (first, *_) = offences(tmp_path / "attnbench")

    assert set(first.removeprefix("circle: ").split(" ← ")) == found


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "attnbench" / "report"
    folder.mkdir(parents=True)
    for number in range(15):
        (folder / f"part{number}.py").touch()

    assert offences(tmp_path / "attnbench") == ["report holds 15 modules; 14 are enough"]
