"""What a user asked for, completed and checked before anything runs or is written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from attnbench.errors import InputError, LayerError, SuiteError, near_miss
from attnbench.execute.machine import THIS_MACHINE, Machine
from attnbench.execute.setup import Setup
from attnbench.formula import Formula
from attnbench.layers.base import Layer
from attnbench.layers.registry import Registry
from attnbench.measure.machine.host import resolve_device
from attnbench.spec import AxisValues, Suite, load_suite, parse_axis
from attnbench.units import parse_duration


@dataclass(frozen=True)
class RunRequest:
    """What a user asked for, complete and checked.

    Attributes:
        suite: the suite with overrides applied and devices resolved.
        registry: where its layers come from.
        seed: of orders, weights and inputs.
        command: the command line that repeats this.
        machine: where it is done.
    """

    suite: Suite
    registry: Registry
    seed: int
    command: str
    machine: Machine = THIS_MACHINE

    @property
    def layers(self) -> dict[str, Layer]:
        """Name → layer, for every layer of the suite."""
        return {name: self.registry.get(name) for name in self.suite.layers}

    @property
    def setup(self) -> Setup:
        """What the measuring processes have in common; the number of threads is that of the first ones."""
        return Setup(self.suite.threads[0], self.registry.plugins, self.seed, self.registry.installed)


class Overrides(TypedDict, total=False):
    """What `request` takes beside the suite."""

    layers: str | Iterable[str]
    devices: str | Iterable[str]
    budget: str | None
    sizes: str | Iterable[str]
    plugins: str | Iterable[str]
    seed: int | None
    command: str
    machine: Machine


def request(
    suite: str | os.PathLike[str] | Suite,
    *,
    layers: str | Iterable[str] = (),
    devices: str | Iterable[str] = (),
    budget: str | None = None,
    sizes: str | Iterable[str] = (),
    plugins: str | Iterable[str] = (),
    seed: int | None = None,
    command: str = "",
    machine: Machine = THIS_MACHINE,
) -> RunRequest:
    """What a user asked for, complete and checked. Wherever several are taken, a string is one.

    Args:
        suite: a shipped suite's name, a file, or a `Suite`.
        layers: only these layers.
        devices: where to measure, instead of the suite's devices.
        budget: clock for timing, such as "60s".
        sizes: sizes of axes, such as "n=128,256".
        plugins: files or modules with layers.
        seed: of orders, weights and inputs; 0 by default.
        command: the command line that repeats this.
        machine: where it is done.

    Raises:
        InputError: something in it cannot be read, found or satisfied.
    """
    registry = Registry(_items(plugins))
    chosen = suite if isinstance(suite, Suite) else load_suite(os.fspath(suite))
    wanted = _items(layers)
    for layer in map(registry.get, [*registry.handed_over, *wanted]):
        chosen = chosen.adding(layer.name, _sweepable(layer))
    chosen = chosen.only(wanted) if wanted else chosen
    if budget is not None:
        chosen = replace(chosen, budget=_budget(budget))
    resized = dict(parse_axis(text) for text in _items(sizes))
    chosen = chosen.with_sizes(resized)
    everywhere = dict.fromkeys(axis for name in chosen.layers for axis in registry.get(name).axes)
    if foreign := [axis for axis in resized if axis not in everywhere]:
        there = ", ".join(everywhere)
        raise SuiteError(f"--set {foreign[0]}: no layer of this run has such an axis; they have {there}")
    places = map(resolve_device, _items(devices) or chosen.devices)
    chosen = replace(chosen, devices=tuple(dict.fromkeys(places)))
    for sweep in chosen.sweeps:
        swept = [registry.get(name) for name in sweep.layers]
        _check_axes(swept, sweep.axes, resized)
        for layer in swept:
            _check_sizes(layer, sweep.axes)
    return RunRequest(chosen, registry, seed or 0, command, machine)


def _items(given: str | Iterable[str]) -> list[str]:
    """A string is one item, and not as many as it has letters."""
    return [given] if isinstance(given, str) else list(given or ())


def _budget(text: str) -> float:
    try:
        return parse_duration(text)
    except InputError as error:
        raise InputError(f"--budget: {error}") from None


def _sweepable(layer: Layer) -> list[str]:
    """Axes to sweep for a layer that no suite knows: batch, length and width, and whatever its claim for time names."""
    claimed = Formula(layer.claims.time).axes if layer.claims.time else frozenset()
    return [axis for axis in layer.axes if axis in {"b", "n", "d"} | claimed]


def _check_axes(layers: Sequence[Layer], axes: Mapping[str, AxisValues], overridden: Collection[str]) -> None:
    """Refuse an axis that no layer of a sweep has; an override speaks to all sweeps and may miss some of them."""
    known = {axis for layer in layers for axis in layer.axes}
    if foreign := [axis for axis in axes if axis not in known and axis not in overridden]:
        names = ", ".join(layer.name for layer in layers)
        raise SuiteError(
            f"no layer of the sweep over {names} has an axis {foreign[0]!r}.{near_miss(foreign[0], known)}"
        )


def _check_sizes(layer: Layer, axes: Mapping[str, AxisValues]) -> None:
    """Refuse sizes of which no combination makes a layer; where only some fail, their rows say why."""
    given = {axis: values for axis, values in axes.items() if not isinstance(values, str) and axis in layer.axes}
    automatic = {axis for axis, values in axes.items() if isinstance(values, str)}
    if automatic & layer.constrained_axes or not given:
        return
    refusals = []
    for point in itertools.product(*given.values()):
        try:
            layer.complete(dict.fromkeys(automatic & set(layer.axes), 1) | dict(zip(given, point, strict=True)))
        except LayerError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]
