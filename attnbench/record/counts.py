"""What was counted of a trial, and what was seen of layers beside that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from attnbench import units

#: A number below this is read as it is.
_SHORT = 10_000


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts of one trial.

    Attributes:
        flops: matrix and convolution work of one call (1 multiply-add = 2).
        parameters: trainable numbers.
        peak_bytes: largest sum of live tensor bytes beyond inputs and parameters; scratch inside a kernel is not seen.
        uncounted: operations that were executed and have no formula; with any, `flops` is a lower bound.
        saved_bytes: bytes that a forward pass keeps for the backward pass; None where it was not asked for or has no
            formula, as for the next two.
        depth: kernels in the longest dependent chain.
        hops: maximum path length from an input position to an output position; infinite where nothing connects them.
    """

    flops: int
    parameters: int
    peak_bytes: int
    uncounted: tuple[str, ...] = ()
    saved_bytes: int | None = None
    depth: int | None = None
    hops: float | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What was counted, for a person: pairs of a name and a text."""
        least = "≥ " if self.uncounted else ""
        told = (
            ("flops", f"{least}{_exact(self.flops, units.flops)}"),
            ("parameters", _exact(self.parameters, units.count)),
            ("peak_bytes", _exact(self.peak_bytes, units.nbytes)),
            ("saved_bytes", "" if self.saved_bytes is None else _exact(self.saved_bytes, units.nbytes)),
            ("depth", "" if self.depth is None else str(self.depth)),
            ("hops", "" if self.hops is None else f"{self.hops:g}"),
            ("uncounted", ", ".join(self.uncounted)),
        )
        return tuple((label, text) for label, text in told if text)

    def __repr__(self) -> str:
        return f"<Counted {', '.join(f'{label}={text}' for label, text in self.facts)}>"

    def _repr_html_(self) -> str:
        from attnbench.html_tables import card

        return str(card("Counted: a lower bound" if self.uncounted else "Counted", self.facts))

    def as_json(self) -> dict[str, Any]:
        """A mapping that `from_json` reads back; JSON has no infinity, so it is a word."""
        return {**asdict(self), "hops": "inf" if self.hops == math.inf else self.hops}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Counted:
        """Inverse of `as_json`.

        Raises:
            msgspec.ValidationError: it is something else.
        """
        hops = line.get("hops")
        return msgspec.convert({**line, "hops": math.inf if hops == "inf" else hops}, cls)


def _exact(number: int, written: Callable[[float], str]) -> str:
    """``4294967296 (4.29 GFLOP)``; a number that is short as it is stands alone."""
    return str(number) if number < _SHORT else f"{number} ({written(number)})"


@dataclass(frozen=True, slots=True)
class PathMap:
    """Path length from every input position to every output position of one layer, at the same small n for all layers.

    Attributes:
        sizes: axis → size at which it was counted; empty where the layer refused them.
        rows: one text for each output position: hops from every input position, in order, with a space between;
            ``inf`` where no stack of the layer connects the two.
        refused: why there is no map, in one line; empty where there is one.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Observations:
    """What was seen of layers beside their counts, where a suite asked for it.

    Attributes:
        reach: layer → pairs of distance and mean gradient norm at it, the largest being 1: how far inputs really act.
        paths: layer → path lengths between all its positions, or why there are none.
        weights: layer → head, query, key → attention weight, on the same few random tokens for every layer.
        fading: layer → way of stacking it → what a read-out still tells of the position after 0, 1, 2 … layers, one
            list for each draw.
    """

    reach: dict[str, list[tuple[int | float, float]]] = field(default_factory=dict)
    paths: dict[str, PathMap] = field(default_factory=dict)
    weights: dict[str, list[list[list[float]]]] = field(default_factory=dict)
    fading: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
