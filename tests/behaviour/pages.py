"""The pages of the repository, taken apart: blocks, commands, links and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file, by its path from the root."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """(language, content) of every fenced block, in order."""
        return _BLOCK.findall(self.text)

    @cached_property
    def prose(self) -> str:
        """The page without its blocks."""
        return _BLOCK.sub("", self.text)

    @property
    def codes(self) -> list[str]:
        """What stands in the prose as code."""
        return [code.replace("\\|", "|") for code in _CODE.findall(self.prose)]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link to a heading of this page ends with, as GitHub makes it."""
        plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.replace(" ", "-") for heading in plain}

    def files(self, *languages: str) -> dict[str, str]:
        """Blocks whose first line is a comment with the name of a file → their content."""
        found = ((re.match(r"# (\S+\.\w+)\n", text), text) for language, text in self.blocks if language in languages)
        return {match[1]: text for match, text in found if match}

    def rows(self, heading: str) -> Iterator[list[str]]:
        """Cells of every row of the tables below a heading, down to the next heading."""
        below = self.prose.partition(f"# {heading}\n")[2]
        for line in re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0].splitlines():
            if line.startswith("|"):
                yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

    def entries(self, heading: str) -> list[str]:
        """What stands as code in the first column below a heading."""
        return [code for row in self.rows(heading) for code in _CODE.findall(row[0])]


PAGES = [
    Page(str(path.relative_to(ROOT)))
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")])
]
PAGES = list(dict.fromkeys(PAGES))


def page(name: str) -> Page:
    return next(one for one in PAGES if one.name == name)
