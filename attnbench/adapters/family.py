"""What can be said of a family of models in transformers without importing any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attnbench.trial import Sizes

#: Axis → default size.
_DEFAULTS: Sizes = {"h": 4, "g": 2, "f": 1024, "l": 2, "v": 1000, "w": 64, "m": 16, "k": 4, "c": 64, "e": 8, "t": 2}


@dataclass(frozen=True)
class Part:
    """One part of a model.

    Attributes:
        axes: the sizes it has beside b, n and d.
        flops: its work.
        parameters: its trainable numbers; None where nobody added them up.
        hops: growth class of its longest path between two positions.
        path: where it stands in the family's body; empty for a model as a whole.
        decodes: whether it can go on position by position.
    """

    axes: str
    flops: str
    parameters: str | None = None
    hops: str | None = None
    path: str = ""
    decodes: bool = False


@dataclass(frozen=True)
class Family:
    """One family of models.

    Attributes:
        name: what its classes begin with; in small letters the module that holds them.
        config: sizes → arguments of its configuration.
        parts: scope → part.
        source: where it comes from.
        body: what follows `name` in the class that blocks are taken from.
        whole: what follows `name` in the class that is meant by a model.
        constraints: conditions on sizes.
        causal: whether a position depends on those before it only.
        needs: what a model makes once and hands to each block: ``rotary``, ``window`` or ``bias``.
        takes: what a model is given, as `attnbench.adapters.transformers` makes it.
        defaults: default sizes of its own.
        frame: size of the model that a block is taken from, where one block of one token will not do.
        sizes: as of a `Layer`, where the family's loops make a long sequence dear.
        attends: whether it has attention, which can be asked to be torch's own.
        draws: whether its first weights have to be drawn its own way, as torch's modules do not draw all of them.
    """

    name: str
    config: Callable[[Sizes], dict[str, Any]]
    parts: Mapping[str, Part]
    source: str
    body: str = "Model"
    whole: str = "ForCausalLM"
    constraints: tuple[str, ...] = ()
    causal: bool = True
    needs: str = ""
    takes: str = "tokens"
    defaults: Mapping[str, int] = field(default_factory=dict)
    frame: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    attends: bool = True
    draws: bool = False

    def default(self, axis: str) -> int:
        """Default size of one of its axes."""
        return self.defaults.get(axis, _DEFAULTS[axis])

    def configuration(self, sizes: Sizes) -> dict[str, Any]:
        """Arguments of its configuration; what a part has no axis for is as small as it can be."""
        return self.config({**dict.fromkeys(_DEFAULTS, 1), **self.frame, **sizes})
