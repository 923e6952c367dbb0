"""The layer contract: one value that says how to build a layer and what its author claims of it.

This file is light on purpose: describing a layer needs no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from attnbench.errors import FormulaError, LayerError, PluginError, near_miss
from attnbench.formula import Constraint, Formula
from attnbench.layers.factory import layer_name, sized
from attnbench.trial import AXES, INPUT_AXES, MODES, TABLE_COLUMNS, Sizes, describe, ordered

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

Scope = Literal["core", "layer", "block"]
SCOPES = ("core", "layer", "block")

MAX_NAME_LENGTH = 80

#: An author who gives sizes to solve at gives three: two for a line, and one that must lie on it.
_FEWEST_SIZES = 3

#: Sizes taken when neither the suite nor the factory says otherwise.
DEFAULT_SIZES: Sizes = {"b": 1, "n": 256, "d": 256, "h": 1, "k": 3}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a layer's author says of it. Every field is optional formula text over the layer's axes.

    Attributes:
        flops: floating-point operations of one call, exact (1 multiply-add = 2).
        parameters: trainable numbers, exact.
        peak_bytes: largest sum of live bytes beyond inputs and parameters, exact.
        saved_bytes: bytes kept for the backward pass, exact.
        time: growth class of the running time; constants are ignored.
        memory: growth class of the measured memory of one forward pass.
        depth: growth class of the longest chain of dependent kernels.
        hops: growth class of the maximum path length.

    Raises:
        FormulaError: a claim cannot be read.
    """

    flops: str | None = None
    parameters: str | None = None
    peak_bytes: str | None = None
    saved_bytes: str | None = None
    time: str | None = None
    memory: str | None = None
    depth: str | None = None
    hops: str | None = None

    def __post_init__(self) -> None:
        for metric, text in self.given.items():
            try:
                Formula(text)
            except FormulaError as error:
                raise FormulaError(f"the claim for {metric}: {error}") from None

    @property
    def given(self) -> dict[str, str]:
        """Metric → formula text, for the claims that were made."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {metric: str(text) for metric, text in values.items() if text is not None}


@dataclass(frozen=True)
class Layer:
    """A map ``(b, n, d) → (b, n, d)`` over a sequence, as one value.

    A module may have a method ``weights(x)`` that returns its attention weights, ``(…, queries, keys)``, to be drawn;
    without it its softmaxes are watched.

    Attributes:
        name: what users type.
        build: factory of the module; its parameter names are the axes it needs, a default is that axis's default.
        scope: ``core`` (scores, softmax, weighted sum), ``layer`` (with projections) or ``block`` (with feed-forward).
        claims: what the author says of it.
        source: where the layer and its claims come from.
        inputs: factory of other inputs than one ``(b, n, d)`` tensor, again by axis names; returns a tensor, a tuple
            of arguments, or a dict of arguments by name.
        output: picks what counts as the output out of what the module returns; without it, the first floating tensor
            with a dimension of n, in whatever tuple, dict or dataclass it stands.
        constraints: conditions on sizes, such as ``"d % h == 0"``.
        sizes: axis → sizes at which formulas are solved for and paths are looked at, where the layer takes few and
            the constraints do not say which.
        modes: what can be measured, of ``forward``, ``train`` (forward and backward) and ``decode`` (one new position
            against a context of n). A module with ``decode`` has two more methods: ``prefill(context)`` → ``state``
            for a ``(b, n, d)`` context, and ``step(token, state)`` → ``(output, state)`` for the ``(b, 1, d)``
            position after it, such that ``step(x[:, -1:], prefill(x[:, :-1]))[0]`` equals ``forward(x)[:, -1:]``. The
            state that a step is given stays as it is, so that one step can be timed again and again.
        causal: whether output i depends on inputs up to i only.

    Raises:
        PluginError: a field breaks the contract.
        FormulaError: a constraint cannot be read.
    """

    name: str
    build: Callable[..., nn.Module]
    scope: Scope = "layer"
    claims: Claims = field(default_factory=Claims)
    source: str = ""
    inputs: Callable[..., Any] | None = None
    constraints: str | tuple[str, ...] = ()
    modes: tuple[str, ...] = ("forward", "train")
    causal: bool = False
    output: Callable[[Any], Any] | None = None
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, factory: Callable[..., nn.Module], **fields: Any) -> Self:
        """A layer of any factory of modules, or class of them, whose signature names the axes; it claims nothing.

        Axes are the parameters without a default and those with a positive whole number; others keep their defaults.

        Args:
            factory: ``GatedMLP(d, f=256, bias=True)`` has the axes d and f, and becomes the layer ``gated-mlp``.
            fields: other fields of the layer, or another `name`.

        Raises:
            PluginError: the signature does not name axes, or a field breaks the contract.
        """
        return cls(**{"build": sized(factory), "name": fields.get("name") or layer_name(factory), **fields})

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and 0 < len(self.name) <= MAX_NAME_LENGTH and self.name.isprintable()):
            raise PluginError(
                f"a layer's name is one line of 1 to {MAX_NAME_LENGTH} printable characters, not {self.name!r}"
            )
        if not callable(self.build):
            raise PluginError(
                f"layer {self.name!r}: build must be a factory of modules, not {type(self.build).__name__}"
            )
        if self.scope not in SCOPES:
            raise PluginError(f"layer {self.name!r}: scope must be one of {', '.join(SCOPES)}, not {self.scope!r}")
        if unknown := sorted(set(self.modes) - set(MODES)):
            raise PluginError(f"layer {self.name!r}: unknown mode {unknown[0]!r}; known: {', '.join(MODES)}")
        if not isinstance(self.claims, Claims):
            raise PluginError(f"layer {self.name!r}: claims must be a Claims value, not {type(self.claims).__name__}")
        if self.output is not None and not callable(self.output):
            raise PluginError(f"layer {self.name!r}: output must pick a tensor, not be {type(self.output).__name__}")
        self._check_axes_of_formulas()
        self._check_sizes()

    def _check_sizes(self) -> None:
        if not isinstance(self.sizes, Mapping):
            raise PluginError(f"layer {self.name!r}: sizes= maps axes to sizes, as in {{'n': (32, 48, 64)}}")
        for axis, given in self.sizes.items():
            if axis not in self.axes:
                raise PluginError(f"layer {self.name!r}: sizes= names {axis!r}, which build() does not")
            if not (isinstance(given, tuple | list) and all(type(size) is int and size > 0 for size in given)):
                raise PluginError(
                    f"layer {self.name!r}: sizes= of {axis} must be positive whole numbers, not {given!r}"
                )
            if len(set(given)) < _FEWEST_SIZES:
                raise PluginError(f"layer {self.name!r}: sizes= of {axis} needs {_FEWEST_SIZES} sizes, not {given!r}")

    def _check_axes_of_formulas(self) -> None:
        texts = [(f"the claim for {metric}", Formula(text).axes) for metric, text in self.claims.given.items()]
        texts += [(f"the constraint {c.text!r}", c.axes) for c in self._constraints]
        known = set(self.axes)  # read even without a formula: a bad signature is found here
        for what, axes in texts:
            if foreign := sorted(axes - known):
                raise PluginError(f"layer {self.name!r}: {what} uses {foreign[0]!r}, which build() does not name")

    @cached_property
    def _constraints(self) -> tuple[Constraint, ...]:
        texts = (self.constraints,) if isinstance(self.constraints, str) else tuple(self.constraints)
        return tuple(Constraint(text) for text in texts)

    @cached_property
    def axes(self) -> dict[str, int | None]:
        """Axis → default size (None without one): batch and length, then what the factories name."""
        named: dict[str, int | None] = dict.fromkeys((*INPUT_AXES, "d"))
        for factory in (self.build, self.inputs):
            if factory is not None:
                named |= named_sizes(self.name, factory)
        known = {axis: named[axis] for axis in AXES if axis in named}
        return known | {axis: default for axis, default in named.items() if axis not in known}

    def complete(self, given: Sizes) -> Sizes:
        """`given`, completed by defaults and checked.

        Raises:
            LayerError: an axis the layer does not have, one that is missing, or a constraint that fails.
        """
        if foreign := sorted(set(given) - set(self.axes)):
            hint = near_miss(foreign[0], self.axes) or f" It has {', '.join(self.axes)}."
            raise LayerError(f"layer {self.name!r} has no axis {foreign[0]!r}.{hint}")
        sizes = {}
        for axis, default in self.axes.items():
            size = given.get(axis, default if default is not None else DEFAULT_SIZES.get(axis))
            if size is None:
                raise LayerError(f"layer {self.name!r} needs a size for axis {axis!r}; give one with --set {axis}=…")
            sizes[axis] = size
        if broken := self.broken_constraint(sizes):
            raise LayerError(f"layer {self.name!r} needs {broken}, which {describe(sizes)} does not satisfy")
        return ordered(sizes)

    @property
    def constrained_axes(self) -> set[str]:
        """Axes that some constraint speaks of."""
        return {axis for constraint in self._constraints for axis in constraint.axes}

    def broken_constraint(self, sizes: Sizes) -> str:
        """The first constraint that `sizes` break, as text; empty when all hold."""
        return next((c.text for c in self._constraints if not c.holds(sizes)), "")


def named_sizes(layer: str, factory: Callable[..., Any]) -> dict[str, int | None]:
    """Parameter name → default size of `factory`; `layer` is who to blame in the error."""
    sizes: dict[str, int | None] = {}
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise PluginError(f"layer {layer!r}: a factory names its axes one by one, without *{parameter.name}")
        if parameter.name in TABLE_COLUMNS:
            raise PluginError(f"layer {layer!r}: {parameter.name!r} is a column of the tables, and no axis")
        default = None if parameter.default is parameter.empty else parameter.default
        if default is not None and (isinstance(default, bool) or not isinstance(default, int) or default < 1):
            raise PluginError(
                f"layer {layer!r}: axis {parameter.name!r} has the default {default!r}, not a positive whole number"
            )
        sizes[parameter.name] = default
    return sizes
