"""Commands that count and need no clock: show and count."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import click

from attnbench.cli.options import json_option, plugin_option, print_json, say
from attnbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from attnbench.law import Law
    from attnbench.layers.base import Layer
    from attnbench.record import Counted
    from attnbench.terminal import Listing
    from attnbench.trial import Choices, Sizes

#: Counts at one point, as ``count --json`` names them.
_VALUES = ("flops", "parameters", "peak_bytes", "saved_bytes", "depth")
#: What a count does not see, said where it is read.
_BLIND = {
    "flops": "matrix work, as computed: masked scores and padding count",
    "flops_needed": "without products with structural zeros, or whose result nothing uses",
    "elementwise": "element-wise work and reductions",
    "parameters": "trainable numbers",
    "peak_bytes": "live tensors beyond inputs and parameters; scratch inside a kernel is not seen",
    "saved_bytes": "kept by the forward pass for the backward pass, input included",
    "depth": "kernels in the longest dependent chain; fused attention and a reduction are one",
    "log_depth": "the same with unbounded processors: sums and products as trees",
    "hops": "longest of the shortest paths from an input to an output position",
    "hops_rf": "the same until both positions are seen by one output",
}
#: Whoever waits longer is told for what.
_SILENT_SECONDS = 2.0
_MARKS = {"CONFIRMED": "✓", "REFUTED": "✗"}


@click.command()
@click.argument("layer")
@plugin_option
@json_option
def show(layer: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Show a layer: what it is, where it comes from, and its claims beside the count."""
    from attnbench.counting.laws import count_laws
    from attnbench.law import COUNTED_METRICS
    from attnbench.layers.registry import Registry
    from attnbench.terminal import Listing, console

    registry = Registry(plugins)
    found = registry.get(layer)
    counted = {law.metric: law for law in count_laws(found)}
    metrics = dict.fromkeys((*COUNTED_METRICS, *found.claims.given))
    if as_json:
        told = {"layer": found.name, "summary": registry.summary(layer), "source": found.source}
        told |= {"origin": registry.origin(layer), "scope": found.scope}
        beside = {metric: _beside(counted.get(metric), found.claims.given.get(metric)) for metric in metrics}
        print_json({**told, "axes": list(found.axes), "modes": list(found.modes), "metrics": beside})
        return
    say(found.name, bold=True)
    say(f"  {registry.summary(layer)}")
    facts, table = Listing("", "", indent=2), Listing("", "", indent=2)
    facts.add("source", f"{found.source or 'not given'} ({registry.origin(layer)})")
    facts.add("scope", f"{found.scope}; axes {', '.join(found.axes)}; modes {', '.join(found.modes)}")
    for metric in metrics:
        table.add(metric, _claimed_and_counted(counted.get(metric), found.claims.given.get(metric)))
    console().print(facts)
    console().print(table)


def _beside(law: Law | None, claim: str | None) -> dict[str, Any]:
    if law is None:
        return {"claim": claim, "formula": None, "lower_bound": False, "verdict": None, "reason": ""}
    told = {"claim": claim, "formula": law.formula or None, "lower_bound": law.lower_bound}
    return told | {"verdict": str(law.verdict), "reason": law.reason}


def _claimed_and_counted(law: Law | None, claim: str | None) -> str:
    from attnbench.formula import Formula

    words = f"claimed {Formula(claim).pretty}" if claim else "no claim"
    return f"{_mark(law)} {_counted_words(law)}; {words}"


@click.command()
@click.argument("layer")
@click.option("--at", metavar="n=128,d=64", help="Count one call at these sizes; other axes keep their defaults.")
@click.option("--mode", type=click.Choice(["forward", "train", "decode"]), default="forward", show_default=True)
@click.option("--probe", is_flag=True, help="With --at: also run the layer there and probe its memory from outside.")
@plugin_option
@json_option
def count(layer: str, at: str | None, mode: str, probe: bool, plugins: tuple[str, ...], as_json: bool) -> None:
    """Count work, bytes, depth and path length exactly, as formulas or --at sizes, without running the layer there."""
    from attnbench.layers.registry import Registry
    from attnbench.trial import Choices

    if probe and at is None:
        raise InputError("--probe runs the layer at a size; add --at, such as --at n=1024,d=64")
    found = Registry(plugins).get(layer)
    document = {"layer": layer, "mode": mode}
    if at is None:
        _count_formulas(found, Choices(mode=mode), document, as_json=as_json)
    else:
        _count_at(found, Choices(mode=mode), at, document, probe=(plugins if probe else None), as_json=as_json)


