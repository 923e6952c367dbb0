"""The command that hands a run to other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from attnbench.cli.options import results_option, run_folder, say
from attnbench.errors import InputError, RunError


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "markdown", "latex", "pytest-benchmark"]),
    default="csv",
    show_default=True,
    help="latex needs booktabs and siunitx; pytest-benchmark is JSON that `pytest-benchmark compare` reads.",
)
@click.option(
    "--table",
    type=click.Choice(["records", "samples", "conditions", "laws"]),
    show_default="records",
    help="latex has records and laws; pytest-benchmark has all samples.",
)
@click.option("--output", metavar="FILE", help="Write this file instead of printing.")
@click.option("--standalone", is_flag=True, help="With latex: a whole document that compiles.")
@results_option
def export(run: str, form: str, table: str | None, output: str | None, standalone: bool, results: str) -> None:
    """Print a table of a run, or write it to a file, in a format that other programs read."""
    if form == "parquet" and output is None and shows_text_only():
        raise InputError("--format parquet is binary, which no terminal shows; add --output FILE")
    from attnbench.export import content
    from attnbench.session.reading import load

    written = content(load(run_folder(run, Path(results))), form, table, standalone=standalone)
    if output is None:
        click.echo(written, nl=False)
        return
    try:
        Path(output).write_bytes(written)
    except OSError as error:
        raise RunError(f"--output {output} cannot be written: {error.strerror}; choose another place") from None
    say(output)


def shows_text_only() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


COMMANDS = (export,)
