"""Options that several commands share, and the one way to print JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from attnbench.errors import RunError, near_miss

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


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))


def run_folder(run: str, results: Path) -> Path:
    """A run by path, or by its name in the results folder."""
    candidates = [Path(run), results / run]
    folder = next((path for path in candidates if (path / "run.json").exists()), None)
    if folder is None:
        names = [path.parent.name for path in results.glob("*/run.json")]
        raise RunError(f"{run} is not a run.{near_miss(run, names)} `attnbench list runs` shows the runs in {results}")
    return folder
