"""Commands that ask a finished run about sizes that it did not measure: predict and crossover."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, print_json, results_option, run_folder, say
from attnbench.errors import ChoiceError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from attnbench.fitting.predict.crossover import Crossover
    from attnbench.fitting.predict.forecast import Forecast

_CHOICES = (
    click.option("--device", metavar="D", help="Where it was measured, if on several devices."),
    click.option("--dtype", metavar="T", help="What it was measured in, if in several dtypes."),
    click.option("--mode", metavar="M", help="The mode it was measured in, if in several."),
    click.option("--threads", type=int, metavar="N", help="The threads it was measured with, if with several numbers."),
    click.option("--compile/--no-compile", default=None, help="Compiled or not, if it was measured both ways."),
    click.option("--sdpa", metavar="B", help="The backend of attention it was measured with, if with several."),
)


@contextlib.contextmanager
def _choices_as_flags() -> Iterator[None]:
    """Within, an error that names choices names them as the command line has them."""
    try:
        yield
    except ChoiceError as error:
        raise InputError(error.written("--{}")) from None


def with_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which of several laws of a layer is meant."""
    for option in reversed(_CHOICES):
        command = option(command)
    return command


@click.command()
@click.argument("run")
@click.argument("layer")
@click.option(
    "--at", required=True, metavar="n=65536,d=1024", help="Sizes; those that every trial had may be left out."
)
@with_choices
@results_option
@json_option
def predict(run: str, layer: str, at: str, results: str, as_json: bool, **choices: Any) -> None:
    """Forecast what a visit at other sizes would measure, with its interval, and the memory that it needs.

    Says why there is no forecast where the sizes are too far from what was measured, or beyond a known edge.
    """
    from attnbench.fitting.predict.forecast import forecast
    from attnbench.session import queries
    from attnbench.session.reading import load
    from attnbench.trial import parse_sizes

    loaded = load(run_folder(run, Path(results)))
    with _choices_as_flags():
        law = queries.time_law(loaded, layer, choices)
    footprint = queries.footprint_here(loaded, law)
    found = forecast(law, parse_sizes(at), footprint)
    if as_json:
        print_json(found.as_json())
    else:
        _print_forecast(found, footprint.available)


@click.command()
@click.argument("run")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@with_choices
@results_option
@json_option
def crossover(run: str, one: str, other: str, results: str, as_json: bool, **choices: Any) -> None:
    """Find the length at which layer A and layer B change places, for each width: by count and by the clock.

    "They do not cross" is an answer, and so is a band that is open at one end.
    """
    from attnbench.session import queries
    from attnbench.session.reading import load

    loaded = load(run_folder(run, Path(results)))
    with _choices_as_flags():
        found = queries.crossover_of(loaded, (one, other), choices)
    if as_json:
        print_json(found.as_json())
    else:
        _print_crossover(found)


def _print_forecast(found: Forecast, available: float | None) -> None:
    from attnbench import units
    from attnbench.terminal import Listing, console
    from attnbench.trial import describe

    say(f"{found.layer} at {describe(found.at)}", bold=True)
    table = Listing("", "", indent=2)
    if found.seconds:
        low, high = units.seconds(found.seconds.low), units.seconds(found.seconds.high)
        table.add("time", f"{units.seconds(found.seconds.value)} ({low} to {high})")
    else:
        table.add("time", "no forecast")
    if found.peak_bytes is not None:
        room = {True: "fits", False: "does not fit", None: ""}[found.fits]
        here = f"; {room} the {units.nbytes(available)} available here" if room and available is not None else ""
        table.add("memory", f"{found.peak_bytes} bytes of live tensors ({units.nbytes(found.peak_bytes)}){here}")
    console().print(table)
    say(f"  {found.reason}")


def _print_crossover(found: Crossover) -> None:
    from attnbench.terminal import Listing, console
    from attnbench.trial import describe
    from attnbench.units import percent

    headings = ("d", "n* by operations", "n* by the clock", "faster beyond", "pairs that meet", "n within reach")
    table = Listing(*headings, numbers=("d", "pairs that meet"))
    for row in found.rows:
        reach = f"{row.within[0]:.0f} to {row.within[1]:.0f}" if row.within else "none"
        share = percent(row.share) if row.within else "–"
        table.add(str(row.d), row.by_operations, row.by_clock, row.faster or "–", share, reach)
    if found.rows:
        console().print(table)
    for layer, held in found.held.items():
        say(f"{layer} with {describe(held)}{', divided by its batch' if found.per_sequence else ''}")
    if found.operations:
        say(f"By count: {found.operations}.")
    say(f"By the clock: {found.reason}.")


COMMANDS = (predict, crossover)
