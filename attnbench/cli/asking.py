"""Commands that ask a finished run about sizes that it did not measure: predict and crossover."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, print_json, results_option, run_folder, say
from attnbench.errors import DeviceError, InputError, LayerError, near_miss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from attnbench.fit.crossover import Crossover, Side
    from attnbench.fit.forecast import Footprint, Forecast
    from attnbench.law import Law
    from attnbench.session import Run

_CHOICES = (
    click.option("--device", metavar="D", help="Where it was measured, if on several devices."),
    click.option("--dtype", metavar="T", help="What it was measured in, if in several dtypes."),
    click.option("--mode", metavar="M", help="The mode it was measured in, if in several."),
    click.option("--threads", type=int, metavar="N", help="The threads it was measured with, if with several numbers."),
    click.option("--compile/--no-compile", default=None, help="Compiled or not, if it was measured both ways."),
    click.option("--sdpa", metavar="B", help="The backend of attention it was measured with, if with several."),
)
_FLAGS = "--device, --dtype, --mode, --threads, --compile or --sdpa"


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
    from attnbench import session
    from attnbench.fit.forecast import forecast
    from attnbench.trial import parse_sizes

    loaded = session.load(run_folder(run, Path(results)))
    law = _time_law(loaded, layer, choices)
    footprint = _footprint(loaded, law)
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
    from attnbench import session
    from attnbench.fit import crossover as crossing
    from attnbench.fit.sides import side

    if one == other:
        raise InputError(f"crossover compares two layers, and {one} was named twice")
    loaded = session.load(run_folder(run, Path(results)))
    sides = [side(loaded, _time_law(loaded, layer, choices)) for layer in (one, other)]
    _refuse_mixture([each.law for each in sides])
    first, second = sides
    found = crossing.crossover(first, second)
    operations = _by_operations(first, second)
    if as_json:
        print_json({**found.as_json(), "operations": operations})
    else:
        _print_crossover(found, operations)


def _time_law(run: Run, layer: str, choices: Mapping[str, Any]) -> Law:
    """The one law of time that is meant; fitted again where it was stored without its curve."""
    from attnbench.judging import fit_laws

    if layer not in run.info.scopes:
        raise LayerError(f"the run has no layer {layer!r}.{near_miss(layer, run.info.scopes)}")
    found = _chosen(run.found_laws, layer, choices)
    if not any(law.curves for law in found):
        found = _chosen(fit_laws(run), layer, choices)
    ways = ", ".join(map(_way, found))
    if len(found) > 1:
        raise InputError(f"{layer} was measured in several ways ({ways}); choose with {_FLAGS}")
    if not found and any(value is not None for value in choices.values()):
        raise DeviceError(f"{layer} was not measured so; leave out {_FLAGS} to see what there is")
    if not found:
        raise InputError(f"the run has no times of {layer}; run a suite whose metrics include time")
    return found[0]


def _chosen(laws: Iterable[Law], layer: str, choices: Mapping[str, Any]) -> list[Law]:
    mine = [law for law in laws if (law.layer, law.metric) == (layer, "time")]
    return [law for law in mine if all(value in (None, getattr(law, name)) for name, value in choices.items())]


def _way(law: Law) -> str:
    special = " compiled" * law.compile + (f" sdpa {law.sdpa}" if law.sdpa != "default" else "")
    return f"{law.device} {law.dtype} {law.mode} {law.threads} threads{special}"


def _refuse_mixture(laws: Sequence[Law]) -> None:
    """Times of different machines or number formats say nothing about the layers."""
    ways = {law.layer: _way(law) for law in laws if law.curves}
    if len(set(ways.values())) > 1:
        told = " and ".join(f"{layer} in {way}" for layer, way in ways.items())
        raise InputError(f"measured were {told}; choose what both have with {_FLAGS}")


def _footprint(run: Run, law: Law) -> Footprint:
    from attnbench.fit import sides
    from attnbench.measure.host import available_bytes, devices

    return sides.footprint(run, law, available_bytes(law.device) if law.device in devices() else None)


def _by_operations(one: Side, other: Side) -> str:
    """The exact answer of the counts where it is one line n = ratio·d; empty where it is not."""
    from attnbench.formula import Formula
    from attnbench.formula.crossing import crossing, replaced
    from attnbench.published import per_sequence

    if one.flops is None or other.flops is None:
        return ""
    first, second = (replaced(per_sequence(side.flops.text), side.held) for side in (one, other) if side.flops)
    if (found := crossing(first, second)) is None:
        return ""
    if found.where == "equal":
        return f"{one.law.layer} needs as many counted operations as {other.law.layer}"
    where = {"never": "at no length", "always": "at every length"}.get(found.where, "")
    if not where:
        bound = "d" if found.ratio == 1 else f"{found.ratio.numerator}*d/{found.ratio.denominator}".removesuffix("/1")
        where = f"where n {'<' if found.where == 'below' else '>'} {Formula(bound).pretty}"
    return f"{one.law.layer} needs fewer counted operations than {other.law.layer} {where}"


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


def _print_crossover(found: Crossover, operations: str) -> None:
    from attnbench.fit.crossover import band
    from attnbench.terminal import Listing, console
    from attnbench.trial import describe
    from attnbench.units import percent, significant

    headings = ("d", "n* by operations", "n* by the clock", "faster beyond", "pairs that meet", "n within reach")
    table = Listing(*headings, numbers=("d", "pairs that meet"))
    for row in found.rows:
        counted = significant(row.operations) if row.operations else "does not cross" if row.fewer else "–"
        reach = f"{row.within[0]:.0f} to {row.within[1]:.0f}" if row.within else "none"
        clock, share = (band(row), percent(row.share)) if row.within else ("–", "–")
        table.add(str(row.d), counted, clock, row.faster or "–", share, reach)
    if found.rows:
        console().print(table)
    for layer, held in found.held.items():
        say(f"{layer} with {describe(held)}{', divided by its batch' if found.per_sequence else ''}")
    if operations:
        say(f"By count: {operations}.")
    say(f"By the clock: {found.reason}.")


COMMANDS = (predict, crossover)