def _count_formulas(layer: Layer, choices: Choices, document: dict[str, Any], *, as_json: bool) -> None:
    """Print the formula of each metric; interrupted, those that are known."""
    from attnbench.counting.laws import count_laws
    from attnbench.terminal import console

    known: list[Law] = []

    def write(laws: Sequence[Law]) -> None:
        _say_title(document)
        console().print(_formulas_table(laws))

    try:
        with _progress(known) as show:
            laws = count_laws(layer, choices=choices, show=show)
    except KeyboardInterrupt:
        if not as_json and known:
            write(known)
        raise
    uncounted = list(dict.fromkeys(name for law in laws for name in law.uncounted))
    if as_json:
        formulas = {"formulas": {law.metric: law.formula for law in laws}}
        formulas |= {"reasons": {law.metric: law.reason for law in laws}}
        print_json({**document, "at": None, **formulas, "lower_bound": bool(uncounted), "uncounted": uncounted})
    else:
        write(laws)


def _say_title(document: dict[str, Any]) -> None:
    layer, mode = document["layer"], document["mode"]
    say(layer if mode == "forward" else f"{layer}, {mode}", bold=True)


@contextlib.contextmanager
def _progress(known: list[Law]) -> Iterator[Callable[[str | Law], None]]:
    """Keeps every law that is found, and says on a terminal, from two seconds on, which metric is being counted."""
    from attnbench.terminal import console

    began = time.monotonic()
    status = console(stderr=True).status("counting")

    def show(told: str | Law) -> None:
        if not isinstance(told, str):
            known.append(told)
        elif time.monotonic() - began > _SILENT_SECONDS:
            status.update(f"counting {told}")
            status.start()

    try:
        yield show
    finally:
        status.stop()


def _count_at(
    layer: Layer, choices: Choices, at: str, document: dict[str, Any], *, probe: tuple[str, ...] | None, as_json: bool
) -> None:
    """Print the counts of one call."""
    from attnbench.counting.laws import count_at
    from attnbench.terminal import console
    from attnbench.trial import describe, parse_sizes

    sizes = layer.complete(parse_sizes(at))
    values = count_at(layer, sizes, choices)
    probes = {} if probe is None else _probes(layer, sizes, probe)
    if as_json:
        document |= {"at": sizes, "values": {key: _jsonable(getattr(values, key)) for key in _VALUES}}
        document |= {"probes": probes} if probes else {}
        print_json({**document, "lower_bound": bool(values.uncounted), "uncounted": list(values.uncounted)})
        return
    _say_title(document)
    say(f"at {describe(sizes)}")
    console().print(_values_table(values, probes))


def _formulas_table(laws: Sequence[Law]) -> Listing:
    from attnbench.formula import Formula
    from attnbench.terminal import Listing

    table = Listing("", "", indent=2)
    for law in laws:
        bound = "≥ " if law.lower_bound else ""
        pretty = Formula(law.formula).pretty if law.formula else "no formula"
        table.add(law.metric, (f"{bound}{pretty}  ({_BLIND[law.metric]})", law.reason))
    return table


def _values_table(values: Counted, probes: dict[str, int]) -> Listing:
    from attnbench import units
    from attnbench.terminal import Listing

    written = {"flops": units.flops, "peak_bytes": units.nbytes, "saved_bytes": units.nbytes}
    table = Listing("", "", indent=2)
    for key in _VALUES:
        value = getattr(values, key)
        bound = "≥ " if key == "flops" and values.uncounted else ""
        exact = "not counted" if value is None else f"{bound}{_jsonable(value)}"
        readable = f" ({written.get(key, units.count)(value)})" if value is not None and key in written else ""
        table.add(key, f"{exact}{readable}")
    for probe, nbytes in probes.items():
        table.add(probe, f"{nbytes} ({units.nbytes(nbytes)})")
    return table


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


COMMANDS = (show, count)
