"""The map of the house, proved by reading every import: rooms open upwards only, and torch stays in four of them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import attnbench

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(attnbench.__file__).parent

#: A room may import the rooms before it and nothing after it.
ROOMS = (
    "version",
    "errors",
    "units",
    "plain",
    "shape",
    "fingerprint",
    "formula",
    "cards",
    "trial",
    "record",
    "law",
    "published",
    "layers",
    "new",
    "summary",
    "spec",
    "count",
    "check",
    "plan",
    "measure",
    "execute",
    "journal",
    "store",
    "overview",
    "export",
    "fit",
    "report",
    "order",
    "show",
    "judging",
    "asking",
    "prepare",
    "session",
    "terminal",
    "cli",
)
#: The ways in: the public door and ``python -m attnbench``. Nothing inside imports them; they may import any room.
DOORS = ("__init__", "__main__")
TORCH_ROOMS = ("layers", "count", "check", "measure")
EMPTY_NAMES = ("utils", "common", "helpers", "manager")


class Source(NamedTuple):
    """One file of the package, parsed."""

    path: Path
    package: Path

    @property
    def room(self) -> str:
        return self.path.relative_to(self.package).with_suffix("").parts[0]

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(ast.parse(self.path.read_text(encoding="utf-8")))

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


def offences(package: Path) -> list[str]:
    """Every breach of the rules below `package`, as ``file:line: what``."""
    sources = [Source(path, package) for path in sorted(package.rglob("*.py"))]
    rules = (misnamed, against_the_order, torch_elsewhere, printing)
    return [offence for source in sources for rule in rules for offence in rule(source)]


def misnamed(source: Source) -> Iterator[str]:
    if source.room not in (*ROOMS, *DOORS):
        yield f"{source.where(1)}: {source.room} is not on the map"
    for part in source.path.relative_to(source.package).with_suffix("").parts:
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


def test_the_house_keeps_its_rules() -> None:
    assert offences(PACKAGE) == []


def test_the_map_names_the_rooms_there_are() -> None:
    found = {Source(path, PACKAGE).room for path in PACKAGE.rglob("*.py")} - set(DOORS)

    assert found == set(ROOMS)


@pytest.mark.parametrize(
    ("file", "text", "offence"),
    [
        ("units.py", "\nimport attnbench.formula", "units.py:2: units imports formula, which comes after it"),
        ("units.py", "from attnbench.cli import main", "units.py:1: units imports cli, which comes after it"),
        ("units.py", "from attnbench import law", "units.py:1: units imports law, which comes after it"),
        ("count/flops.py", "from ..fit import x", "count/flops.py:1: count imports fit, which comes after it"),
        ("count/__init__.py", "from ..plan import x", "count/__init__.py:1: count imports plan, which comes after it"),
        ("fit/law.py", "def f():\n  import torch", "fit/law.py:2: fit imports torch"),
        ("report/page.py", "from torch.nn import Module", "report/page.py:1: report imports torch"),
        ("__init__.py", "import torch", "__init__.py:1: __init__ imports torch"),
        ("cli.py", "import attnbench", "cli.py:1: imports the package root"),
        ("cli.py", "from attnbench import load", "cli.py:1: imports the package root"),
        ("layers/rnn.py", "from .. import Layer", "layers/rnn.py:1: imports the package root"),
        ("store.py", "print('done')", "store.py:1: store prints"),
        ("extras.py", "", "extras.py:1: extras is not on the map"),
        ("fit/utils.py", "", "fit/utils.py:1: the name utils says nothing"),
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
        ("fit/law.py", "from attnbench.units import seconds\nfrom attnbench.fit.estimate import fit"),
        ("count/flops.py", "from . import trace\nfrom ..formula import parse"),
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
