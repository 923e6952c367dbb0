"""Commands that write a new layer."""

from __future__ import annotations

from pathlib import Path

import click

from attnbench.cli.options import json_option, print_json, say


@click.group()
def new() -> None:
    """Write a new layer, or a package of layers, into the current folder."""


@new.command("layer")
@click.argument("name")
@json_option
def new_layer(name: str, as_json: bool) -> None:
    """Write NAME.py: a layer that passes `attnbench check` as it stands."""
    from attnbench.new import new_layer as write

    file = write(name, Path.cwd()).name
    _print(
        file,
        [
            f"attnbench check --plugin {file}                 # is what it claims true?",
            f"attnbench count {name} --plugin {file}",
            f"attnbench run --suite smoke --plugin {file} --layer {name}",
        ],
        as_json,
    )


@new.command("package")
@click.argument("name")
@json_option
def new_package(name: str, as_json: bool) -> None:
    """Write the folder NAME: a package with a layer and its test, ready to be installed."""
    from attnbench.new import new_package as write

    folder = write(name, Path.cwd()).name
    _print(folder, [f"pip install --editable ./{folder}", f"attnbench check {name}"], as_json)


def _print(written: str, commands: list[str], as_json: bool) -> None:
    """What was written, and what to do with it next."""
    if as_json:
        print_json({"written": written, "next": [command.partition("  #")[0].rstrip() for command in commands]})
        return
    say(f"{written} is written. What next:")
    for command in commands:
        say(f"  {command}")


COMMANDS = (new,)
