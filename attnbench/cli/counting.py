"""Commands that count and need no clock: show, count and check."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, plugin_option, print_json
from attnbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attnbench.law import Law
    from attnbench.layers.base import Layer
    from attnbench.record import Counted
    from attnbench.trial import Sizes

#: Counts at one point, as ``count --json`` names them.
_VALUES = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth", "hops")
#: What a count does not see, said where it is read.
_BLIND = {
    "flops": "matrix work, as computed: masked scores and padding count",
    "flops_needed": "without products with structural zeros, or whose result nothing uses",
    "elementwise": "element-wise work and reductions",
    "parameters": "trainable numbers",
    "peak_bytes": "live tensors beyond inputs and parameters; scratch inside a kernel is not seen",
    "saved_bytes": "kept by the forward pass for the backward pass, input included",
    "depth": "kernels in the longest dependent chain; a reduction is one",
    "log_depth": "the same with unbounded processors: sums and products as trees",
    "hops": "longest of the shortest paths from an input to an output position",
    "hops_rf": "the same until both positions are seen by one output",
}
_MARKS = {"CONFIRMED": "✓", "REFUTED": "✗"}


@click.command()
@click.argument("layer")
@plugin_option
def show(layer: str, plugins: tuple[str, ...]) -> None:
    """Show a layer: what it is, where it comes from, and its claims beside the count."""
    from attnbench.count.laws import count_laws
    from attnbench.formula import Formula
    from attnbench.law import COUNTED_METRICS
    from attnbench.layers.registry import Registry

    registry = Registry(plugins)
    found = registry.get(layer)
    counted = {law.metric: law for law in count_laws(found)}
    click.secho(found.name, bold=True)
    click.echo(f"  {registry.summary(layer)}")
    click.echo(f"  source  {found.source or 'not given'} ({registry.origin(layer)})")
    click.echo(f"  scope   {found.scope}; axes {', '.join(found.axes)}; modes {', '.join(found.modes)}")
    for metric in dict.fromkeys((*COUNTED_METRICS, *found.claims.given)):
        claim = found.claims.given.get(metric)
        words = f"claimed {Formula(claim).pretty}" if claim else "no claim"
        click.echo(f"  {metric:<13}{_mark(counted.get(metric))} {_counted_words(counted.get(metric))}; {words}")


@click.command()
@click.argument("layer")
@click.option("--at", metavar="n=128,d=64", help="Count at these sizes too; other axes keep their defaults.")
@click.option("--mode", type=click.Choice(["forward", "train", "decode"]), default="forward", show_default=True)
@click.option("--probe", is_flag=True, help="With --at: also run the layer there and probe its memory from outside.")
@plugin_option
@json_option
def count(layer: str, at: str | None, mode: str, probe: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Count work, bytes, depth and path length exactly, as formulas, without running the layer at size."""
    from attnbench.count.laws import count_at, count_laws
    from attnbench.layers.registry import Registry
    from attnbench.trial import parse_sizes

    if probe and at is None:
        raise InputError("--probe runs the layer at a size; add --at, such as --at n=1024,d=64")
    found = Registry(plugins).get(layer)
    sizes = None if at is None else found.sizes(parse_sizes(at))
    laws = count_laws(found, mode=mode)
    values = count_at(found, sizes, laws=laws, mode=mode) if sizes else None
    probes = _probes(found, sizes, plugins) if sizes and probe else {}
    uncounted = list(dict.fromkeys(name for law in laws for name in law.uncounted))
    if as_json:
        document: dict[str, Any] = {"layer": layer, "mode": mode, "at": sizes}
        document |= {"values": {key: _jsonable(getattr(values, key)) for key in _VALUES}} if values else {}
        document |= {"probes": probes} if probes else {}
        formulas = {law.metric: law.formula for law in laws}
        print_json({**document, "formulas": formulas, "lower_bound": bool(uncounted), "uncounted": uncounted})
        return
    click.secho(layer if mode == "forward" else f"{layer}, {mode}", bold=True)
    for law in laws:
        _print_formula(law)
    if values and sizes:
        _print_values(sizes, values, probes)


