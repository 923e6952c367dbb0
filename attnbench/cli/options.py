"""What several commands share: options, and the ways to print a line, laws, an error or JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnbench.errors import RunError, near_miss
from attnbench.escape_controls import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from attnbench.law import Law

#: Verdicts on which ``--fail-on`` fails.
FAILING: dict[str | None, set[str]] = {
    "refuted": {"REFUTED"},
    "inconclusive": {"REFUTED", "INCONCLUSIVE", "OUT-OF-REGIME"},
}

plugin_option = click.option(
    "--plugin", "plugins", multiple=True, metavar="P", help="A file or module with a LAYER of yours."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
results_option = click.option(
    "--results", default="results", show_default=True, metavar="DIR", help="Folder of the run folders."
)
reports_option = click.option(
    "--reports", default="reports", show_default=True, metavar="DIR", help="Folder of the HTML reports."
)
fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(["refuted", "inconclusive"]),
    help="Exit with 1 on such a verdict or worse.",
)


quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print results and errors only, and no progress.")

#: What JSON may hold as it is, and a terminal would obey.
_OBEYED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    click.echo(_OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def say(text: object = "", *, err: bool = False, bold: bool = False) -> None:
    """Print one line, on a terminal broken between words; nothing in it is obeyed, whoever wrote it."""
    from attnbench.terminal import say as say_it  # rich is not needed to show help

    say_it(text, err=err, bold=bold)


def complain(error: Exception) -> None:
    """Print what went wrong in one line on standard error."""
    click.echo(f"Error: {plain(' '.join(str(error).split()))}", err=True)


def print_laws(found: Sequence[Law]) -> None:
    """Print the table of laws."""
    from attnbench.terminal import console, laws_table

    console().print(laws_table(found))


def exit_on(fail_on: str | None, found: Iterable[Law]) -> None:
    """Exit with 1 when a verdict is as bad as `fail_on` or worse, and say which."""
    bad = FAILING.get(fail_on, set())
    if offending := [f"{law.layer} {law.metric} {law.verdict}" for law in found if str(law.verdict) in bad]:
        say(f"--fail-on {fail_on}: {', '.join(offending)}", err=True)
        sys.exit(1)


def run_folder(run: str, results: Path) -> Path:
    """A run by path, or by its name in the results folder."""
    candidates = [Path(run), results / run]
    folder = next((path for path in candidates if (path / "run.json").exists()), None)
    if folder is None:
        names = [path.parent.name for path in results.glob("*/run.json")]
        raise RunError(f"{run} is not a run.{near_miss(run, names)} `attnbench list runs` shows the runs in {results}")
    return folder


def writable(folder: str, option: str) -> Path:
    """Refuse a folder that cannot be made or written before anything is measured for it.

    Raises:
        RunError: it cannot.
    """
    path = Path(folder)
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise RunError(f"{option} {folder}: {existing} is not a folder; choose another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(f"{option} {folder}: {existing} cannot be written; choose another place")
    return path
