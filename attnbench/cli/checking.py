"""The command that holds layers to the contract."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, plugin_option, print_json, say
from attnbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attnbench.check.outcome import Outcome
    from attnbench.layers.registry import Registry

_SIGNS = {"passed": "✓", "failed": "✗"}


@click.command()
@click.argument("layers", nargs=-1, metavar="[LAYER]...")
@click.option("--all", "everything", is_flag=True, help="Every registered layer, plugins included.")
@plugin_option
@json_option
def check(layers: tuple[str, ...], everything: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Hold layers to the contract, and exit with 1 when one breaks it.

    Each is built and called at small, odd sizes in a process of its own: shape, dtype, finite and repeatable numbers,
    independent sequences, causality, gradients, decoding. What it claims is compared with the count. Claims of time
    are compared with the counted work here, and with a clock by `attnbench run`.
    """
    from attnbench.layers.registry import Registry

    registry = Registry(plugins)
    names = tuple(dict.fromkeys(registry.names if everything else layers or registry.handed_over))
    if not names:
        raise InputError("name the layers to check, or give --all or --plugin")
    for name in names:
        registry.get(name)
    broken = registry.broken if everything else {}  # what others installed is no business of a layer that was named
    found = dict(_checked(registry, names, show=not as_json, brief=everything))
    failed = [name for name, outcomes in found.items() if _worst(outcomes) == "failed"]
    if as_json:
        print_json({"passed": not (failed or broken), "layers": _document(registry, found), "broken": broken})
    for message in broken.values():
        say(f"✗ {message}", err=as_json)
    if bad := [*failed, *broken]:
        say(f"{len(bad)} of {len(names) + len(broken)} break the contract: {', '.join(bad)}", err=True)
        sys.exit(1)


def _checked(
    registry: Registry, names: tuple[str, ...], *, show: bool, brief: bool
) -> Iterator[tuple[str, list[Outcome]]]:
    """Layers with their outcomes, each shown as soon as it is known; of many, only what a person has to read."""
    from attnbench.execute.checking import check_all
    from attnbench.terminal import checks_table, console

    screen = console()
    for name, outcomes in check_all(registry, names):
        if show:
            told = [one for one in outcomes if one.mark != "passed"] if brief else outcomes
            say(f"{_SIGNS[_worst(outcomes)]} {name}  {len(outcomes)} checks", bold=True)
            if told:
                screen.print(checks_table(told))
        yield name, outcomes


def _worst(outcomes: list[Outcome]) -> str:
    return "failed" if any(outcome.mark == "failed" for outcome in outcomes) else "passed"


def _document(registry: Registry, found: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    return [
        {
            "layer": name,
            "origin": registry.origin(name),
            "passed": _worst(outcomes) == "passed",
            "checks": [outcome.as_json() for outcome in outcomes],
        }
        for name, outcomes in found.items()
    ]


COMMANDS = (check,)
