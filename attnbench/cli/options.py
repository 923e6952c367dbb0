"""Options that several commands share, and the one way to print JSON."""

from __future__ import annotations

import json
from typing import Any

import click

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


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))
