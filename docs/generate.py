"""Writes what can be known from the code: commands, shipped suites, built-in layers. `make docs` runs it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnbench.cli import main
from attnbench.layers.registry import BUILT_IN, Registry
from attnbench.spec import load_suite, shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.spec import AxisValues, Suite, Sweep

HERE = Path(__file__).parent
#: What stands above the commands.
HEAD = """\
# Commands

Written by `make docs` from the commands themselves; `--help` after any of them says the same.

`RUN`, `BASE` and `NEW` are folders, or names of folders in `results/`. With `--json` a command prints one JSON document
on standard output and nothing else; progress, warnings and prose go to standard error. Colour is used on a terminal
only, and never where `NO_COLOR` is set.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check or the condition of `--fail-on` failed, or no measuring process could be started |
| 2 | what was asked for cannot be done; one line says what, where, and what to do next |
| 130, 143 | stopped by Ctrl-C or by SIGTERM; everything measured is kept, and a run says how to continue it |
"""
#: What stands between these two lines is written here, and the rest of those pages by hand.
BEGIN, END = "<!-- from here on written by `make docs` -->\n", "<!-- up to here -->\n"


def pages() -> dict[Path, str]:
    """Each page with a part that is written here → its whole text, as it should be."""
    suites = "\n".join(_suite(load_suite(name)) for name in shipped())
    return {
        HERE / "commands.md": "\n".join([HEAD, _contents(), *_commands()]),
        HERE / "suites.md": _with(HERE / "suites.md", suites),
        HERE / "layers.md": _with(HERE / "layers.md", _layers()),
    }


def _with(page: Path, written: str) -> str:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{written}\n{END}{rest.partition(END)[2]}"


# -------------------------------------------------------------------------------------------------- the commands


def leaves(group: click.Group, above: click.Context | None = None) -> Iterator[click.Context]:
    """Every command that does something, in the order of the groups, each in its context."""
    context = click.Context(group, info_name=group.name if above else "attnbench", parent=above)
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, context)
        else:
            yield click.Context(command, info_name=name, parent=context)


def _contents() -> str:
    rows = (
        f"| [`{c.command_path}`](#{c.command_path.replace(' ', '-')}) | {_plain(c.command.get_short_help_str(200))} |"
        for c in leaves(main)
    )
    return "\n".join(["| command | what it does |", "|---|---|", *rows, ""])


def _commands() -> Iterator[str]:
    for context in leaves(main):
        usage = " ".join(context.command.collect_usage_pieces(context))
        yield f"## {context.command_path}\n\n```text\n{context.command_path} {usage}\n```\n"
        yield _prose(context.command.help or "")
        if options := _options(context):
            yield options


def _prose(text: str) -> str:
    """The help of a command, its paragraphs broken at the width of these pages."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    return "\n\n".join(_filled(_plain(part)) for part in paragraphs) + "\n"


def _filled(text: str, indent: str = "") -> str:
    """Lines as wide as those of the other pages; names of layers stay whole."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_on_hyphens=False)


def _options(context: click.Context) -> str:
    records = [p.get_help_record(context) for p in context.command.params if isinstance(p, click.Option)]
    rows = (f"| `{_cell(option)}` | {_plain(' '.join(text.split()))} |" for option, text in filter(None, records))
    return "\n".join(["| option | meaning |", "|---|---|", *rows, ""]) if records else ""


def _cell(code: str) -> str:
    """Code in a cell of a table, where a stroke would end the cell."""
    return code.replace("|", "\\|")


def _plain(text: str) -> str:
    """Text in which Markdown sees no marks of its own, but for code."""
    return re.sub(r"([*|_<])(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\1", text)


# ---------------------------------------------------------------------------------------------------- the suites


def _suite(suite: Suite) -> str:
    timed = "time" in suite.metrics or "memory" in suite.metrics
    facts = {
        "metrics": ", ".join(f"`{metric}`" for metric in suite.metrics),
        "modes": ", ".join(suite.modes) if suite.modes != ("forward",) else "",
        "pictures": ", ".join(suite.pictures),
        "budget": f"{suite.budget:g} s of clock" if timed else "no clock is used",
    }
    told = [f"- {name}: {text}" for name, text in facts.items() if text] + [_sweep(sweep) for sweep in suite.sweeps]
    question = _filled(f"**{suite.title}.** {suite.question}")
    return "\n".join([f"### {suite.name}\n", question, "", *(_filled(line, "  ") for line in told), ""])


def _sweep(sweep: Sweep) -> str:
    layers = ", ".join(f"`{layer}`" for layer in sweep.layers)
    return f"- {layers} over {', '.join(f'{axis} {_sizes(sizes)}' for axis, sizes in sweep.axes.items())}"


def _sizes(sizes: AxisValues) -> str:
    return sizes if isinstance(sizes, str) else f"= {', '.join(map(str, sizes))}"


def _layers() -> str:
    registry = Registry()
    rows = (f"| `{name}` | {_plain(registry.summary(name))} |" for name in BUILT_IN)
    return "\n".join(["| layer | what it is |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
