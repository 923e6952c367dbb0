"""Commands that write a new layer."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def new() -> None:
    """Write a new layer, or a package of layers, into the current folder."""


@new.command("layer")
@click.argument("name")
def new_layer(name: str) -> None:
    """Write NAME.py: a layer that passes `attnbench check` as it stands."""
    from attnbench.new import new_layer as write

    file = write(name, Path.cwd()).name
    click.echo(f"{file} is written. What next:")
    click.echo(f"  attnbench check --plugin {file}                 # is what it claims true?")
    click.echo(f"  attnbench count {name} --plugin {file}")
    click.echo(f"  attnbench run --suite smoke --plugin {file} --layer {name}")


@new.command("package")
@click.argument("name")
def new_package(name: str) -> None:
    """Write the folder NAME: a package with a layer and its test, ready to be installed."""
    from attnbench.new import new_package as write

    folder = write(name, Path.cwd()).name
    click.echo(f"{folder} is written. What next:")
    click.echo(f"  pip install --editable ./{folder}")
    click.echo(f"  attnbench check {name}")


COMMANDS = (new,)
