"""The command that compares two runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnbench.cli.options import json_option, print_json, results_option, run_folder, say
from attnbench.errors import InputError

if TYPE_CHECKING:
    from attnbench.fitting.compare.laws import LawChange
    from attnbench.fitting.compare.runs import RunComparison
    from attnbench.terminal import Listing

_STYLES = {"slower": "bold red", "faster": "green", "law changed": "bold red", "rate changed": "yellow"}
#: More trials than this are shown only where they changed.
_MANY = 100


@click.command()
@click.argument("base")
@click.argument("new")
@click.option("--least", default="3%", show_default=True, metavar="SHARE", help="Smallest change that matters.")
@click.option("--across-hosts", is_flag=True, help="Compare runs of different machines all the same.")
@click.option("--fail-on", type=click.Choice(["slower", "changed"]), help="Exit with 1 on such a trial or law.")
@results_option
@json_option
def compare(
    base: str, new: str, least: str, across_hosts: bool, fail_on: str | None, results: str, as_json: bool
) -> None:
    """Say which trials and which laws changed from run BASE to run NEW, with intervals.

    A run is a folder, or the name of one in the results.
    """
    share = _share(least)
    folders = [run_folder(run, Path(results)) for run in (base, new)]
    from attnbench.fitting.compare.runs import compare as compare_runs
    from attnbench.session.reading import load

    one, other = (load(folder) for folder in folders)
    found = compare_runs(one, other, least=share, across_hosts=across_hosts)
    for warning in found.warnings:
        say(f"warning: {warning}", err=True)
    if as_json:
        print_json(found.as_json())
    else:
        _print(found)
    if fail_on and (offending := found.changed(only_slower=fail_on == "slower")):
        say(f"--fail-on {fail_on}: {', '.join(offending)}", err=True)
        sys.exit(1)


def _share(text: str) -> float:
    """A share written ``3%`` or ``0.03``."""
    number = text.strip().removesuffix("%")
    try:
        return float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise InputError(f"--least {text}: write a share such as 3% or 0.03") from None


def _print(found: RunComparison) -> None:
    from attnbench.law import COUNTED_METRICS
    from attnbench.terminal import console

    out = console()
    if found.trials:
        out.print(_trials_table(found))
    for sentence in _elsewhere(found):
        say(sentence)
    if shown := [law for law in found.laws if law.change != "same" or law.metric not in COUNTED_METRICS]:
        out.print()
        out.print(_laws_table(shown))
    say()
    for sentence in found.sentences:
        say(sentence)


def _trials_table(found: RunComparison) -> Listing:
    from rich.text import Text

    from attnbench import units
    from attnbench.fitting.compare.rates import ratio_text
    from attnbench.terminal import Listing

    headings = ("trial", "base", "new", "new/base", "beside all", "change")
    table = Listing(*headings, numbers=("base", "new"))
    few = len(found.trials) <= _MANY
    for row in found.trials:
        if few or row.change in ("slower", "faster"):
            ratios = [ratio_text(ratio) if ratio else "no interval" for ratio in (row.ratio, row.beside)]
            change = Text(row.change, style=_STYLES.get(row.change, ""))
            seconds = [units.seconds(row.base_seconds), units.seconds(row.new_seconds)]
            table.add(row.trial, *seconds, *ratios, change)
    return table


def _laws_table(laws: list[LawChange]) -> Listing:
    from rich.text import Text

    from attnbench.terminal import Listing

    table = Listing("layer", "metric", "verdict", "change", "reason")
    for law in laws:
        one, other = law.base["verdict"], law.new["verdict"]
        verdict = one if one == other else f"{one} → {other}"
        change = Text(law.change, style=_STYLES.get(law.change, ""))
        table.add(law.layer, law.metric, verdict, change, law.reason)
    return table


def _elsewhere(found: RunComparison) -> list[str]:
    """Trials that could not be compared, one a line."""
    lines = [f"only in {found.base}: {trial}" for trial in found.only_base]
    lines += [f"only in {found.new}: {trial}" for trial in found.only_new]
    return lines + [
        f"{trial}: {found.base} {row['base']}; {found.new} {row['new']}" for trial, row in found.failed.items()
    ]


COMMANDS = (compare,)
