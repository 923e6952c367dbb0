"""The command that fits anyone's measurements: fit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from attnbench.cli.options import FAILING, fail_on_option, json_option, print_json, say
from attnbench.trial import ANYTHING

if TYPE_CHECKING:
    import pandas as pd

    from attnbench.law import Law


@click.command()
@click.argument("file")
@click.option("--y", default="seconds", show_default=True, metavar="COLUMN", help="The metric; any that is positive.")
@click.option("--over", default="n,d", show_default=True, metavar="COLUMNS", help="The sizes that it grows with.")
@click.option("--claim", metavar="FORMULA", help="A claim over the sizes to judge, such as n**2*d.")
@fail_on_option
@json_option
def fit(file: str, y: str, over: str, claim: str | None, fail_on: str | None, as_json: bool) -> None:
    """Find and judge the law of anyone's measurements.

    FILE is a table with a header, one row a measurement: CSV with any delimiter, or Parquet; - reads standard input.
    Rows of the same sizes are replicates; columns named process or round say which were measured together.
    """
    from attnbench.fitting.frame import read_frame

    reading = read_frame(_table(file), y, over)
    for remark in reading.remarks:
        say(f"Note: {remark}", err=True)
    subject = replace(ANYTHING, layer="" if file == "-" else PurePath(file).stem)
    law = replace(reading.law(claim, metric=y), subject=subject)
    if as_json:
        print_json(law.as_json(curves=False))
    else:
        _print_law(law)
    if fail_on and str(law.verdict) in FAILING[fail_on]:
        say(f"--fail-on {fail_on}: {law.verdict}", err=True)
        sys.exit(1)


def _table(file: str) -> pd.DataFrame:
    from attnbench.fitting.files import read_content, read_file

    return read_content(sys.stdin.buffer.read(), "standard input") if file == "-" else read_file(file)


def _print_law(law: Law) -> None:
    from attnbench.terminal import console, facts_table

    console().print(facts_table(law.facts))


COMMANDS = (fit,)