@click.command()
@click.argument("layers", nargs=-1, metavar="[LAYER]...")
@click.option("--all", "everything", is_flag=True, help="Every registered layer, plugins included.")
@plugin_option
@json_option
def check(layers: tuple[str, ...], everything: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Check what layers claim against the count, and exit with 1 when a claim is wrong.

    Claims of time and memory are for a clock and an allocator: `attnbench run` judges them.
    """
    from attnbench.errors import LayerError
    from attnbench.execute.counting import count_all
    from attnbench.law import COUNTED_METRICS
    from attnbench.layers.registry import Registry
    from attnbench.trial import Choices, counted_as

    registry = Registry(plugins)
    names = registry.names if everything else layers or registry.handed_over
    if not names:
        raise InputError("name the layers to check, or give --all or --plugin")
    claimed = {metric for name in names for metric in registry.get(name).claims.given}
    counted = count_all(
        registry,
        [counted_as(name, Choices()) for name in names],
        [m for m in COUNTED_METRICS if m in claimed],
        lambda _: None,
    )
    found = []
    for laws in counted.values():
        if isinstance(laws, LayerError):
            raise laws
        found += [law for law in laws if law.claim is not None]
    if not as_json:
        for name in names:
            _print_claims(name, [law for law in found if law.layer == name])
    if as_json:
        print_json([law.as_json() for law in found])
    wrong = [f"{law.layer} {law.metric}" for law in found if str(law.verdict) == "REFUTED"]
    for origin, message in registry.broken.items():
        click.echo(f"{origin}: {message}", err=True)
    if wrong or registry.broken:
        click.echo(f"{len(wrong)} of {len(found)} claims disagree with the count: {', '.join(wrong)}", err=True)
        sys.exit(1)


def _print_claims(layer: str, laws: Sequence[Law]) -> None:
    from attnbench.formula import Formula

    click.secho(layer, bold=True)
    for law in laws:
        claim = Formula(str(law.claim)).pretty
        click.echo(f"  {_mark(law)} {law.metric:<12} claimed {claim}; {_counted_words(law)}")
        if str(law.verdict) == "REFUTED" and law.formula:
            click.echo(f'      to mend it, claim {law.metric}="{law.formula}", or change the layer')
    if not laws:
        click.echo("  · it makes no claim that can be counted")


def _print_formula(law: Law) -> None:
    from attnbench.formula import Formula

    bound = "≥ " if law.lower_bound else ""
    pretty = Formula(law.formula).pretty if law.formula else "no formula"
    click.echo(f"  {law.metric:<13}{bound}{pretty}  ({_BLIND[law.metric]})")
    click.echo(f"  {'':<13}{law.reason}")


def _print_values(sizes: Sizes, values: Counted, probes: dict[str, int]) -> None:
    from attnbench import units
    from attnbench.trial import describe

    written = {"flops": units.flops, "peak_bytes": units.nbytes, "saved_bytes": units.nbytes}
    click.echo(f"at {describe(sizes)}")
    for key in _VALUES:
        value = getattr(values, key)
        exact = "no formula" if value is None else _jsonable(value)
        readable = f" ({written.get(key, units.count)(value)})" if value is not None and key in written else ""
        click.echo(f"  {key:<13}{exact}{readable}")
    for probe, nbytes in probes.items():
        click.echo(f"  {probe:<13}{nbytes} ({units.nbytes(nbytes)})")


def _probes(layer: Layer, sizes: Sizes, plugins: tuple[str, ...]) -> dict[str, int]:
    """Peak bytes as the allocator and as the operating system saw them, in a real call."""
    from attnbench.measure.memory import allocator_peak, process_peak

    return {"allocator": allocator_peak(layer, sizes), "process": process_peak(layer.name, sizes, plugins=plugins)}


def _jsonable(value: float | None) -> float | str | None:
    """JSON has no infinity; a whole number has no point."""
    if value is None or value == math.inf:
        return None if value is None else "inf"
    return int(value) if float(value).is_integer() else value


def _mark(law: Law | None) -> str:
    if law is None or law.claim is None:
        return " "
    return _MARKS.get(str(law.verdict), "?")


def _counted_words(law: Law | None) -> str:
    from attnbench.formula import Formula

    if law is None:
        return "not counted"
    if not law.formula:
        return f"no formula: {law.reason}"
    return f"counted {'≥ ' if law.lower_bound else ''}{Formula(law.formula).pretty}"


COMMANDS = (show, count, check)
